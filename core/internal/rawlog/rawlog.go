// Package rawlog reads a recorded log, one file for each stream, as if a job were writing it.
package rawlog

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/podrunner/runner/core/internal/record"
)

// readBytes is how much is read at once: enough to make the system calls cheap.
const readBytes = 256 << 10

// Log is a recorded log. It is a pipeline.Log, for one run.
type Log struct {
	inputs []*input
	// now returns the time of a record that is read now.
	now     func() time.Time
	builder record.Builder
	ready   []*record.Batch
	buffer  []byte
	records uint64
}

// input is one stream's file.
type input struct {
	name     string
	reader   io.Reader
	splitter record.Splitter
}

// New returns a log that is empty. now gives the records their times; nil means time.Now.
func New(now func() time.Time) *Log {
	if now == nil {
		now = time.Now
	}
	return &Log{now: now, buffer: make([]byte, readBytes)}
}

// Add adds a file that holds what was written to a stream: 0 for stdout, record.Stderr or record.Outcome. Files are read in the
// order in which they are added; the outcome file comes last. The name is for errors.
func (l *Log) Add(name string, reader io.Reader, stream record.Flags) {
	l.inputs = append(l.inputs, &input{name: name, reader: reader, splitter: record.Splitter{Flags: stream}})
}

// Records returns the number of records read so far.
func (l *Log) Records() uint64 { return l.records }

// Next implements pipeline.Log.
func (l *Log) Next(ctx context.Context) (*record.Batch, error) {
	for len(l.ready) == 0 {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if len(l.inputs) == 0 {
			return nil, io.EOF
		}
		if err := l.read(l.inputs[0]); err != nil {
			return nil, err
		}
	}
	batch := l.ready[0]
	l.ready = l.ready[1:]
	return batch, nil
}

// Ack implements pipeline.Log. A file needs none.
func (l *Log) Ack(uint64) {}

// read reads a piece of a file and hands out all records that it completes.
func (l *Log) read(in *input) error {
	n, err := in.reader.Read(l.buffer)
	now := l.now().UnixNano()
	l.add(in.splitter.Split(l.buffer[:n], now))
	switch {
	case err == io.EOF:
		l.add(in.splitter.End(now))
		l.inputs = l.inputs[1:]
	case err != nil:
		return fmt.Errorf("read %s: %w", in.name, err)
	}
	if batch := l.builder.Take(); batch != nil {
		l.ready = append(l.ready, batch)
	}
	return nil
}

func (l *Log) add(records []record.Record) {
	l.records += uint64(len(records))
	for _, r := range records {
		if !l.builder.Fits(record.StepJob, len(r.Text)) {
			l.ready = append(l.ready, l.builder.Take())
		}
		l.builder.Add(record.StepJob, r)
	}
}
