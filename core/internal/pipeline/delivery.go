package pipeline

import (
	"bytes"
	"context"
	"time"

	"github.com/podrunner/runner/core/internal/record"
)

// maxLineBytes bounds a delivered line. A line that came in pieces is put together again up to this length; a longer one
// is delivered as several lines.
const maxLineBytes = 256 << 10

// maxBehindBytes bounds what is delivered while a line is open. Nothing after the beginning of an open line counts as
// delivered, so a spool keeps all of it: a progress bar on stderr, which never ends its line, would in the end hold up the
// job for ever. What the line has by then is delivered as a line.
const maxBehindBytes = 1 << 20

// lineCost is what a line counts there beside its text: it is what a spool's frame has beside it.
const lineCost = 17

// maxChunkLines bounds the lines of a chunk, however short they are.
const maxChunkLines = 10_000

// Chunk is consecutive lines that are delivered in one call.
type Chunk struct {
	// FirstLine is the number of the first line, from 1 in each job.
	FirstLine uint64
	Lines     [][]byte
	// Made is when the chunk was closed; it stays the same when the chunk is sent again.
	Made time.Time

	bytes int
	// through is the number of records of which everything has been said with this chunk, at the number of lines by then, and
	// last that of the lines with this chunk; neither counts core's own about the delivery.
	through, at, last uint64
}

// Progress is how far a log has been delivered, counted from the beginning of the job.
type Progress struct {
	// Records are those of which all that came of them is delivered, At the lines that came of them.
	Records, At uint64
	// Lines are those delivered, without core's own about the delivery; Sent is the number of the last one with them.
	Lines, Sent uint64
}

// Delivery is a Sink that delivers lines in chunks: the first line of a job at once, then when the lines reach MaxBytes or
// maxChunkLines, or MaxInterval after the first line of a chunk. One chunk is on its way at a time, so order holds, and
// at most two more wait; a Sink that is behind holds up the pipeline.
type Delivery struct {
	options DeliveryOptions
	in      chan delivery
	flush   chan chan struct{}
	stopped chan struct{}
	err     error
}

// DeliveryOptions says how to deliver.
type DeliveryOptions struct {
	// MaxBytes bounds the text of a chunk; a longer line goes alone.
	MaxBytes int
	// MaxInterval bounds the time that a line waits.
	MaxInterval time.Duration
	// Send delivers a chunk. It returns when the chunk is where it belongs, or is given up; then notes say so, and go into
	// the log as lines of core's own, behind the chunk or after lines that wait already. Any error ends the delivery, so
	// retries are its own affair.
	Send func(ctx context.Context, chunk Chunk) (notes []string, err error)
	// Lines is how many lines of the log are delivered already, by somebody else, and Sent the number of the last of them with
	// core's own: what is written comes from the beginning of the log all the same.
	Lines, Sent uint64
	// Hole tells of a part of the log that is not written, since it is delivered already: after so many records, and how many
	// lines came of all records up to its end. It is asked whenever records come, which may be when it is known. Nil: there is
	// none.
	Hole func() (after, lines uint64, is bool)
	// Delivered is told of progress, before the log is. It has returned before it is called again. May be nil.
	Delivered func(Progress)
}

// sendAnswer is what Send has returned.
type sendAnswer struct {
	notes []string
	err   error
}

// delivery is one call of Write.
type delivery struct {
	batch     *record.Batch
	through   uint64
	delivered func(uint64)
}

// NewDelivery starts a delivery; it ends with ctx.
func NewDelivery(ctx context.Context, options DeliveryOptions) *Delivery {
	d := &Delivery{
		options: options,
		in:      make(chan delivery),
		flush:   make(chan chan struct{}),
		stopped: make(chan struct{}),
	}
	go d.run(ctx)
	return d
}

// Wait returns when the delivery has ended, which it does when its context ends or Send fails.
func (d *Delivery) Wait() { <-d.stopped }

// Write implements Sink.
func (d *Delivery) Write(ctx context.Context, batch *record.Batch, through uint64, delivered func(uint64)) error {
	select {
	case d.in <- delivery{batch, through, delivered}:
		return nil
	case <-d.stopped:
		return d.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Flush implements Sink.
func (d *Delivery) Flush(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case d.flush <- done:
	case <-d.stopped:
		return d.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-done:
		return nil
	case <-d.stopped:
		return d.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run owns the chunks. Everything that happens to them happens here, one event at a time.
func (d *Delivery) run(ctx context.Context) {
	defer close(d.stopped)
	ctx, cancel := context.WithCancel(ctx)
	c := newChunker(&d.options)
	answers := make(chan sendAnswer, 1)
	var sending *Chunk
	var flushed chan struct{}
	defer func() {
		cancel()
		if sending == nil {
			return
		}
		if answer := <-answers; answer.err == nil { // where it belongs all the same; whoever goes on with the log is to know
			c.done(sending)
		}
	}()
	for {
		if sending == nil {
			if sending = c.take(); sending != nil {
				go func(chunk Chunk) {
					notes, err := d.options.Send(ctx, chunk)
					answers <- sendAnswer{notes, err}
				}(*sending)
			} else if flushed != nil && c.empty() {
				close(flushed)
				flushed = nil
			}
		}
		in := d.in
		if c.full() {
			in = nil
		}
		select {
		case w := <-in:
			c.write(w)
			if sending == nil && c.empty() {
				c.tell(c.through, c.at)
			}
		case done := <-d.flush:
			flushed = done
			c.cut()
		case <-c.timer.C:
			c.cut()
		case answer := <-answers:
			chunk := sending
			sending = nil
			if answer.err != nil {
				d.err = answer.err
				return
			}
			c.done(chunk)
			for _, text := range answer.notes {
				c.own(note(text))
			}
			if flushed != nil {
				c.cut()
			}
		case <-ctx.Done():
			d.err = context.Cause(ctx)
			return
		}
	}
}

// chunker packs lines into chunks.
type chunker struct {
	options *DeliveryOptions
	ready   []*Chunk
	current *Chunk
	next    uint64
	timer   *time.Timer
	open    [2][]byte
	// behind counts the bytes that have come since a line was opened while none was.
	behind    int
	delivered func(uint64)
	// through is that of the last Write after which no line was open, at the number of lines by then.
	through, at uint64
	// lines counts those that have come, without core's own about the delivery, passed says that those of the hole are counted.
	lines  uint64
	passed bool
	// usual is how many lines the next chunk has room for, before it has to grow: as many as the one before had.
	usual int
	// told is the progress.
	told Progress
}

func newChunker(options *DeliveryOptions) *chunker {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &chunker{options: options, next: options.Sent + 1, timer: timer, told: Progress{Lines: options.Lines, Sent: options.Sent}}
}

// full reports that chunks wait to be sent, so that nothing more is taken.
func (c *chunker) full() bool { return len(c.ready) > 0 }

func (c *chunker) empty() bool { return len(c.ready) == 0 && c.current == nil }

// take returns the next chunk to send, nil when there is none.
func (c *chunker) take() *Chunk {
	if len(c.ready) == 0 {
		return nil
	}
	chunk := c.ready[0]
	c.ready = c.ready[1:]
	return chunk
}

// done says that a chunk is where it belongs.
func (c *chunker) done(chunk *Chunk) {
	c.told.Lines, c.told.Sent = chunk.last, chunk.FirstLine+uint64(len(chunk.Lines))-1
	if c.empty() {
		c.tell(c.through, c.at)
		return
	}
	c.tell(chunk.through, chunk.at)
}

// tell says that records are delivered, of which so many lines have come.
func (c *chunker) tell(through, at uint64) {
	c.told.Records, c.told.At = through, at
	if c.options.Delivered != nil {
		c.options.Delivered(c.told)
	}
	c.delivered(through)
}

// pass counts the lines of the hole, when records come from behind it.
func (c *chunker) pass(through uint64) {
	if c.passed || c.options.Hole == nil {
		return
	}
	if after, lines, is := c.options.Hole(); is && through > after {
		c.passed, c.lines = true, lines
	}
}

func (c *chunker) write(w delivery) {
	c.delivered = w.delivered
	c.pass(w.through)
	if w.batch != nil {
		for _, r := range compact(w.batch).All {
			c.piece(r)
		}
	}
	if c.isOpen() {
		return
	}
	c.through, c.at = w.through, c.lines
	if c.current != nil {
		c.current.through, c.current.at = w.through, c.lines
	}
}

// compact returns the batch with memory for no more than its texts. A chunk may keep lines for a long time, and those of
// a job that prints one now and then come in batches that have room for hundreds.
func compact(batch *record.Batch) *record.Batch {
	if 2*len(batch.Data) >= cap(batch.Data) {
		return batch
	}
	small := *batch
	small.Data = bytes.Clone(batch.Data)
	return &small
}

// isOpen reports whether a line has no end yet.
func (c *chunker) isOpen() bool { return c.open[0] != nil || c.open[1] != nil }

// piece puts the pieces of a line together, and ends lines that are open for too long.
func (c *chunker) piece(r record.Record) {
	c.join(r)
	if !c.isOpen() {
		c.behind = 0
		return
	}
	if c.behind += len(r.Text) + lineCost; c.behind <= maxBehindBytes {
		return
	}
	c.behind = 0
	for i, text := range c.open {
		if c.open[i] = nil; text != nil {
			c.line(text)
		}
	}
}

func (c *chunker) join(r record.Record) {
	open := &c.open[0]
	if r.Flags&record.Stderr != 0 {
		open = &c.open[1]
	}
	text := r.Text
	if *open != nil {
		text = append(*open, text...)
	}
	if r.Flags&record.Partial != 0 && len(text) < maxLineBytes {
		*open = append(make([]byte, 0, 2*len(text)+1), text...)
		return
	}
	*open = nil
	c.line(text)
}

// line takes a line of the log, unless it is delivered already.
func (c *chunker) line(text []byte) {
	c.lines++
	if c.lines > c.options.Lines {
		c.own(text)
	}
}

// own takes a line, or one of core's own about the delivery.
func (c *chunker) own(text []byte) {
	if c.current != nil && c.current.bytes+len(text) > c.options.MaxBytes {
		c.cut()
	}
	if c.current == nil {
		c.current = &Chunk{FirstLine: c.next, Lines: make([][]byte, 0, c.usual), through: c.through, at: c.at}
		c.timer.Reset(c.options.MaxInterval)
	}
	c.current.Lines = append(c.current.Lines, text)
	c.current.bytes += len(text)
	c.current.last = max(c.lines, c.options.Lines)
	c.next++
	if c.next == 2 || len(c.current.Lines) == maxChunkLines {
		c.cut()
	}
}

// cut closes the current chunk.
func (c *chunker) cut() {
	if c.current == nil {
		return
	}
	c.timer.Stop()
	c.current.Made = time.Now()
	c.ready = append(c.ready, c.current)
	c.usual = len(c.current.Lines)
	c.current = nil
}
