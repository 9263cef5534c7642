package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
	"github.com/podrunner/runner/core/internal/spool"
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
			if ctx.Err() == nil && !errors.Is(err, spool.ErrNoExit) { // it stays so, and a job whose spool is full would wait for its lifetime
				r.end(r.opts.Grace, unreadable(s.name))
			}
			return nil, fmt.Errorf("read the log of step %q: %w", s.name, err)
		}
		r.nextStep(s.reader.Tally().Records)
	}
	return nil, io.EOF
}

// unreadable is the ending of a job whose log can't be read further. The error of Next says why.
func unreadable(step string) *executor.Ending {
	return &executor.Ending{
		At: time.Now(), Outcome: job.Failed, Reason: job.ReasonInfrastructure,
		Message: fmt.Sprintf("the job was ended: the log of step %q can't be read further", step),
	}
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
