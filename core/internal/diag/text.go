package diag

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Style is how diagnostics are printed as text.
type Style struct {
	// Width is the number of columns to fit into; 0 for any.
	Width int
	// Color says that escape sequences may be used: the writer is a terminal.
	Color bool
}

// maxSnippet bounds the characters of a snippet when there is no width to fit into.
const maxSnippet = 160

// WriteText prints diagnostics for people, in their order.
func WriteText(w io.Writer, d Diagnostics, style Style) error {
	for _, x := range d {
		if _, err := io.WriteString(w, style.text(x)); err != nil {
			return err
		}
	}
	return nil
}

// text returns one diagnostic as a paragraph with an empty line after it.
func (style Style) text(d Diagnostic) string {
	var b strings.Builder
	word, color := "Error", "\x1b[31m"
	if d.Severity == Warning {
		word, color = "Warning", "\x1b[33m"
	}
	fmt.Fprintf(&b, "%s: %s\n", style.paint(word, color), printableText(d.Summary))
	if place := d.Range.String(); place != "" {
		fmt.Fprintf(&b, "  on %s\n", printableText(place))
	}
	if s, ok := newSnippet(d.Range); ok {
		b.WriteString(style.snippet(s, d.Range.Start.Line, color))
	}
	if d.Detail != "" {
		for _, line := range strings.Split(printableText(d.Detail), "\n") {
			b.WriteString(wrap(line, style.Width))
		}
	}
	b.WriteByte('\n')
	return b.String()
}

// snippet returns the line with a line below it that points.
func (style Style) snippet(s snippet, number int, color string) string {
	gutter := fmt.Sprintf("%5d", number)
	const bar = " | "
	width := maxSnippet
	if style.Width > 0 {
		width = max(20, style.Width-len(gutter)-len(bar))
	}
	s = s.cut(width)

	var pointer strings.Builder
	for i := range s.from {
		if i < len(s.text) && s.text[i] == '\t' {
			pointer.WriteByte('\t')
		} else {
			pointer.WriteByte(' ')
		}
	}
	marks := strings.Repeat("^", s.to-s.from)
	return gutter + bar + string(s.text) + "\n" +
		strings.Repeat(" ", len(gutter)) + bar + pointer.String() + style.paint(marks, color) + "\n"
}

func (style Style) paint(text, color string) string {
	if !style.Color {
		return text
	}
	return color + text + "\x1b[0m"
}

// wrap breaks a line at its spaces so that it fits into width columns, indented by two and by what it is indented already.
func wrap(line string, width int) string {
	indent := "  " + line[:len(line)-len(strings.TrimLeft(line, " "))]
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(line) {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case width > 0 && column+1+n > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	b.WriteByte('\n')
	return b.String()
}
