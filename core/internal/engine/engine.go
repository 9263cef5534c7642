// Package engine is the life of one job from the moment that it is known to its result: it starts the job in an
// executor, carries its log through the pipeline, and holds the result against the evidence.
package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/pipeline"
)

// closeTimeout bounds the removal of what a run has left behind.
const closeTimeout = 10 * time.Second

// drainTimeout is what the log of a job that has been ended has, after the job's own grace, to be read, processed and
// delivered.
const drainTimeout = 15 * time.Second

// Run is all that one run of one job takes.
type Run struct {
	Job      *job.Job
	Executor executor.Executor
	// Pipeline is what the processors are told of the job, beside what Job says: names and the worker.
	Pipeline pipeline.Job
	Stages   []pipeline.Stage
	Sink     pipeline.Sink
	// Status is told what the job is doing, from one goroutine; nil: nobody wants to know.
	Status func(executor.Status)
	// Grace is the time between TERM and KILL when the job is ended early.
	Grace  time.Duration
	Redact func(string) string
	Logger hclog.Logger
}

// Summary is what a run has come to.
type Summary struct {
	Result job.Result
	// Records is the number of records that the job wrote.
	Records uint64
	// Pending is the time until the job's first step ran, Running from there to the end of the last, Total all of it.
	Pending, Running, Total time.Duration
}

// Do runs the job to its end. When ctx ends first, the job is ended, its log so far is shipped and its result is
// canceled. The error says that the log or the result could not be delivered; what went wrong with the job is in the
// Summary.
func (r *Run) Do(ctx context.Context) (Summary, error) {
	begun := time.Now()
	run, err := r.Executor.Start(ctx, r.Job)
	if err != nil {
		return Summary{Result: infrastructure(err), Total: time.Since(begun)}, nil
	}
	ship, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	ended := make(chan struct{})
	defer close(ended)
	go r.endWith(ctx, run, ended, cancel)

	statuses := r.follow(run)
	ending := &ending{run: run}
	result, err := pipeline.Run(ship, r.options(run, ending))
	closeErr := r.close(ctx, run)
	<-statuses
	if err == nil {
		err = closeErr
	}
	return ending.summary(result, begun), err
}

// endWith ends the run when ctx ends, and gives its log a bounded time after that.
func (r *Run) endWith(ctx context.Context, run executor.Run, ended <-chan struct{}, cancel context.CancelCauseFunc) {
	select {
	case <-ctx.Done():
	case <-ended:
		return
	}
	run.Cancel(r.Grace)
	limit := r.Grace + drainTimeout
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-timer.C:
		cancel(fmt.Errorf("the job was ended, but its log was not delivered within %s", limit))
	case <-ended:
	}
}

// follow passes the run's statuses on; the channel is closed after the last one.
func (r *Run) follow(run executor.Run) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for status := range run.Status() {
			if r.Status != nil {
				r.Status(status)
			}
		}
	}()
	return done
}

func (r *Run) options(run executor.Run, ending *ending) pipeline.Options {
	described := r.Pipeline
	described.ID, described.Attempt, described.Labels = r.Job.ID, max(r.Job.Attempt, 1), r.Job.Labels
	described.Secrets = r.Job.Secrets()
	return pipeline.Options{
		Job:    described,
		Stages: r.Stages,
		Log:    run,
		Sink:   r.Sink,
		Result: ending.result,
		Failed: func(string, string) { run.Cancel(r.Grace) },
		Redact: r.Redact,
		Logger: r.Logger,
	}
}

func (r *Run) close(ctx context.Context, run executor.Run) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := run.Close(ctx); err != nil {
		return fmt.Errorf("clean up after job %q: %w", r.Job.ID, err)
	}
	return nil
}

// ending is how the steps of a run have ended, once the pipeline has asked for it.
type ending struct {
	run   executor.Run
	steps executor.Result
}

// result holds the log against the steps' evidence.
func (e *ending) result(ctx context.Context, logErr error) (job.Result, []string) {
	steps, err := e.run.Result(ctx)
	if err = errors.Join(logErr, err); err != nil {
		return infrastructure(err), []string{"the log ends here: " + err.Error()}
	}
	e.steps = steps
	result := job.Result{Outcome: steps.Outcome, Reason: steps.Reason, Message: steps.Message, ExitCode: steps.ExitCode}
	if steps.Gap == "" {
		return result, nil
	}
	notes := []string{"the log is not complete: " + steps.Gap}
	if result.Outcome == job.Success {
		// The job did what it should; what is wrong is the record of it, and whoever reads the result has to know.
		result.Message = notes[0]
	}
	return result, notes
}

func (e *ending) summary(result job.Result, begun time.Time) Summary {
	s := Summary{Result: result, Records: e.steps.Records, Total: time.Since(begun)}
	s.Pending = s.Total
	if !e.steps.Started.IsZero() {
		s.Pending = e.steps.Started.Sub(begun)
		s.Running = e.steps.Finished.Sub(e.steps.Started)
	}
	return s
}

// infrastructure is the result of a job of whose end there is no evidence.
func infrastructure(err error) job.Result {
	return job.Result{Outcome: job.Failed, Reason: job.ReasonInfrastructure, Message: err.Error()}
}
