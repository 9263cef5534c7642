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
