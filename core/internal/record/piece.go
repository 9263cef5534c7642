package record

import "unicode/utf8"

// Cut returns how many bytes of text the next piece of a long line takes: all of it when it fits a record, else at most
// MaxBytes, on a rune border when one is near. It never returns 0 for a text that is not empty.
func Cut(text []byte) int {
	if len(text) <= MaxBytes {
		return len(text)
	}
	for n := MaxBytes; n > MaxBytes-utf8.UTFMax; n-- {
		if utf8.RuneStart(text[n]) {
			return n
		}
	}
	return MaxBytes
}
