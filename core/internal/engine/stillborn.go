package engine

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
)

// stillborn is the run of a job that was not started: it has a result and no log.
type stillborn struct{ result executor.Result }

func newStillborn(r job.Result) executor.Run {
	return stillborn{executor.Result{Outcome: r.Outcome, Reason: r.Reason, Message: r.Message}}
}

func (stillborn) Next(context.Context) (*record.Batch, error) { return nil, io.EOF }
func (stillborn) Ack(uint64)                                  {}
func (stillborn) Cancel(time.Duration)                        {}
func (stillborn) Close(context.Context) error                 { return nil }

func (stillborn) Status() <-chan executor.Status {
	over := make(chan executor.Status)
	close(over)
	return over
}

func (s stillborn) Result(context.Context) (executor.Result, error) { return s.result, nil }

// refusing is an executor that starts no job, and says why.
type refusing struct{ why *End }

func (r refusing) Start(context.Context, *job.Job) (executor.Run, error) { return nil, r.why }

// endOfError returns the End in an error, nil when there is none.
func endOfError(err error) *End {
	var end *End
	if errors.As(err, &end) {
		return end
	}
	return nil
}
