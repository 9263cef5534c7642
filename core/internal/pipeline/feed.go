package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/podrunner/runner/core/internal/record"
)

// linger is how long a batch that is not full waits for more, counted from when the one before it left. The protocol allows 100 ms; 10 ms keep a reader's eye
// content and still gather ten lines of a job that prints a thousand a second. A line that comes after a quiet time,
// the first one above all, does not wait.
const linger = 10 * time.Millisecond

// feed reads the log, gathers small batches into larger ones, closes lines that the log leaves open, and sends the
// job's result at the end.
func feed(ctx context.Context, options *Options, out chan<- item) error {
	f := &feeder{ctx: ctx, out: out, observe: options.observer(0)}
	f.outcomeRead = slices.ContainsFunc(options.Stages, func(s Stage) bool { return s.ReadsOutcome })
	f.output.emit = f.emit
	group := newGroup(ctx)
	batches := make(chan *record.Batch)
	var logErr error
	group.run(func(ctx context.Context) error {
		defer close(batches)
		logErr = read(ctx, options.Log, batches)
		return nil
	})
	err := f.gather(batches)
	if err != nil {
		group.cancel(err)
	}
	if waitErr := group.wait(); err == nil {
		err = waitErr
	}
	if err != nil {
		return err
	}
	if err := f.closeLines(); err != nil {
		return err
	}
	result, notes := options.Result(ctx, logErr)
	if err := f.addNotes(notes); err != nil {
		return err
	}
	return send(ctx, out, item{through: f.through, result: &result})
}

// read reads the log to its end. Its error is nil at the end, else what ended the log early.
func read(ctx context.Context, log Log, out chan<- *record.Batch) error {
	for {
		batch, err := log.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case out <- batch:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// feeder gathers batches.
type feeder struct {
	ctx     context.Context
	out     chan<- item
	observe func(*record.Batch)
	output  output
	// through counts the log's records that have been sent.
	through uint64
	// closing: what is being written is no record of the log: pieces that close its lines, notes.
	closing bool
	// sent is the last time that a batch was sent.
	sent time.Time
	// outcomeRead: a stage reads outcome files. leftOut is the last step whose file was left out because none does.
	outcomeRead bool
	leftOut     string
}

func (f *feeder) emit(batch *record.Batch) error {
	f.sent = time.Now()
	if !f.closing {
		f.through += uint64(batch.Len())
	}
	if f.observe != nil {
		f.observe(batch)
	}
	return send(f.ctx, f.out, item{batch: batch, through: f.through})
}

// closeLines sends what has been gathered, and then closes the lines that the log has left open, as it does when the
// process that wrote it was killed.
func (f *feeder) closeLines() error {
	if err := f.output.flush(); err != nil {
		return err
	}
	f.closing = true
	defer func() { f.closing = false }()
	return f.output.finish()
}

// addNotes sends lines of core's own.
func (f *feeder) addNotes(notes []string) error {
	f.closing = true
	defer func() { f.closing = false }()
	for _, text := range notes {
		if err := f.output.addLine(record.Stderr, note(text)); err != nil {
			return err
		}
	}
	return f.output.flush()
}

// gather takes batches until there are no more.
func (f *feeder) gather(batches <-chan *record.Batch) error {
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for {
		select {
		case batch, ok := <-batches:
			if !ok {
				return context.Cause(f.ctx)
			}
			if err := f.take(batch, timer); err != nil {
				return err
			}
		case <-timer.C:
			if err := f.output.flush(); err != nil {
				return err
			}
		case <-f.ctx.Done():
			return context.Cause(f.ctx)
		}
	}
}

// take adds a batch to what has been gathered, and decides when that leaves.
func (f *feeder) take(batch *record.Batch, timer *time.Timer) error {
	if batch.Step != f.output.step {
		if err := f.closeLines(); err != nil {
			return err
		}
	}
	if record.Outcome.In(batch.Flags) {
		return f.takeOutcome(batch)
	}
	if len(batch.Data) >= record.MaxBatchBytes/2 || batch.Len() >= record.MaxBatchLines/2 {
		return f.output.pass(batch)
	}
	if err := f.output.run(batch, 0, batch.Len(), batch.BaseTime); err != nil {
		return err
	}
	waited := time.Since(f.sent)
	if waited >= linger {
		return f.output.flush()
	}
	timer.Reset(linger - waited)
	return nil
}

// takeOutcome adds a batch with records of an outcome file, perhaps behind the last ones of the log.
func (f *feeder) takeOutcome(batch *record.Batch) error {
	before := batch.BaseTime
	for from := 0; from < batch.Len(); {
		kind, to := record.Flags(batch.Flags[from])&record.Outcome, from+1
		for to < batch.Len() && record.Flags(batch.Flags[to])&record.Outcome == kind {
			to++
		}
		var err error
		if kind != 0 && !f.outcomeRead {
			err = f.leaveOut(batch.Step, before, to-from)
		} else {
			err = f.output.run(batch, from, to, before)
		}
		if err != nil {
			return err
		}
		before += batch.Elapsed(from, to)
		from = to
	}
	return f.output.flush()
}

// leaveOut takes n records of a step's outcome file, read at a time, out of the log, since nobody reads them, and says so once.
func (f *feeder) leaveOut(step string, now int64, n int) error {
	if err := f.closeLines(); err != nil {
		return err
	}
	f.through += uint64(n)
	if f.leftOut == step {
		return send(f.ctx, f.out, item{through: f.through})
	}
	f.leftOut = step
	f.output.step, f.output.now = step, now
	return f.addNotes([]string{fmt.Sprintf(
		"the outcome file of step %q is left out: no processor of the pipeline reads it; add processor \"outcome\" {}", step,
	)})
}
