package local

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
	"github.com/podrunner/runner/core/internal/spool"
)

// Result implements executor.Run.
func (r *run) Result(ctx context.Context) (executor.Result, error) {
	select {
	case <-r.done:
	case <-ctx.Done():
		return executor.Result{}, fmt.Errorf("wait for the end of the job: %w", context.Cause(ctx))
	}
	res := r.judge()
	res.Gap = r.gap()
	for _, s := range r.steps {
		if s.exit == nil {
			continue
		}
		res.Records += s.exit.Records
		if res.Started.IsZero() {
			res.Started = s.exit.Started
		}
		if !s.exit.Started.IsZero() {
			res.Finished = s.exit.Finished
		}
	}
	return res, nil
}

// judge comes to the outcome by the last step that was to run. A request to end the job counts unless that step had ended
// by itself before, and was the last one or failed.
func (r *run) judge() executor.Result {
	r.mu.Lock()
	ending := r.ending
	r.mu.Unlock()
	last := r.last()
	byItself := last.exit != nil && (ending == nil || last.exit.Finished.Before(ending.at))
	switch {
	case byItself && (last == r.steps[len(r.steps)-1] || !last.succeeded()):
		return judgeExit(last)
	case ending != nil:
		res := executor.Result{Outcome: ending.outcome, Reason: ending.reason, Message: ending.message}
		if last.exit != nil && !byItself {
			res.ExitCode = &last.exit.Code
		}
		return res
	}
	return executor.Result{Outcome: job.Failed, Reason: job.ReasonInfrastructure, Message: last.err.Error()}
}

// last returns the last step that has run or could not be started; the first one when none has.
func (r *run) last() *step {
	last := r.steps[0]
	for _, s := range r.steps {
		if s.exit != nil || s.err != nil {
			last = s
		}
	}
	return last
}

// judgeExit comes to the outcome by an exit record alone.
func judgeExit(s *step) executor.Result {
	code := s.exit.Code
	res := executor.Result{Outcome: job.Failed, ExitCode: &code}
	switch {
	case s.exit.Failure == spool.FailureStart:
		res.Reason, res.ExitCode = job.ReasonStart, nil
		res.Message = fmt.Sprintf("step %q: %s", s.name, s.exit.Error)
	case s.exit.Failure != "":
		res.Reason = job.ReasonInfrastructure
		res.Message = fmt.Sprintf("step %q was ended: its output could not be kept: %s", s.name, s.exit.Error)
	case code == 0:
		res.Outcome = job.Success
	case s.name == record.StepInit:
		res.Reason = job.ReasonInitFailed
		res.Message = "the init commands " + ended(s.exit) + "; the commands were not run"
	default:
		res.Reason = job.ReasonExit
		res.Message = "the commands " + ended(s.exit)
	}
	return res
}

// ended says how the commands ended.
func ended(e *spool.Exit) string {
	if e.Signal != 0 {
		return fmt.Sprintf("were ended by signal %d (%s)", e.Signal, unix.SignalName(unix.Signal(e.Signal)))
	}
	return fmt.Sprintf("ended with exit code %d", e.Code)
}
