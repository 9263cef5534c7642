package engine

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/pipeline"
	"github.com/podrunner/runner/core/internal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is an executor.Executor whose one run does what the test says.
type script struct {
	// startErr is what Start returns.
	startErr error
	// lines are the job's log, one batch each. After them Next waits for what ends the log.
	lines []string
	// inits is how many of them are of the init step.
	inits int
	// logErr ends the log in place of io.EOF.
	logErr error
	// runs says that the job runs until it is canceled; stubborn, that not even that ends it.
	runs, stubborn bool
	// result is what the run comes to, resultErr its error; canceled takes result's place when Cancel came first.
	result, canceled executor.Result
	resultErr        error
	closeErr         error
	statuses         []executor.Status
	// statusStays keeps the channel of statuses open for ever.
	statusStays bool
	// panics makes the executor panic.
	panics bool

	run *fakeRun
}

func (s *script) Start(_ context.Context, _ *job.Job) (executor.Run, error) {
	if s.startErr != nil {
		return nil, s.startErr
	}
	s.run = &fakeRun{
		script: s, over: make(chan struct{}), closed: make(chan struct{}),
		statuses: make(chan executor.Status, len(s.statuses)), // as with a real run, the sender waits for nobody
	}
	s.run.owned.Go(s.run.sendStatuses)
	if !s.runs {
		s.run.end()
	}
	return s.run, nil
}

type fakeRun struct {
	*script
	statuses chan executor.Status
	// over is closed when the job is over.
	over, closed chan struct{}
	once         sync.Once
	owned        sync.WaitGroup

	mu      sync.Mutex
	read    int
	acked   uint64
	cancels []time.Duration
	bound   time.Duration
	closes  int
}

func (r *fakeRun) end() { r.once.Do(func() { close(r.over) }) }

func (r *fakeRun) sendStatuses() {
	for _, status := range r.script.statuses {
		r.statuses <- status
	}
	select {
	case <-r.over:
	case <-r.closed:
	}
	if !r.statusStays {
		close(r.statuses)
	}
}

func (r *fakeRun) Next(ctx context.Context) (*record.Batch, error) {
	if r.read < len(r.lines) {
		var b record.Builder
		step := record.StepJob
		if r.read < r.inits {
			step = record.StepInit
		}
		b.Add(step, record.Record{Time: 1, Text: []byte(r.lines[r.read])})
		r.read++
		return b.Take(), nil
	}
	select {
	case <-r.over:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if r.logErr != nil {
		return nil, r.logErr
	}
	return nil, io.EOF
}

func (r *fakeRun) Ack(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acked = n
}

func (r *fakeRun) Status() <-chan executor.Status { return r.statuses }

func (r *fakeRun) Cancel(grace time.Duration) {
	r.mu.Lock()
	r.cancels = append(r.cancels, grace)
	r.mu.Unlock()
	if !r.stubborn {
		r.end()
	}
}

func (r *fakeRun) Result(context.Context) (executor.Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.cancels) > 0 {
		return r.canceled, r.resultErr
	}
	return r.result, r.resultErr
}

func (r *fakeRun) Close(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closes++; r.closes == 1 {
		close(r.closed)
	}
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil {
		r.bound = time.Until(deadline)
	}
	r.owned.Wait()
	return r.closeErr
}

// shown is a Sink that keeps the lines.
type shown struct {
	mu    sync.Mutex
	lines []string
	err   error
	// wrote, when set, is told of each line.
	wrote chan string
}

func (s *shown) Write(_ context.Context, batch *record.Batch, through uint64, delivered func(uint64)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if batch != nil {
		for _, r := range batch.All {
			s.lines = append(s.lines, string(r.Text))
			if s.wrote != nil {
				s.wrote <- string(r.Text)
			}
		}
	}
	delivered(through)
	return nil
}

func (s *shown) Flush(context.Context) error { return nil }

// stuck is a Sink that takes nothing.
type stuck struct{}

func (stuck) Write(ctx context.Context, _ *record.Batch, _ uint64, _ func(uint64)) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func (stuck) Flush(context.Context) error { return nil }

// grace is that of the tests' runs.
const grace = 3 * time.Second

// newRun returns a run of a script, and what it shows.
func newRun(s *script) (*Run, *shown) {
	sink := &shown{}
	return &Run{
		Job:      &job.Job{ID: "1", Image: "x", Commands: []string{"true"}},
		Executor: s,
		Sink:     sink,
		Grace:    grace,
		Logger:   hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Off}),
	}, sink
}

// brokenStage is a stage whose processor can't be had.
func brokenStage(onError pipeline.OnError) pipeline.Stage {
	return pipeline.Stage{Name: "bad", Connector: noProcess{}, OnError: onError}
}

type noProcess struct{}

func (noProcess) Connect(context.Context) (pipeline.Connection, error) {
	return nil, errors.New("it is gone")
}

// check compares what every run has to have come to: closed, once and with a bound, and all of its log acknowledged.
func checkClosed(t *testing.T, s *script) {
	t.Helper()
	if s.run.closes != 1 || s.run.bound <= 0 || s.run.bound > closeTimeout {
		t.Errorf("the run was closed %d times, with %s left", s.run.closes, s.run.bound)
	}
}
