package diag

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// hiddenText stands in a snippet for what must not be seen.
const hiddenText = "(hidden)"

// snippet is the line that a range starts in, fit to be printed, character by character.
type snippet struct {
	text []rune
	// from and to are the characters that the diagnostic is about; at least one, perhaps past the end of the line.
	from, to int
}

// newSnippet makes the snippet of a range. It reports false when there is no text to show.
func newSnippet(r Range) (snippet, bool) {
	line, offset, ok := r.line()
	if !ok {
		return snippet{}, false
	}
	s := snippet{from: -1}
	for i := 0; i < len(line); {
		at := offset + i
		s.place(r, at)
		if end := r.File.hiddenUntil(at); end > 0 {
			s.text = append(s.text, []rune(hiddenText)...)
			i = end - offset
			if at < r.End.Byte {
				s.to = len(s.text)
			}
			continue
		}
		c, size := utf8.DecodeRune(line[i:])
		s.text = append(s.text, printable(c))
		i += size
	}
	s.place(r, offset+len(line))
	if s.from < 0 {
		s.from = len(s.text)
	}
	if s.to <= s.from {
		s.to = s.from + 1
	}
	return s, true
}

// place notes the character that the file's byte at offset is, or is a part of, when the range starts or ends there.
func (s *snippet) place(r Range, offset int) {
	if s.from < 0 && offset >= r.Start.Byte {
		s.from = len(s.text)
	}
	if offset <= r.End.Byte {
		s.to = len(s.text)
	}
}

// cut shortens the snippet to width characters around its start.
func (s snippet) cut(width int) snippet {
	if len(s.text) <= width {
		s.to = min(s.to, max(len(s.text), s.from+1))
		return s
	}
	start := max(0, min(s.from-width/3, len(s.text)-width))
	end := start + width
	text := append([]rune(nil), s.text[start:end]...)
	if start > 0 {
		text[0] = '…'
	}
	if end < len(s.text) {
		text[len(text)-1] = '…'
	}
	return snippet{text: text, from: s.from - start, to: min(s.to-start, max(width, s.from-start+1))}
}

// printable returns c, or a stand-in for a character that a terminal would act on.
func printable(c rune) rune {
	if c == '\t' || unicode.IsPrint(c) {
		return c
	}
	return utf8.RuneError
}

// printableText is printable for a text of several lines.
func printableText(text string) string {
	return strings.Map(func(c rune) rune {
		if c == '\n' {
			return c
		}
		return printable(c)
	}, text)
}
