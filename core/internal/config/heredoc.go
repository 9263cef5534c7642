package config

import (
	"bytes"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// lineOf returns the place of a line of a text, counted from 1: that line itself in a here-document, else the whole
// expression and false.
func (s *source) lineOf(expr hclsyntax.Expression, line int) (hcl.Range, bool) {
	expr = s.written(expr)
	at := expr.Range()
	template, ok := expr.(*hclsyntax.TemplateExpr)
	if !ok || line < 1 || s.file == nil || s.overridden(at) || !bytes.HasPrefix(s.file.Text[at.Start.Byte:], []byte("<<")) {
		return at, false
	}
	for _, part := range template.Parts {
		// What is put in may have lines of its own.
		if _, literal := part.(*hclsyntax.LiteralValueExpr); !literal {
			return at, false
		}
	}
	start := at.Start.Byte
	for range line {
		next := bytes.IndexByte(s.file.Text[start:at.End.Byte], '\n')
		if next < 0 {
			return at, false
		}
		start += next + 1
	}
	text, _, _ := bytes.Cut(s.file.Text[start:at.End.Byte], []byte("\n"))
	indent := len(text) - len(bytes.TrimLeft(text, " \t"))
	text = bytes.TrimSpace(text)
	from := hcl.Pos{Line: at.Start.Line + line, Column: indent + 1, Byte: start + indent}
	to := hcl.Pos{Line: from.Line, Column: from.Column + utf8.RuneCount(text), Byte: from.Byte + len(text)}
	return hcl.Range{Filename: at.Filename, Start: from, End: to}, true
}
