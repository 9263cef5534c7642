package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/pipeline"
	"github.com/podrunner/runner/core/internal/redact"
	"github.com/podrunner/runner/core/internal/telemetry"
)

// reportGrace is how long, after jobs have been ended because the runner stops, their results may take to be reported.
const reportGrace = 30 * time.Second

// Service is all that it takes to run the jobs of sources.
type Service struct {
	// Runner is the runner's name.
	Runner string
	// Concurrency is the number of jobs that run at once.
	Concurrency int
	// DrainTimeout is how long running jobs may go on when the runner is told to stop.
	DrainTimeout time.Duration
	// Pipelines have a source each.
	Pipelines []Pipeline
	// Redact is told the running jobs, so that their sensitive values are taken out of what core says. May be nil.
	Redact *redact.Redactor
	// Load, unless nil, is told how many jobs there are, up to when nothing is left of them: of each change, one call at a
	// time, in the order of the changes. It returns at once.
	Load func(jobs int)
	// Metrics, Health, Traces, Reports and Logger may be nil.
	Metrics *telemetry.Metrics
	Health  *telemetry.Health
	Traces  *telemetry.Traces
	Reports *telemetry.Reports
	Logger  hclog.Logger
}

// Pipeline is a source, and how its jobs are run.
type Pipeline struct {
	// Name, Source and Kind are for people: the names of the pipeline, its source and its executor.
	Name, Source, Kind string
	// Concurrency bounds the jobs of this pipeline that run at once; 0: the runner's own bound.
	Concurrency int
	Connector   SourceConnector
	Executor    executor.Executor
	Stages      []pipeline.Stage
	// MaxBytes and MaxInterval bound what is delivered in one call.
	MaxBytes    int
	MaxInterval time.Duration
	// GiveUp is how long the source may fail to take lines, or a result, before they are lost.
	GiveUp time.Duration
	// Resumes says that the source can go on with jobs that another runner has taken from it: then jobs whose runner is gone
	// are taken over, if the Executor is an executor.Adopter.
	Resumes bool
	// PackedLogs says that the source takes the lines of a chunk in one piece.
	PackedLogs bool
	// Grace is the time between TERM and KILL when a job is ended early, Lifetime how long a job may run.
	Grace, Lifetime time.Duration
}

// labels are the pipeline's names in metrics, traces and error reports.
func (p *Pipeline) labels() telemetry.Pipeline {
	return telemetry.Pipeline{Name: p.Name, Source: p.Source, Executor: p.Kind}
}

// Serve takes jobs and runs them, until all sources have no more or ctx ends. Then it takes no more, and lets the running
// jobs go on for DrainTimeout; those that are not over by then are ended as canceled, with their logs delivered and their
// results reported. It returns when the last job is over. The error is a *LeftError when jobs are left that others have to
// report.
func (s *Service) Serve(ctx context.Context) error {
	if len(s.Pipelines) > s.Concurrency {
		return fmt.Errorf("%d pipelines with a source need a concurrency of at least as much, and it is %d", len(s.Pipelines), s.Concurrency)
	}
	v := newServing(s)
	var intakes sync.WaitGroup
	for _, in := range v.intakes {
		intakes.Go(in.run)
	}
	over := make(chan struct{})
	go func() {
		intakes.Wait()
		close(over)
	}()
	select {
	case <-ctx.Done():
		v.drain()
		v.awaitDrained(over)
	case <-over:
	}
	<-over
	v.end(nil)
	if n := len(v.left); n > 0 {
		return &LeftError{n}
	}
	return nil
}

// LeftError says that a runner has ended with jobs that it could not report. They wait where they ran, with their logs and
// results, for another runner.
type LeftError struct{ Jobs int }

func (e *LeftError) Error() string {
	return fmt.Sprintf("%d jobs are left with their pods: their logs or results could not be delivered, and the next runner does it", e.Jobs)
}

// serving is a Service at work.
type serving struct {
	*Service
	intakes []*intake
	// life is the context of all jobs; end ends them.
	life context.Context //nolint:containedctx // it spans all goroutines of Serve
	end  context.CancelCauseFunc
	// hurry is closed when logs of jobs that were ended are given up because the runner stops; patience ends when results are.
	hurry    chan struct{}
	patience context.Context //nolint:containedctx // as life
	giveUp   context.CancelFunc

	mu      sync.Mutex
	jobs    map[*task]bool
	workers []bool
	// left are the jobs, by pipeline and id, that could not be reported, and that nobody has taken over or removed since, as far
	// as is known.
	left map[[2]string]bool
}

// leave takes note of a job that is left, or is not any more.
func (v *serving) leave(in *intake, id string, left bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := [2]string{in.pipeline.Name, id}
	if left {
		v.left[key] = true
	} else {
		delete(v.left, key)
	}
}

func newServing(s *Service) *serving {
	if s.Logger == nil {
		s.Logger = hclog.NewNullLogger()
	}
	v := &serving{Service: s, hurry: make(chan struct{}), jobs: map[*task]bool{}, left: map[[2]string]bool{}, workers: make([]bool, s.Concurrency)}
	v.life, v.end = context.WithCancelCause(context.Background())
	v.patience, v.giveUp = context.WithCancel(context.Background())
	s.Metrics.Concurrency(s.Concurrency)
	s.Metrics.Draining(false)
	slots := newSlots(s.Concurrency)
	for i := range s.Pipelines {
		v.intakes = append(v.intakes, newIntake(v, &s.Pipelines[i], slots))
	}
	return v
}

// drain takes no more jobs.
func (v *serving) drain() {
	v.Metrics.Draining(true)
	v.Logger.Info("draining: no more jobs are taken", "jobs", v.running(), "drain_timeout", v.DrainTimeout)
	for _, in := range v.intakes {
		in.drain()
	}
}

// awaitDrained waits until all is over, and sees to it that it is.
func (v *serving) awaitDrained(over <-chan struct{}) {
	timer := time.NewTimer(v.DrainTimeout)
	defer timer.Stop()
	select {
	case <-over:
		return
	case <-timer.C:
	}
	v.Logger.Warn("ending the jobs that still run: drain_timeout is over", "jobs", v.running(), "drain_timeout", v.DrainTimeout)
	v.end(&End{
		Outcome: job.Canceled, Reason: job.ReasonCanceled,
		Message: fmt.Sprintf("the runner was stopped, and the job was not over within drain_timeout (%s)", v.DrainTimeout),
	})
	grace := time.Duration(0)
	for i := range v.Pipelines {
		grace = max(grace, v.Pipelines[i].Grace)
	}
	timer.Reset(grace + drainTimeout)
	select {
	case <-over:
		return
	case <-timer.C:
	}
	close(v.hurry)
	timer.Reset(reportGrace)
	select {
	case <-over:
	case <-timer.C:
		v.giveUp()
	}
}

// running returns the number of jobs that run.
func (v *serving) running() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.jobs)
}

// start gives a task its worker, and the redactor its sensitive values.
func (v *serving) start(t *task) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.jobs[t] = true
	t.worker = len(v.workers) + 1
	if i := slices.Index(v.workers, false); i >= 0 {
		v.workers[i] = true
		t.worker = i + 1
	}
	v.changed()
}

// free gives the task's worker to others.
func (v *serving) free(t *task) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if t.worker <= len(v.workers) {
		v.workers[t.worker-1] = false
	}
}

// finish forgets a task.
func (v *serving) finish(t *task) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.jobs, t)
	v.changed()
}

// changed tells those who have to know of the jobs that there are. Callers hold mu.
func (v *serving) changed() {
	v.redactJobs()
	if v.Load != nil {
		v.Load(len(v.jobs))
	}
}

func (v *serving) redactJobs() {
	if v.Redact == nil {
		return
	}
	jobs := make([]*job.Job, 0, len(v.jobs))
	for t := range maps.Keys(v.jobs) {
		jobs = append(jobs, t.job)
	}
	v.Redact.Set(jobs...)
}
