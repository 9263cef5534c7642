package forms

import (
	"encoding/hex"
	"strings"
)

// inHex writes text in hexadecimal digits, as one word and byte by byte.
func inHex(e *emitter, text string) {
	for _, between := range []string{"", " ", ":"} {
		e.addFolded(hexBytes(text, 1, between))
	}
}

// addFolded adds a form of hexadecimal digits.
func (e *emitter) addFolded(text string) { e.add(Form{Text: []byte(text), Fold: true}) }

// hexBytes writes text in groups of some bytes.
func hexBytes(text string, group int, between string) string {
	digits := hex.EncodeToString([]byte(text))
	if between == "" {
		return digits
	}
	var b strings.Builder
	for i := 0; i < len(digits); i += 2 * group {
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(digits[i:min(i+2*group, len(digits))])
	}
	return b.String()
}
