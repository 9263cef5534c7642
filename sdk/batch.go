package sdk

import (
	"time"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// Batch is consecutive lines of one step of a job. Lines are named by their index in the batch, from 0; an index that is
// out of range panics, as it does with a slice.
//
// A Batch is used by one goroutine and is valid until the call that it was given to returns; the same goes for the bytes
// that it hands out, which are not to be changed. Edits work as those of [Line] do, and may come in any order: they
// cost least when they come in the order of the lines, and within a line in the order of their offsets.
type Batch struct {
	records *pluginv1.Batch
	// times holds the lines' times once Time has been asked for any; its memory goes from batch to batch.
	times []int64
	edits editLog
}

// Len returns the number of lines.
func (b *Batch) Len() int { return len(b.records.Ends) }

// Bytes returns line i without its line end, as the job wrote it: not always UTF-8.
func (b *Batch) Bytes(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = b.records.Ends[i-1]
	}
	end := b.records.Ends[i]
	return b.records.Data[start:end:end]
}

// Data returns the bytes of all lines, one after the other with nothing between them, for those who look at them all
// at once; Ends tells where lines end. Not to be changed.
func (b *Batch) Data() []byte { return b.records.Data }

// Ends returns, for each line, the offset in Data at which it ends. Not to be changed.
func (b *Batch) Ends() []uint32 { return b.records.Ends }

// FirstSeq returns the number of the first line; see [Line.Seq]. The others follow without a gap.
func (b *Batch) FirstSeq() uint64 { return b.records.FirstSeq }

// Step returns the step that wrote the lines: "init" or "job".
func (b *Batch) Step() string { return b.records.Step }

// Stream returns the stream that line i was written to.
func (b *Batch) Stream(i int) Stream {
	return Stream(b.records.Flags[i] & streamFlags)
}

// Partial reports whether line i goes on in the next line of the same step and stream.
func (b *Batch) Partial(i int) bool {
	return b.records.Flags[i]&byte(pluginv1.Flag_FLAG_PARTIAL) != 0
}

// Flags returns the protocol's flags of line i, also those that this version of the package has no name for.
func (b *Batch) Flags(i int) byte { return b.records.Flags[i] }

// Time returns when the job wrote line i, in the time zone of the process.
func (b *Batch) Time(i int) time.Time {
	if len(b.times) == 0 {
		now := b.records.BaseTime
		for n := range b.records.Ends {
			if n < len(b.records.Dt) {
				now += b.records.Dt[n]
			}
			b.times = append(b.times, now)
		}
	}
	return time.Unix(0, b.times[i])
}

// Line returns line i by itself.
func (b *Batch) Line(i int) Line { return Line{batch: b, index: i} }

// Replace puts text in place of the whole of line i. text holds no line end; it is copied.
func (b *Batch) Replace(i int, text []byte) { b.Splice(i, 0, len(b.Bytes(i)), text) }

// Splice removes n bytes of line i at offset and puts text there. text holds no line end; it is copied.
func (b *Batch) Splice(i, offset, n int, text []byte) {
	size := len(b.Bytes(i))
	if offset < 0 || n < 0 || offset > size || n > size-offset {
		b.edits.fail("splice of line %d, %d bytes at offset %d: the line has %d bytes", b.seq(i), n, offset, size)
		return
	}
	b.edits.add(edit{line: uint32(i), op: opSplice, offset: uint32(offset), removed: uint32(n)}, b, text)
}

// Drop removes line i from the log.
func (b *Batch) Drop(i int) {
	_ = b.Bytes(i)
	b.edits.add(edit{line: uint32(i), op: opDrop}, b, nil)
}

// InsertAfter adds a line after line i; after a piece of a line of the same stream, behind the end of that line. Several
// come in the order of the calls. stream is Stdout or Stderr. text holds no line end; it is copied.
func (b *Batch) InsertAfter(i int, stream Stream, text []byte) {
	_ = b.Bytes(i)
	if stream == Outcome {
		b.edits.fail("insert after line %d: no line can be added to the outcome file; set variables in Finish", b.seq(i))
		return
	}
	b.edits.add(edit{line: uint32(i), op: opInsert, flags: byte(stream)}, b, text)
}

// seq returns the number of line i.
func (b *Batch) seq(i int) uint64 { return b.records.FirstSeq + uint64(i) }

// reset makes b the batch of records, which have been checked, with no edits.
func (b *Batch) reset(records *pluginv1.Batch) {
	b.records = records
	b.times = b.times[:0]
	b.edits.reset()
}
