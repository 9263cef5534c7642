package local

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/podrunner/runner/core/internal/record"
)

// Next implements executor.Run.
func (r *run) Next(ctx context.Context) (*record.Batch, error) {
	r.reading.Lock()
	defer r.reading.Unlock()
	for r.at < len(r.steps) {
		s := r.steps[r.at]
		select {
		case <-s.begun:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for step %q: %w", s.name, context.Cause(ctx))
		}
		if !s.ran {
			break
		}
		batch, err := s.reader.Next(ctx)
		if err == nil {
			return batch, nil
		}
		if !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the log of step %q: %w", s.name, err)
		}
		r.nextStep(s.reader.Tally().Records)
	}
	return nil, io.EOF
}

// nextStep goes on to the next step after one of so many records.
func (r *run) nextStep(records uint64) {
	r.place.Lock()
	defer r.place.Unlock()
	r.base += records
	r.at++
}

// Ack implements executor.Run.
func (r *run) Ack(n uint64) {
	r.place.Lock()
	defer r.place.Unlock()
	// The spools of the steps before are bounded, and no one waits for room in them.
	if r.at < len(r.steps) && n > r.base {
		// What can't be removed now goes with the run's folder; a job that waits for room is then ended by its lifetime.
		_ = r.steps[r.at].reader.Release(n - r.base)
	}
}

// gap says what the log read lacks, by the steps' exit records; nothing when they match.
func (r *run) gap() string {
	r.reading.Lock()
	defer r.reading.Unlock()
	for _, s := range r.steps {
		read := s.reader.Tally()
		switch {
		case !s.ran:
		case s.exit == nil:
			return fmt.Sprintf("step %q: the log has no end; %d records of it were read", s.name, read.Records)
		case read.Records != s.exit.Records:
			return fmt.Sprintf("step %q: %d records were written and %d read", s.name, s.exit.Records, read.Records)
		case read.Checksum != s.exit.Checksum:
			return fmt.Sprintf("step %q: all %d records were read, but their checksum is not that of the records written",
				s.name, read.Records)
		}
	}
	return ""
}
