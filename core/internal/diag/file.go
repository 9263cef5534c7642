package diag

import (
	"bytes"
	"fmt"
)

// File is a file that diagnostics point into. It is not safe for concurrent use.
type File struct {
	// Name is the path as the user gave it.
	Name string
	// Text is what the file holds; nil when it could not be read.
	Text []byte

	hidden []span
}

// span is bytes of a file, the end excluded.
type span struct{ start, end int }

// Hide keeps the bytes from start to end out of every snippet that is printed from now on.
func (f *File) Hide(start, end int) {
	if start < end {
		f.hidden = append(f.hidden, span{start, end})
	}
}

// hiddenUntil returns the end of the hidden bytes that offset is in; 0 when it is in none. Spans that touch are one.
func (f *File) hiddenUntil(offset int) int {
	end := 0
	for again := true; again; {
		again = false
		for _, s := range f.hidden {
			if s.start <= max(offset, end) && max(offset, end) < s.end {
				end, again = s.end, true
			}
		}
	}
	return end
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

// line returns the text of the line in which the range starts, without its end, and the offset at which it begins.
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
	return bytes.TrimSuffix(text, []byte("\r")), offset, true
}
