package forms

import (
	"encoding/base64"
	"strings"
)

const (
	// minBits is the length in bytes from which on a text is looked for in base64 by the characters that hold nothing but
	// its bits. Those of a shorter one are so few that they stand in words.
	minBits = 6
	// minEncoded is the length from which on its encoding as a whole is looked for.
	minEncoded = 4
)

// alphabets are base64's.
var alphabets = []*base64.Encoding{base64.StdEncoding, base64.URLEncoding}

// inBase64 writes the characters that hold nothing but bits of text, for each of the three places at which it can begin.
func inBase64(e *emitter, text string) {
	switch {
	case len(text) < minEncoded:
	case len(text) < minBits:
		for _, alphabet := range alphabets {
			e.emit(alphabet.EncodeToString([]byte(text)), alphabet.EncodeToString([]byte(text+"\n")))
		}
	default:
		for before := range 3 {
			for _, alphabet := range alphabets {
				e.addBits(alphabet, before, text)
			}
		}
	}
}

// addBits adds the form of a text that has before bytes before it, by threes.
func (e *emitter) addBits(alphabet *base64.Encoding, before int, text string) {
	encoded := alphabet.EncodeToString([]byte(strings.Repeat("\x00", before) + text))
	from, to := before*8, (before+len(text))*8 // in bits, 6 a character
	w := Widen{Before: from%6 != 0, After: to%6 != 0, Pad: true}
	e.add(Form{Text: []byte(encoded[(from+5)/6 : to/6]), Widen: w})
}
