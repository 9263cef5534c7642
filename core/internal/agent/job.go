package agent

import (
	"context"
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
	// changed is closed, and replaced, when what follows or a step has changed.
	changed chan struct{}
	ending  *Ending
	// grace is that of the ending.
	grace time.Duration
	// current is the step that runs; nil between steps.
	current *step
}

func newJob(c Config) (*job, error) {
	j := &job{config: c, changed: make(chan struct{})}
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
		j.running.Go(s.accept)
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

// run lets the steps run, each when the one before has ended well.
func (j *job) run() {
	var timer *time.Timer
	for i, s := range j.steps {
		if !j.awaitStep(s) {
			j.skip(j.steps[i:])
			return
		}
		if timer == nil && j.config.Lifetime > 0 {
			timer = time.AfterFunc(j.config.Lifetime, func() { j.end(Ending{Why: Lifetime, At: time.Now()}, j.config.Grace) })
			defer timer.Stop()
		}
		if !j.runStep(s) {
			j.skip(j.steps[i+1:])
			return
		}
	}
}

// awaitStep waits for the container of a step; false when the job is to end.
func (j *job) awaitStep(s *step) bool {
	for {
		j.mu.Lock()
		changed, ending := j.changed, j.ending
		j.mu.Unlock()
		if ending != nil {
			return false
		}
		select {
		case <-s.connected:
			return true
		case <-changed:
		case <-j.life.Done():
			return false
		}
	}
}

// runStep lets a step run to its end, and returns whether the next one may.
func (j *job) runStep(s *step) bool {
	j.mu.Lock()
	if j.ending != nil {
		j.mu.Unlock()
		j.skip([]*step{s})
		return false
	}
	j.current = s
	j.change(s, Running)
	j.mu.Unlock()
	err := s.run()
	exit, exitErr := spool.ReadExit(s.spool)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.current = nil
	if exitErr != nil {
		j.config.Log.Printf("step %q ended and left no exit record: %v", s.name, exitErr)
		if err != nil {
			j.config.Log.Printf("step %q: %v", s.name, err)
		}
		j.change(s, Gone)
		return false
	}
	s.exit = &exit
	j.config.Log.Printf("step %q ended with code %d after %d records", s.name, exit.Code, exit.Records)
	j.change(s, Ended)
	return exit.Code == 0 && exit.Failure == ""
}

func (j *job) skip(steps []*step) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range steps {
		j.change(s, Skipped)
		s.skip()
	}
}

// end asks the job to end; the first one who asks is the one who is told of. A later one may shorten the grace.
func (j *job) end(ending Ending, grace time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ending == nil {
		j.ending, j.grace = &ending, grace
		j.notify()
	}
	if j.current != nil {
		j.current.cancel(grace)
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

func (j *job) notify() {
	close(j.changed)
	j.changed = make(chan struct{})
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

// fetched takes note of how far core has fetched a step.
func (j *job) fetched(s *step, through uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s.acked = max(s.acked, through)
	j.notify()
}

// told takes note that core was told of the end of a step.
func (j *job) told(s *step) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s.told = true
	j.notify()
}

// awaitFetched waits until all steps are over and core has what they wrote. The kubelet bounds the wait.
func (j *job) awaitFetched() {
	for {
		j.mu.Lock()
		done, changed := true, j.changed
		for _, s := range j.steps {
			done = done && s.fetched()
		}
		j.mu.Unlock()
		if done {
			return
		}
		<-changed
	}
}
