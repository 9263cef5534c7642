package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/podrunner/runner/core/internal/spool"
)

// job is the steps of a job. One goroutine, run, lets them run one after the other; each step has one more, which waits for
// its container.
type job struct {
	config Config
	steps  []*step
	// life ends with close.
	life    context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	mu sync.Mutex
	// changed is closed, and replaced, when the state has changed, progress also when core has fetched more of it.
	changed, progress chan struct{}
	ending            *Ending
	// grace is the shortest one of those who asked the job to end.
	grace time.Duration
	// current is the step that runs and can be told to end; nil between steps.
	current *step
}

func newJob(c Config) (*job, error) {
	j := &job{config: c, changed: make(chan struct{}), progress: make(chan struct{})}
	j.life, j.stop = context.WithCancel(context.Background())
	for _, name := range c.Names {
		s, err := newStep(c, name)
		if err != nil {
			j.close()
			return nil, err
		}
		j.steps = append(j.steps, s)
	}
	return j, nil
}

// start lets the steps run.
func (j *job) start() {
	for _, s := range j.steps {
		j.running.Go(func() { s.accept(j.life, j.config.Log) })
	}
	j.running.Go(j.run)
}

// close ends the job as far as this process is concerned: steps that run lose their helper, and end.
func (j *job) close() {
	j.stop()
	for _, s := range j.steps {
		s.close()
	}
	j.running.Wait()
}

// Why steps are not run.
const (
	whyEnding = "the job is to end"
	whyFailed = "the step before it has not ended well"
)

// run lets the steps run, each when the one before has ended well.
func (j *job) run() {
	var lifetime *time.Timer
	for i, s := range j.steps {
		if !j.await(s) {
			j.skip(j.steps[i:], whyEnding)
			return
		}
		if lifetime == nil && j.config.Lifetime > 0 {
			lifetime = time.AfterFunc(j.config.Lifetime, func() { j.end(Ending{Why: Lifetime, At: time.Now()}, j.config.Grace) })
			defer lifetime.Stop()
		}
		if !j.runStep(s) {
			j.skip(j.steps[i+1:], whyFailed)
			return
		}
	}
}

// await waits for the container of a step; false when the job is to end.
func (j *job) await(s *step) bool {
	for {
		j.mu.Lock()
		changed, ending := j.changed, j.ending
		j.mu.Unlock()
		if ending != nil {
			return false
		}
		select {
		case <-s.connected:
			return j.begin(s)
		case <-changed:
		case <-j.life.Done():
			return false
		}
	}
}

// begin has a step run, unless the job is to end.
func (j *job) begin(s *step) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ending != nil {
		return false
	}
	j.config.Log.Printf("step %q runs", s.name)
	j.change(s, Running)
	return true
}

// runStep lets a step run to its end, and returns whether the next one may.
func (j *job) runStep(s *step) bool {
	err := s.hand()
	if err == nil {
		j.handed(s)
		err = s.wait()
	}
	exit, exitErr := spool.ReadExit(s.spool)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.current = nil
	if exitErr != nil {
		j.config.Log.Printf("step %q is gone: %v", s.name, errors.Join(exitErr, err))
		j.change(s, Gone)
		return false
	}
	s.exit = &exit
	j.config.Log.Printf("step %q ended with code %d after %d records", s.name, exit.Code, exit.Records)
	j.change(s, Ended)
	return exit.Code == 0 && exit.Failure == ""
}

// handed says that a step has its input and can be told to end, and tells it if that is asked for already.
func (j *job) handed(s *step) {
	j.mu.Lock()
	j.current = s
	ending, grace := j.ending, j.grace
	j.mu.Unlock()
	if ending != nil {
		s.cancel(grace)
	}
}

func (j *job) skip(steps []*step, why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range steps {
		j.config.Log.Printf("step %q is not run: %s", s.name, why)
		j.change(s, Skipped)
		s.skip(why)
	}
}

// end asks the job to end; the first one who asks is the one who is told of. Of a later one only a shorter grace counts.
func (j *job) end(ending Ending, grace time.Duration) {
	j.mu.Lock()
	if j.ending != nil && grace >= j.grace {
		j.mu.Unlock()
		return
	}
	j.grace = grace
	if j.ending == nil {
		j.config.Log.Printf("the job is to end: %s", ending.Why)
		j.ending = &ending
		j.notify()
	}
	current := j.current
	j.mu.Unlock()
	if current != nil {
		current.cancel(grace)
	}
}

// change puts a step into a phase. The caller holds the lock.
func (j *job) change(s *step, phase Phase) {
	s.phase = phase
	if phase == Gone || phase == Ended || phase == Skipped {
		close(s.over)
	}
	j.notify()
}

// notify wakes those who wait for another state. The caller holds the lock.
func (j *job) notify() {
	close(j.changed)
	j.changed = make(chan struct{})
	j.fetchedMore()
}

// fetchedMore wakes those who wait for core. The caller holds the lock.
func (j *job) fetchedMore() {
	close(j.progress)
	j.progress = make(chan struct{})
}

// state returns the state, and a channel that is closed when it is another one.
func (j *job) state() (State, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := State{Ending: j.ending}
	for _, step := range j.steps {
		s.Steps = append(s.Steps, StepState{Name: step.name, Phase: step.phase})
	}
	return s, j.changed
}

// step returns the step of a name; nil when there is none.
func (j *job) step(name string) *step {
	for _, s := range j.steps {
		if s.name == name {
			return s
		}
	}
	return nil
}

// acked takes note of how far core has fetched a step.
func (j *job) acked(s *step, through uint64, end bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s.acked = max(s.acked, through)
	s.taken = s.taken || end
	j.fetchedMore()
}

// awaitFetched waits until all steps are over and core has what they wrote. The kubelet bounds the wait.
func (j *job) awaitFetched() {
	for {
		j.mu.Lock()
		done, progress := true, j.progress
		for _, s := range j.steps {
			done = done && s.fetched()
		}
		j.mu.Unlock()
		if done {
			return
		}
		<-progress
	}
}
