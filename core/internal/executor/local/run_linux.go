package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/jobroot"
	"github.com/podrunner/runner/core/internal/record"
)

// endTime is what a killed helper may take to go.
const endTime = 5 * time.Second

// run is a job that runs. One goroutine, supervise, starts the steps one after the other and ends with the last one.
type run struct {
	opts   Options
	space  space
	dir    string
	hidden string
	steps  []*step
	status executor.Statuses
	// done is closed when no step runs or will run.
	done chan struct{}

	mu sync.Mutex
	// ending is the first request to end the job; nil when there was none.
	ending *executor.Ending
	// process is the helper that runs; nil between steps.
	process *process

	// reading is held by Next, also while it waits; it guards the readers.
	reading sync.Mutex
	// place guards what follows. Nobody waits while they hold it: an Ack makes the room that a job, and so Next, waits for.
	place sync.Mutex
	at    int    // the step that is read
	base  uint64 // records of the steps before
}

func newRun(opts Options, space space, dir, hidden string) *run {
	return &run{opts: opts, space: space, dir: dir, hidden: hidden, done: make(chan struct{})}
}

// prepare writes what the steps need into the run's folder.
func (r *run) prepare(j *job.Job) error {
	r.status = executor.NewStatuses()
	for _, dir := range []string{"root", "files", "work", "tmp"} {
		if err := os.MkdirAll(filepath.Join(r.dir, dir), 0o700); err != nil {
			return err
		}
	}
	for dir, mode := range map[string]os.FileMode{"work": 0o777, "tmp": 0o777 | os.ModeSticky} {
		if err := os.Chmod(filepath.Join(r.dir, dir), mode); err != nil {
			return err
		}
	}
	if err := writeFiles(filepath.Join(r.dir, "files"), j.Files); err != nil {
		return err
	}
	r.status.Send(executor.Pending, "ImageNotUsed",
		fmt.Sprintf("the image %q is not used: the local executor runs the commands on this machine", j.Image))
	if len(j.InitCommands) > 0 {
		if err := r.addStep(record.StepInit, j, j.InitCommands, job.ScopeInit); err != nil {
			return err
		}
	}
	return r.addStep(record.StepJob, j, j.Commands, job.ScopeMain)
}

func writeFiles(dir string, files []job.File) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, f := range files {
		if err := root.WriteFile(f.Name, f.Contents, 0o600); err != nil {
			return fmt.Errorf("write file %q of the job: %w", f.Name, err)
		}
	}
	return nil
}

func (r *run) supervise() {
	defer close(r.done)
	if r.opts.Lifetime > 0 {
		timer := time.AfterFunc(r.opts.Lifetime, r.expire)
		defer timer.Stop()
	}
	for i, s := range r.steps {
		if !r.runStep(s) {
			for _, rest := range r.steps[i+1:] {
				close(rest.begun)
			}
			break
		}
	}
	r.status.Send(executor.Done, "", "")
	r.status.Close()
}

// runStep runs a step to its end and returns whether the next one may run.
func (r *run) runStep(s *step) bool {
	defer s.reader.WriterGone()
	p, err := r.launch(s)
	s.ran = p != nil
	close(s.begun)
	if p == nil {
		s.err = err
		return false
	}
	r.status.Send(executor.Running, "", "step "+s.name)
	ended := p.wait()
	r.mu.Lock()
	r.process = nil
	r.mu.Unlock()
	s.takeEvidence(ended)
	return s.succeeded()
}

// launch starts the helper of a step, unless the job is to end.
func (r *run) launch(s *step) (*process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ending != nil {
		return nil, nil
	}
	p, err := startProcess(r.opts.Helper, s.args, s.env, r.space.attributes())
	if errors.Is(err, syscall.E2BIG) {
		err = errors.New("the job's variables are longer than the kernel takes for a new process; put long values into files")
	}
	if err != nil {
		return nil, fmt.Errorf("start runner-helper for step %q: %w", s.name, err)
	}
	r.process = p
	return p, nil
}

func (r *run) expire() {
	r.end(r.opts.Grace, executor.Expired(time.Now(), r.opts.Lifetime))
}

// Cancel implements executor.Run.
func (r *run) Cancel(grace time.Duration) {
	r.end(grace, executor.Canceled(time.Now()))
}

// end asks the job to end. What asks first decides what the job comes to.
func (r *run) end(grace time.Duration, why *executor.Ending) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ending == nil {
		r.ending = why
		if r.process != nil { // and so the channel is open
			r.status.Send(executor.Running, "Ending", fmt.Sprintf("the job is asked to end; what is left of it after %s is killed", grace))
		}
	}
	if r.process != nil {
		r.process.cancel(grace)
	}
}

// Status implements executor.Run.
func (r *run) Status() <-chan executor.Status { return r.status.C }

// Close implements executor.Run. It kills what does not end within ctx.
func (r *run) Close(ctx context.Context) error {
	r.Cancel(0)
	r.mu.Lock()
	if r.process != nil {
		r.process.letGo()
	}
	r.mu.Unlock()
	return errors.Join(r.await(ctx), r.remove())
}

// await waits for the end of the steps.
func (r *run) await(ctx context.Context) error {
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	if r.process != nil {
		r.process.kill()
	}
	r.mu.Unlock()
	select {
	case <-r.done:
		return nil
	case <-time.After(endTime):
		return errors.New("close job: runner-helper does not end, even by SIGKILL")
	}
}

// remove closes the readers and removes the run's folder.
func (r *run) remove() error {
	r.reading.Lock()
	defer r.reading.Unlock()
	var errs []error
	for _, s := range r.steps {
		errs = append(errs, s.reader.Close())
	}
	parent, err := os.OpenRoot(filepath.Dir(r.dir))
	if err == nil {
		err = errors.Join(jobroot.Remove(parent, filepath.Base(r.dir)), parent.Close())
	}
	return errors.Join(append(errs, err)...)
}
