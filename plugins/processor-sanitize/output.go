package main

import (
	"bytes"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/mask/redact"
)

// output is what becomes of one record, and of lines that are given back with it. A line can only be put in after a
// record: so what stands before this record takes its place, and its own text comes after that.
type output struct {
	batch  *sdk.Batch
	i      int
	stream *stream
	// moved says that the record has been dropped, as lines stand in its place.
	moved bool
	// after are lines to put in after the record, as it cannot be moved.
	after []insert
	// gone says that the record is dropped in any case.
	gone bool
}

type insert struct {
	stream sdk.Stream
	text   []byte
}

// time returns when the record was written, in nanoseconds.
func (o *output) time() int64 { return o.batch.Time(o.i).UnixNano() }

// before puts a line before the record. Behind pieces of the same line that have passed, it comes after them, as it is
// of another origin.
func (o *output) before(stream sdk.Stream, text []byte) {
	if o.stream.mode == passing {
		o.after = append(o.after, insert{stream, bytes.Clone(text)})
		return
	}
	o.moved = true
	o.batch.InsertAfter(o.i, stream, text)
}

// untouched reports whether the record still is in its place, and all of its line.
func (o *output) untouched() bool { return !o.moved && o.stream.mode == fresh }

// drop removes the record.
func (o *output) drop() { o.gone = true }

// cut takes cuts out of the record, which is a whole line and untouched.
func (o *output) cut(cuts []redact.Cut) { splice(o.batch, o.i, cuts) }

// line puts the text of a whole line in place of the record.
func (o *output) line(text []byte) {
	if o.moved {
		o.batch.InsertAfter(o.i, o.stream.from.stream, text)
		return
	}
	o.replace(text)
}

// piece puts the text of a piece of a line in place of the record; begins says that no piece of it has passed before.
func (o *output) piece(text []byte, begins, more bool) {
	switch {
	case !o.moved:
		o.replace(text)
	case begins && more:
		o.stream.deferred = bytes.Clone(text)
	default:
		o.batch.InsertAfter(o.i, o.stream.from.stream, text)
	}
}

func (o *output) replace(text []byte) {
	if !bytes.Equal(text, o.batch.Bytes(o.i)) {
		o.batch.Replace(o.i, text)
	}
}

// done ends what becomes of the record.
func (o *output) done() {
	if o.moved || o.gone {
		o.batch.Drop(o.i)
	}
	for _, l := range o.after {
		o.batch.InsertAfter(o.i, l.stream, l.text)
	}
}

// splice takes cuts out of a line of a batch.
func splice(batch *sdk.Batch, i int, cuts []redact.Cut) {
	for _, c := range cuts {
		var text []byte
		if c.Mask {
			text = mask
		}
		batch.Splice(i, c.Start, c.End-c.Start, text)
	}
}
