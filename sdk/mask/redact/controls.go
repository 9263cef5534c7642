package redact

import "bytes"

const (
	escape = 0x1b
	// maxControlBytes is the length of the longest control sequence; what is longer is none. Those in use have less than
	// 20 bytes.
	maxControlBytes = 64
)

// control is a control sequence of a terminal.
type control struct {
	// at is the number of bytes of plain text before it.
	at   int
	text []byte
}

// strip sets plain to text without its control sequences, and controls to these. When the text goes on, the sequence at its
// end that has no end yet is in neither, and is returned.
func (r *Redactor) strip(text []byte, more bool) (open []byte) {
	r.controls = r.controls[:0]
	r.plain = text
	i := bytes.IndexByte(text, escape)
	if i < 0 {
		return nil
	}
	plain := append(r.stripped[:0], text[:i]...)
	for i < len(text) {
		n, ends := controlAt(text[i:])
		switch {
		case n > 0 && ends:
			r.controls = append(r.controls, control{len(plain), text[i : i+n]})
		case n > 0 && more:
			open = text[i:]
			n = len(open)
		default:
			n = 1
			plain = append(plain, text[i])
		}
		i += n
		next := bytes.IndexByte(text[i:], escape)
		if next < 0 {
			next = len(text) - i
		}
		plain = append(plain, text[i:i+next]...)
		i += next
	}
	r.stripped, r.plain = plain, plain
	return open
}

// controlAt returns the length of the control sequence at the beginning of text: ESC [, parameters, and a letter. ends is
// false when text is the beginning of one. n is 0 when it is none.
func controlAt(text []byte) (n int, ends bool) {
	for i, c := range text {
		switch {
		case i == maxControlBytes:
			return 0, false
		case i == 0 && c != escape, i == 1 && c != '[':
			return 0, false
		case i < 2:
		case c >= 0x40 && c <= 0x7e:
			return i + 1, true
		case c < 0x20 || c > 0x3f:
			return 0, false
		}
	}
	return len(text), false
}

// withoutControls returns a text without its control sequences, and whether it has any.
func withoutControls(text []byte) (plain []byte, has bool) {
	var r Redactor
	r.strip(text, false)
	return r.plain, len(r.controls) > 0
}
