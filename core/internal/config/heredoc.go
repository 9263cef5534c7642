package config

import (
	"bytes"
	"regexp"
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

// What of an overlay may be secret in its line: what follows a telling name, or one under which Kubernetes has texts of any
// kind, and all of a line that does not begin with a key, as those of a text of several lines and of a list of arguments.
var (
	overlaySecret = regexp.MustCompile(`(?mi)(?:` + tellingName + `[a-z0-9_.-]*|\b(?:value|args|command))\\?["']?[ \t]*[=:][ \t]*(.*)$`)
	overlayKey    = regexp.MustCompile(`^[ \t]*(?:-[ \t]+)*(?:\{|["'][^"']*["'][ \t]*:|[^\s:,"'{}\[\]]+:(?:\s|$))`)
)

// hideOverlay keeps out of snippets what may be secret in an overlay that is written out.
func (s *source) hideOverlay(expr hclsyntax.Expression) {
	at := s.written(expr).Range()
	if s.file == nil || s.overridden(at) {
		return
	}
	start, text := at.Start.Byte, s.file.Text[at.Start.Byte:at.End.Byte]
	for _, m := range overlaySecret.FindAllSubmatchIndex(text, -1) {
		s.file.Hide(start+m[2], start+m[3])
	}
	for i, line := range bytes.SplitAfter(text, []byte("\n")) {
		if body := bytes.TrimSpace(line); i > 0 && !overlayKey.Match(line) { // the first line is HCL's
			from := start + bytes.Index(line, body)
			s.file.Hide(from, from+len(body))
		}
		start += len(line)
	}
}
