package diag

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// File is a file that diagnostics point into. It is not safe for concurrent use.
type File struct {
	// Name is the path as the user gave it.
	Name string
	// Text is what the file holds; nil when it could not be read.
	Text []byte

	// hidden is sorted and its spans do not touch, once merged is true.
	hidden []span
	merged bool
}

// span is bytes of a file, the end excluded.
type span struct{ start, end int }

// Hide keeps the bytes from start to end out of every snippet that is printed from now on.
func (f *File) Hide(start, end int) {
	if start < end {
		f.hidden, f.merged = append(f.hidden, span{start, end}), false
	}
}

// hiddenUntil returns the end of the hidden bytes that offset is in; 0 when it is in none.
func (f *File) hiddenUntil(offset int) int {
	if !f.merged {
		f.hidden, f.merged = merge(f.hidden), true
	}
	i, _ := slices.BinarySearchFunc(f.hidden, offset, func(s span, offset int) int { return cmp.Compare(s.end, offset+1) })
	if i < len(f.hidden) && f.hidden[i].start <= offset {
		return f.hidden[i].end
	}
	return 0
}

// merge sorts spans and makes one of those that touch.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && s.start <= out[n-1].end {
			out[n-1].end = max(out[n-1].end, s.end)
			continue
		}
		out = append(out, s)
	}
	return out
}

// Pos is a place in a file. Line and Column count from 1, columns in characters; Byte is the offset from 0.
type Pos struct{ Line, Column, Byte int }

// Range is a part of a file, End excluded. With a Start that is zero it is the file as a whole; the zero Range is no
// place at all.
type Range struct {
	File       *File
	Start, End Pos
}

// Filename returns the name of the range's file, "" when there is none.
func (r Range) Filename() string {
	if r.File == nil {
		return ""
	}
	return r.File.Name
}

// String returns "file:line:column", as far as it is known.
func (r Range) String() string {
	if r.Start.Line == 0 {
		return r.Filename()
	}
	return fmt.Sprintf("%s:%d:%d", r.Filename(), r.Start.Line, r.Start.Column)
}

// maxLine bounds what is looked at before and after the start of a range in its line.
const maxLine = 4 << 10

// line returns the text of the line in which the range starts, without its end, and the offset at which it begins. Of a
// very long line it is a part.
func (r Range) line() (text []byte, offset int, ok bool) {
	if r.File == nil || r.Start.Line == 0 || r.Start.Byte > len(r.File.Text) {
		return nil, 0, false
	}
	all := r.File.Text
	offset = bytes.LastIndexByte(all[:r.Start.Byte], '\n') + 1
	text = all[offset:]
	if end := bytes.IndexByte(text, '\n'); end >= 0 {
		text = text[:end]
	}
	text = bytes.TrimSuffix(text, []byte("\r"))
	at := r.Start.Byte - offset
	if end := at + maxLine; end < len(text) {
		text = text[:end]
	}
	if start := at - maxLine; start > 0 {
		text, offset = text[start:], offset+start
	}
	return text, offset, true
}
