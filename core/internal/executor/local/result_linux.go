package local

import (
	"context"
	"fmt"

	"github.com/podrunner/runner/core/internal/executor"
)

// Result implements executor.Run.
func (r *run) Result(ctx context.Context) (executor.Result, error) {
	select {
	case <-r.done:
	case <-ctx.Done():
		return executor.Result{}, fmt.Errorf("wait for the end of the job: %w", context.Cause(ctx))
	}
	r.reading.Lock()
	defer r.reading.Unlock()
	var steps []*executor.Evidence
	missing := ""
	for _, s := range r.steps {
		steps = append(steps, &executor.Evidence{Name: s.name, Ran: s.ran, Exit: s.exit, Read: s.reader.Tally()})
		if s.err != nil {
			missing = s.err.Error()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return executor.Judge(steps, r.ending, executor.Lost(missing)), nil
}
