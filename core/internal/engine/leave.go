package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/pipeline"
)

// errLeft says that nothing more is said of a job here: it is another runner's, or is there for one to take.
var errLeft = errors.New("the job is left to another runner")

// letGo gives up the log of a job that another runner has taken over. It returns when ended is closed.
func (r *Run) letGo(run executor.Lasting, ended <-chan struct{}, abandon context.CancelCauseFunc) {
	select {
	case <-run.Taken():
		abandon(executor.ErrTaken)
	case <-ended:
	}
}

// isTaken tells whether another runner has taken the job over.
func isTaken(run executor.Lasting) bool {
	select {
	case <-run.Taken():
		return true
	default:
		return false
	}
}

// leavable tells whether another runner may do better with a job that could not be delivered for this reason.
func leavable(why error) bool {
	var refused *RefusedError
	var panicked *pipeline.Panic
	return !errors.As(why, &refused) && !errors.As(why, &panicked)
}

// leave lets go of a job that could not be brought to its end here, and returns why, as an error that is errLeft, unless
// there was nothing to be left.
func (r *Run) leave(ctx context.Context, run executor.Lasting, why error) error {
	if isTaken(run) {
		why = executor.ErrTaken
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err := run.Leave(leaving)
	if errors.Is(err, executor.ErrNothingLeft) {
		r.close(ctx, run)
		return errors.Join(why, err)
	}
	if err != nil {
		r.logger().Error("could not let go of a job", "job", r.Job.ID, "error", r.redact(err.Error()))
	}
	return fmt.Errorf("%w: %w", errLeft, why)
}
