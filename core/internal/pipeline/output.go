package pipeline

import (
	"fmt"
	"time"

	"github.com/podrunner/runner/core/internal/record"
)

// maxDeferredBytes bounds the new lines that wait for the end of a long line, but for the first, which always waits. What
// is beyond it is left out: to end the long line in its middle would hide from the stages behind what stands across the
// cut, such as a secret.
const maxDeferredBytes = 1 << 20

// deferredCost is what a line that waits costs beside its text.
const deferredCost = 64

// output is what a stage writes its records to. It packs them into batches anew, since edits change their sizes; it
// cuts what has grown too long; and it keeps the rule that a partial record is followed by its next piece, whatever a
// processor drops or puts in.
type output struct {
	// emit hands a batch on; it waits as long as the next stage is behind.
	emit    func(*record.Batch) error
	builder record.Builder
	// step and now are those of the record being written.
	step string
	now  int64
	// lines is the state of each stream's last line, in the order of streams.
	lines [len(streams)]line
	// kind is that of the records that are being packed, if there are any.
	kind record.Flags
}

// streams are the flags of each stream.
var streams = [...]record.Flags{0, record.Stderr, record.Outcome}

// line is the last line of a stream.
type line struct {
	// open: the last record of it that was written is partial.
	open bool
	// deferred are whole lines that a processor has put in while it was open. They follow it.
	deferred      []record.Record
	deferredBytes int
	// leftOut counts those that there was no room for.
	leftOut int
}

func (o *output) line(flags record.Flags) *line {
	switch {
	case flags&record.Outcome != 0:
		return &o.lines[2]
	case flags&record.Stderr != 0:
		return &o.lines[1]
	default:
		return &o.lines[0]
	}
}

// separate begins a new batch when the records packed so far are of the log and the one to come is of an outcome file, or
// the other way round: a batch has one kind of them.
func (o *output) separate(flags record.Flags) error {
	kind := flags & record.Outcome
	if kind == o.kind {
		return nil
	}
	err := o.flush()
	o.kind = kind
	return err
}

// pass writes a batch that no edit touches: the batch itself goes on, with no copy, unless lines wait for the end of one
// of its lines.
func (o *output) pass(batch *record.Batch) error {
	if o.defers() {
		return o.run(batch, 0, batch.Len(), batch.BaseTime)
	}
	if err := o.flush(); err != nil {
		return err
	}
	o.passed(batch.Step, batch.LastTime(), batch.Flags)
	return o.emit(batch)
}

// run writes records of a batch, from from up to, and not including, to, unchanged. before is the time of the record
// before from, or the batch's BaseTime. They are of one kind.
func (o *output) run(batch *record.Batch, from, to int, before int64) error {
	if from < to {
		if err := o.separate(record.Flags(batch.Flags[from])); err != nil {
			return err
		}
	}
	for from < to {
		n := 1
		if o.defers() {
			r := record.Record{Flags: record.Flags(batch.Flags[from]), Time: before + batch.Elapsed(from, from+1), Text: batch.Text(from)}
			if err := o.record(batch.Step, r); err != nil {
				return err
			}
		} else if n = o.builder.AddRun(batch, from, to, before); n == 0 {
			if err := o.flush(); err != nil {
				return err
			}
		}
		before += batch.Elapsed(from, from+n)
		o.passed(batch.Step, before, batch.Flags[from:from+n])
		from += n
	}
	return nil
}

// defers reports whether lines wait for the end of another.
func (o *output) defers() bool { return o.lines[0].deferred != nil || o.lines[1].deferred != nil }

// passed notes what records that have been written unchanged say of their lines.
func (o *output) passed(step string, now int64, flags []byte) {
	o.step, o.now = step, now
	for _, f := range flags {
		o.line(record.Flags(f)).open = record.Flags(f)&record.Partial != 0
	}
}

// record writes a record unchanged.
func (o *output) record(step string, r record.Record) error {
	if err := o.begin(step, r.Flags, r.Time); err != nil {
		return err
	}
	o.append(r.Text)
	return o.end(r.Flags)
}

// begin starts a record; append and then end or drop follow, with the same flags.
func (o *output) begin(step string, flags record.Flags, now int64) error {
	if err := o.separate(flags); err != nil {
		return err
	}
	if !o.builder.Fits(step, 0) {
		if err := o.flush(); err != nil {
			return err
		}
	}
	o.step, o.now = step, now
	o.builder.Begin(step, now)
	return nil
}

func (o *output) append(text []byte) { o.builder.Append(text) }

// end closes the record. One that has grown too long, or that the batch has no room for, is taken out again and written
// in pieces or to the next batch.
func (o *output) end(flags record.Flags) error {
	if o.builder.OpenLen() > record.MaxBytes || o.builder.Overfull() {
		text := append([]byte(nil), o.builder.Abort()...)
		if err := o.pieces(record.Record{Flags: flags, Time: o.now, Text: text}); err != nil {
			return err
		}
	} else {
		o.builder.End(flags)
	}
	l := o.line(flags)
	l.open = flags&record.Partial != 0
	if l.open {
		return nil
	}
	return o.release(l, flags)
}

// drop forgets the record that begin has started. Should it be the last piece of a line of which other pieces have been
// written, an empty piece closes the line.
func (o *output) drop(flags record.Flags) error {
	o.builder.Abort()
	l := o.line(flags)
	if !l.open || flags&record.Partial != 0 {
		return nil
	}
	return o.close(flags)
}

// insert writes a whole new line of a processor's, after the line of its stream that is still open, if there is one.
func (o *output) insert(step string, r record.Record) error {
	l := o.line(r.Flags)
	if l.deferred != nil && l.deferredBytes+len(r.Text)+deferredCost > maxDeferredBytes {
		l.leftOut++
		return nil
	}
	return o.put(step, r)
}

// put is insert without the bound, for what is bounded otherwise.
func (o *output) put(step string, r record.Record) error {
	o.step = step
	l := o.line(r.Flags)
	if !l.open {
		return o.pieces(r)
	}
	r.Text = append([]byte(nil), r.Text...)
	l.deferred = append(l.deferred, r)
	l.deferredBytes += len(r.Text) + deferredCost
	return nil
}

// addLine writes a line that no processor has put anywhere and that the job has not written, after the last record.
func (o *output) addLine(flags record.Flags, text []byte) error {
	step, now := o.step, o.now
	if step == "" {
		step, now = record.StepJob, time.Now().UnixNano()
	}
	return o.put(step, record.Record{Flags: flags, Time: now, Text: text})
}

// close ends the open line of a stream with an empty piece.
func (o *output) close(flags record.Flags) error {
	if err := o.begin(o.step, flags, o.now); err != nil {
		return err
	}
	return o.end(flags &^ record.Partial)
}

// release writes the lines that have waited for the end of this one, which was of the stream that flags names.
func (o *output) release(l *line, flags record.Flags) error {
	deferred, leftOut := l.deferred, l.leftOut
	l.deferred, l.deferredBytes, l.leftOut = nil, 0, 0
	for _, r := range deferred {
		if err := o.pieces(r); err != nil {
			return err
		}
	}
	if leftOut == 0 {
		return nil
	}
	text := fmt.Sprintf("%d lines that were put in were left out: more than 1 MiB of them waited for the end of a long line", leftOut)
	return o.pieces(record.Record{Flags: flags &^ record.Partial, Time: o.now, Text: note(text)})
}

// pieces writes a record of any length.
func (o *output) pieces(r record.Record) error {
	if err := o.separate(r.Flags); err != nil {
		return err
	}
	for {
		n := record.Cut(r.Text)
		piece := record.Record{Flags: r.Flags, Time: r.Time, Text: r.Text[:n]}
		if n < len(r.Text) {
			piece.Flags |= record.Partial
		}
		if !o.builder.Fits(o.step, n) {
			if err := o.flush(); err != nil {
				return err
			}
		}
		o.builder.Add(o.step, piece)
		if r.Text = r.Text[n:]; len(r.Text) == 0 {
			return nil
		}
	}
}

// finish closes lines that are still open and writes what waits for their ends.
func (o *output) finish() error {
	for i := range o.lines {
		l := &o.lines[i]
		if !l.open {
			continue
		}
		if err := o.close(streams[i]); err != nil {
			return err
		}
	}
	return o.flush()
}

// flush hands on what has been packed so far.
func (o *output) flush() error {
	if batch := o.builder.Take(); batch != nil {
		return o.emit(batch)
	}
	return nil
}
