package forms

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// columns are the widths at which base64 is wrapped: by base64(1), by openssl and PEM, and by Ruby.
var columns = []int{76, 64, 60}

// ends are what may follow on a value: nothing, the newline of a file or of echo, and both.
var ends = []string{"", "\n", "\n\n"}

const (
	// hexColumns is how many bytes xxd -p puts into a line, dumpColumns how many the other programs do.
	hexColumns  = 30
	dumpColumns = 16
	// minTail is the length from which on the last line of wrapped text is a form. A shorter one stands in other words.
	minTail = 8
)

// wrapped writes text in lines of one width, as programs do that get it on their standard input.
// Each line is a form; the lines of a text that was printed behind another one are cut elsewhere, and no forms.
func wrapped(e *emitter, text string) {
	e.wrapBase64(text)
	for from := hexColumns; len(text) > hexColumns && from-hexColumns < len(text); from += hexColumns {
		if line := hexBytes(text[from-hexColumns:min(from, len(text))], 1, ""); len(line) >= minTail {
			e.addFolded(line)
		}
	}
	for _, end := range ends {
		input := text + end
		for at := 0; at < len(text) && e.room >= 0; at += dumpColumns {
			e.dump(at, input[at:min(at+dumpColumns, len(input))])
		}
	}
}

// wrapBase64 adds the lines of base64. Where it needs no more than a line, Base64 has it.
func (e *emitter) wrapBase64(text string) {
	encoded := base64.StdEncoding.EncodeToString([]byte(text))
	bits := len(text) * 8 / 6 // how many characters hold nothing but bits of text
	for _, width := range columns {
		for at := 0; len(encoded) > width && at < bits; at += width {
			line := encoded[at:min(at+width, bits)]
			last := at+width > bits
			if len(line) >= minTail {
				e.add(Form{Text: []byte(line), Widen: Widen{After: last && len(text)*8%6 != 0, Pad: last}})
			}
		}
	}
}

// Tails returns the lines of wrapped base64 and of xxd -p for text, where the last of them is too short to be a form
// of Wrapped.
func Tails(text []byte) [][][]byte {
	var list [][][]byte
	for _, end := range ends {
		input := string(text) + end
		encoded := base64.StdEncoding.EncodeToString([]byte(input))
		for _, width := range columns {
			list = append(list, tail(encoded, width)...)
		}
		list = append(list, tail(hexBytes(input, 1, ""), 2*hexColumns)...)
	}
	return list
}

// tail returns the lines of a text if there are several and the last one is short. As many of its characters as a quantum of
// base64 has may hold other bits than those of the value.
func tail(text string, width int) [][][]byte {
	if n := len(text) % width; len(text) < width || n == 0 || n >= minTail+4 {
		return nil
	}
	var lines [][]byte
	for line := range slices.Chunk([]byte(text), width) {
		lines = append(lines, line)
	}
	return [][][]byte{lines}
}

// dump adds the lines in which programs show some bytes that begin at a place in their input.
func (e *emitter) dump(at int, b string) {
	n := len(b)
	pairs, single := hexBytes(b, 2, " "), hexBytes(b, 1, " ")
	halves := hexBytes(b[:min(n, 8)], 1, " ") + " "
	if n > 8 {
		halves += " " + hexBytes(b[8:], 1, " ")
	}
	shown := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '.'
		}
		return c
	}, latin(b))
	e.emitLine(fmt.Sprintf("%08x: ", at), fmt.Sprintf("%-39s  %s", pairs, shown))   // xxd
	e.emitLine(fmt.Sprintf("%08x  ", at), fmt.Sprintf("%-49s |%s|", halves, shown)) // hexdump -C
	e.emitLine(fmt.Sprintf("%07o ", at), single)                                    // od -t x1
	e.emitLine(fmt.Sprintf("%07o ", at), words(b, "%04x"))                          // od -x
	e.emitLine(fmt.Sprintf("%07x ", at), words(b, "%04x"))                          // hexdump
	e.emitLine(fmt.Sprintf("%07o ", at), words(b, "%06o"))                          // od
	e.emitLine(fmt.Sprintf("%07o", at), characters(b))                              // od -c
}

// emitLine adds a line without the place before it, but with it if the line is short.
func (e *emitter) emitLine(place, line string) {
	if len(strings.TrimSpace(line)) < minTail {
		line = place + line
	}
	e.emit(line)
}

// words writes pairs of bytes as numbers, the first byte being the lower one.
func words(b, format string) string {
	var list []string
	for i := 0; i < len(b); i += 2 {
		n := int(b[i])
		if i+1 < len(b) {
			n |= int(b[i+1]) << 8
		}
		list = append(list, fmt.Sprintf(format, n))
	}
	return strings.Join(list, " ")
}

// characters writes bytes as od -c does.
func characters(b string) string {
	var s strings.Builder
	for i := range len(b) {
		switch c := b[i]; {
		case c == 0:
			s.WriteString(`  \0`)
		case c >= '\a' && c <= '\r':
			s.WriteString(`  \` + string("abtnvfr"[c-'\a']))
		case c < ' ' || c > '~':
			fmt.Fprintf(&s, " %03o", c)
		default:
			fmt.Fprintf(&s, "   %c", c)
		}
	}
	return s.String()
}

// latin makes a character of each byte.
func latin(b string) string {
	runes := make([]rune, len(b))
	for i := range len(b) {
		runes[i] = rune(b[i])
	}
	return string(runes)
}
