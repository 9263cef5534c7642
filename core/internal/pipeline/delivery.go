package pipeline

import (
	"context"
	"time"

	"github.com/podrunner/runner/core/internal/record"
)

// maxLineBytes bounds a delivered line. A line that came in pieces is put together again up to this length; a longer one
// is delivered as several lines.
const maxLineBytes = 256 << 10

// Chunk is consecutive lines that are delivered in one call.
type Chunk struct {
	// FirstLine is the number of the first line, from 1 in each job.
	FirstLine uint64
	Lines     [][]byte
	// Made is when the chunk was closed; it stays the same when the chunk is sent again.
	Made time.Time

	bytes   int
	through uint64
}

// Delivery is a Sink that delivers lines in chunks: the first line of a job at once, then when the lines reach MaxBytes,
// or MaxInterval after the first line of a chunk. One chunk is on its way at a time, so order holds, and at most two more
// wait; a Sink that is behind holds up the pipeline.
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
	// Send delivers a chunk. It returns nil when the chunk is where it belongs; any error ends the delivery, so retries
	// are its own affair.
	Send func(ctx context.Context, chunk Chunk) error
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
	c := newChunker(d.options)
	sent := make(chan error, 1)
	var sending *Chunk
	var flushed chan struct{}
	defer func() {
		cancel()
		if sending != nil {
			<-sent //nolint:errcheck // the delivery has ended already, with an error of its own
		}
	}()
	for {
		if sending == nil {
			if sending = c.take(); sending != nil {
				go func(chunk Chunk) { sent <- d.options.Send(ctx, chunk) }(*sending)
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
				c.delivered(c.through)
			}
		case done := <-d.flush:
			flushed = done
			c.cut()
		case <-c.timer.C:
			c.cut()
		case err := <-sent:
			chunk := sending
			sending = nil
			if err != nil {
				d.err = err
				return
			}
			c.done(chunk)
		case <-ctx.Done():
			d.err = context.Cause(ctx)
			return
		}
	}
}

// chunker packs lines into chunks.
type chunker struct {
	options   DeliveryOptions
	ready     []*Chunk
	current   *Chunk
	next      uint64
	timer     *time.Timer
	open      [2][]byte
	delivered func(uint64)
	// through is that of the last Write after which no line was open.
	through uint64
}

func newChunker(options DeliveryOptions) *chunker {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &chunker{options: options, next: 1, timer: timer}
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
	through := chunk.through
	if c.empty() {
		through = c.through
	}
	c.delivered(through)
}

func (c *chunker) write(w delivery) {
	c.delivered = w.delivered
	if w.batch != nil {
		for _, r := range w.batch.All {
			c.piece(r)
		}
	}
	if c.open[0] != nil || c.open[1] != nil {
		return
	}
	c.through = w.through
	if c.current != nil {
		c.current.through = w.through
	}
}

// piece puts the pieces of a line together.
func (c *chunker) piece(r record.Record) {
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

func (c *chunker) line(text []byte) {
	if c.current != nil && c.current.bytes+len(text) > c.options.MaxBytes {
		c.cut()
	}
	if c.current == nil {
		c.current = &Chunk{FirstLine: c.next, through: c.through}
		c.timer.Reset(c.options.MaxInterval)
	}
	c.current.Lines = append(c.current.Lines, text)
	c.current.bytes += len(text)
	c.next++
	if c.next == 2 {
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
	c.current = nil
}
