package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
)

// Executor runs jobs on this machine.
type Executor struct {
	opts   Options
	folder *folder
	runs   atomic.Int64

	mu    sync.Mutex
	space *space // how steps are set apart; nil until the first Start has found out
}

var _ executor.Executor = (*Executor)(nil)

// New makes an executor with its private folder. Close removes that.
func New(opts Options) (*Executor, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("local executor: %w", err)
	}
	folder, err := newFolder(opts.TempDir)
	if err != nil {
		return nil, fmt.Errorf("local executor: %w", err)
	}
	return &Executor{opts: opts, folder: folder}, nil
}

// Close removes the private folder. Close all runs first.
func (e *Executor) Close() error {
	if err := e.folder.remove(); err != nil {
		return fmt.Errorf("local executor: %w", err)
	}
	return nil
}

// Start implements executor.Executor.
func (e *Executor) Start(ctx context.Context, j *job.Job) (executor.Run, error) {
	// What is said of this in job.Validate counts; it is the job's fault there.
	if id := strings.TrimLeft(j.ID, "/"); !filepath.IsLocal(id) || path.Clean(id) == "." {
		return nil, fmt.Errorf("the job id %q can't be the name of a working directory", j.ID)
	}
	space, err := e.findSpace(ctx)
	if err != nil {
		return nil, err
	}
	r := newRun(e.opts, space, path.Join(e.folder.path, strconv.FormatInt(e.runs.Add(1), 10)), e.folder.path)
	if err := r.prepare(j); err != nil {
		return nil, fmt.Errorf("prepare the job's folder: %w", errors.Join(err, r.remove()))
	}
	go r.supervise()
	return r, nil
}

// findSpace finds out, once, how steps can be set apart on this machine.
func (e *Executor) findSpace(ctx context.Context) (space, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.space != nil {
		return *e.space, nil
	}
	dir := filepath.Join(e.folder.path, "probe")
	defer func() { _ = os.RemoveAll(dir) }() // it goes with the folder at the latest
	s, err := probe(ctx, e.opts.Helper, dir)
	if err != nil {
		return space{}, err
	}
	e.space = &s
	return s, nil
}
