// Package engine is the life of jobs. A Run is that of one, from the moment that it is known to its result: it starts the
// job in an executor, carries its log through the pipeline, and holds the result against the evidence. A Service takes
// jobs from sources, as many at once as there are slots, runs each, and gives logs and results back, until it is drained.
//
//	Service ─ intake (one a source: the stream Jobs) ─ task (one a job: delivery, report) ─ Run
//	        └ slots (divided between the intakes)
package engine

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/pipeline"
)

// startTimeout bounds the executor's Start, which waits for nothing.
const startTimeout = 30 * time.Second

// closeTimeout bounds the removal of what a run has left behind.
const closeTimeout = 30 * time.Second

// drainTimeout is what the log of a job that has been ended has, after the job's own grace, to be read, processed and
// delivered, unless the Run says otherwise.
const drainTimeout = 15 * time.Second

// Run is all that one run of one job takes.
type Run struct {
	Job      *job.Job
	Executor executor.Executor
	// Pipeline is what the processors are told of the job, beside what Job says: names and the worker.
	Pipeline pipeline.Job
	Stages   []pipeline.Stage
	Sink     pipeline.Sink
	// Status is told what the job is doing, from one goroutine, redacted; it must not block for long. Nil: nobody wants
	// to know.
	Status func(executor.Status)
	// Report is told what the run has come to, before what it has left behind is removed, which may take a while. An error
	// says that it could not be told. It is not called when the log could not be delivered. Nil: nobody wants to know.
	Report func(Summary) error
	// Begun is a run that has been started already, in the place of one that Executor starts. May be nil.
	Begun executor.Run
	// Started is told the run before its log is read. May be nil.
	Started func(executor.Run)
	// Leave decides on a job whose log or result could not be delivered, and whose run lasts: whether it is left for another
	// runner. When it is, nothing more may be delivered. Nil: it is not.
	Leave func(why error) bool
	// Explain has the log end with why a job failed and what to do about it, for readers who see no result.
	Explain bool
	// Observe is told of the batches of the log on their way; see pipeline.Options. May be nil.
	Observe func(from, to string, records, bytes int)
	// Grace is the time between TERM and KILL when the job is ended early.
	Grace time.Duration
	// ShipTimeout is what the log of a job that was ended early has, after Grace, to be delivered; 0: 15 s.
	ShipTimeout time.Duration
	// Hurry, closed, gives up the log of a job that was ended early at once. May be nil.
	Hurry <-chan struct{}
	// Redact takes the job's sensitive values out of what core and the executor say of the job. Nil: it has none.
	Redact func(string) string
	// Logger may be nil.
	Logger hclog.Logger
}

// Summary is what a run has come to.
type Summary struct {
	Result job.Result
	// Records is the number of records that the job wrote.
	Records uint64
	// Pending is the time until the job's first step ran, Running from there to the end of the last, Total all of it.
	Pending, Running, Total time.Duration
	// Started and Finished bound the time in which the steps ran; zero when none did.
	Started, Finished time.Time
}

// Do runs the job to its end. When ctx ends first, or a stage fails whose OnError is Fail, the job is ended and its log
// so far is shipped, in a bounded time; when ctx has ended the result is canceled, or what an *End says that is ctx's
// cause. The error says that the log or the
// result could not be delivered: then there is no result. What went wrong with the job itself is in the Summary; what
// could not be cleaned up after it is logged.
func (r *Run) Do(ctx context.Context) (Summary, error) {
	begun := time.Now()
	run := r.start(ctx)
	if r.Started != nil {
		r.Started(run)
	}
	ship, abandon := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abandon(nil)
	early, end := context.WithCancel(ctx)
	ended := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() { r.endEarly(early, run, ended, abandon) })
	lasting, _ := run.(executor.Lasting)
	if lasting != nil {
		watcher.Go(func() { r.letGo(lasting, ended, abandon) })
	}

	following, unfollow := context.WithCancel(context.WithoutCancel(ctx))
	defer unfollow()
	statuses := r.follow(following, run)
	ending := &ending{run: run, redact: r.redact, explain: r.Explain, early: ctx}
	result, err := pipeline.Run(ship, r.options(run, ending, end))
	close(ended)
	watcher.Wait()
	end()
	summary := ending.summary(result, begun)
	if err == nil {
		// Whoever does not take the log may not take a status either, and there is nothing left to show.
		r.lastStatus(statuses)
		err = r.report(summary)
	}
	if err != nil && lasting != nil && (r.Leave != nil && r.Leave(err) || isTaken(lasting)) {
		return summary, r.leave(ctx, lasting, err)
	}
	r.close(ctx, run)
	return summary, err
}

// lastStatus waits until the run has told that the job is over: that comes before its result.
func (r *Run) lastStatus(statuses <-chan struct{}) {
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-statuses:
	case <-timer.C:
		r.logger().Error("the log of the job has ended, and still its run does not say that the job is over", "job", r.Job.ID)
	}
}

func (r *Run) report(summary Summary) error {
	if r.Report == nil {
		return nil
	}
	return r.Report(summary)
}

// start starts the job. One that the executor does not start has a run, too, so that its result goes the way of all.
func (r *Run) start(ctx context.Context) executor.Run {
	if r.Begun != nil {
		return r.Begun
	}
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	run, err := r.Executor.Start(starting, r.Job)
	if err != nil {
		return newStillborn(r.notStarted(ctx, err))
	}
	return run
}

// notStarted is the result of a job that the executor has not started.
func (r *Run) notStarted(ctx context.Context, err error) job.Result {
	if ctx.Err() != nil {
		if end := endOf(ctx); end != nil {
			return job.Result{Outcome: end.Outcome, Reason: end.Reason, Message: r.redact(end.Message)}
		}
		return job.Result{Outcome: job.Canceled, Reason: job.ReasonCanceled, Message: "the job was canceled before it was started"}
	}
	if end := endOfError(err); end != nil {
		return job.Result{Outcome: end.Outcome, Reason: end.Reason, Message: r.redact(end.Message)}
	}
	return infrastructure(r.redact("the job could not be started: " + err.Error()))
}

func (r *Run) redact(text string) string {
	if r.Redact == nil {
		return text
	}
	return r.Redact(text)
}

func (r *Run) logger() hclog.Logger {
	if r.Logger == nil {
		return hclog.NewNullLogger()
	}
	return r.Logger
}

// endEarly ends the run when early does, and gives its log a bounded time after that. It returns when ended is closed.
func (r *Run) endEarly(early context.Context, run executor.Run, ended <-chan struct{}, abandon context.CancelCauseFunc) {
	select {
	case <-early.Done():
	case <-ended:
		return
	}
	select {
	case <-ended: // both have come: what has ended is not told to
		return
	default:
	}
	run.Cancel(r.Grace)
	begun, limit := time.Now(), r.Grace+cmp.Or(r.ShipTimeout, drainTimeout)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Hurry:
	case <-ended:
		return
	}
	abandon(fmt.Errorf("job %q was ended early, but its log was not delivered within %s; the rest of it is lost",
		r.Job.ID, time.Since(begun).Round(time.Second)))
}

// follow passes the run's statuses on; the channel is closed after the last one, or when ctx ends.
func (r *Run) follow(ctx context.Context, run executor.Run) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case status, more := <-run.Status():
				if !more {
					return
				}
				r.tell(status)
			case <-ctx.Done():
				return
			}
		}
	}()
	return done
}

func (r *Run) tell(status executor.Status) {
	if r.Status != nil {
		status.Message = r.redact(status.Message)
		r.Status(status)
	}
}

// options are those of the pipeline; end ends the job early.
func (r *Run) options(run executor.Run, ending *ending, end context.CancelFunc) pipeline.Options {
	described := r.Pipeline
	described.ID, described.Attempt, described.Labels = r.Job.ID, max(r.Job.Attempt, 1), r.Job.Labels
	described.Secrets = r.Job.Secrets()
	return pipeline.Options{
		Job:     described,
		Stages:  r.Stages,
		Log:     run,
		Sink:    r.Sink,
		Observe: r.Observe,
		Result:  ending.result,
		Failed:  func(string, string) { end() },
		Redact:  r.redact,
		Logger:  r.logger(),
	}
}

// close removes what the run has left behind. The job is over, so what fails here changes nothing about its result; but
// somebody has to know.
func (r *Run) close(ctx context.Context, run executor.Run) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := run.Close(ctx); err != nil {
		r.logger().Error("could not clean up after the job; what it has left has to be removed by hand",
			"job", r.Job.ID, "error", r.redact(err.Error()))
	}
}
