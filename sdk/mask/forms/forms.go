// Package forms knows how a sensitive value can look in a log. It does not judge whether a text is fit to be looked for;
// package policy does.
package forms

import "bytes"

// Kind is what a text is to the value that it stands for.
type Kind int

// The kinds.
const (
	// Value: the value itself, of one line.
	Value Kind = iota
	// Block: the value itself, of several lines. It can occur in a text, but not in a line.
	Block
	// Line: a line of a value of several lines.
	Line
)

// Text is a text that stands for a value.
type Text struct {
	Kind  Kind
	Bytes []byte
}

// Of returns the texts that stand for a value. White space around a value or a line is not part of it: a value that was
// read from a file ends in a newline, and nothing prints that. A text may be empty, and may occur twice.
func Of(value []byte) []Text {
	value = bytes.TrimSpace(value)
	if bytes.IndexByte(value, '\n') < 0 {
		return []Text{{Value, value}}
	}
	texts := []Text{{Block, value}}
	if lf := bytes.ReplaceAll(value, []byte("\r\n"), []byte("\n")); len(lf) < len(value) {
		texts = append(texts, Text{Block, lf})
	}
	for line := range bytes.SplitSeq(value, []byte{'\n'}) {
		texts = append(texts, Text{Line, bytes.TrimSpace(line)})
	}
	return texts
}
