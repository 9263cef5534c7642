//go:build linux

package local

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
)

// testTime bounds a test: whoever hangs fails.
const testTime = 60 * time.Second

// newExecutor makes an executor whose folder must be gone at the end of the test.
func newExecutor(t *testing.T, change func(*Options)) *Executor {
	t.Helper()
	opts := Options{Helper: helperPath, TempDir: t.TempDir(), XTrace: false}
	if change != nil {
		change(&opts)
	}
	e, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if left := tree(t, opts.TempDir); len(left) > 0 {
			t.Errorf("the executor has left %v", left)
		}
	})
	return e
}

// tree returns the paths below dir.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// start starts a job, which is closed at the end of the test.
func start(t *testing.T, e *Executor, j job.Job) *run {
	t.Helper()
	if j.ID == "" {
		j.ID = "1"
	}
	if j.Image == "" {
		j.Image = "alpine"
	}
	started, err := e.Start(t.Context(), &j)
	if err != nil {
		t.Fatalf("jobs can't run here, so nothing of this can be tested: %v", err)
	}
	r, ok := started.(*run)
	if !ok {
		t.Fatalf("got a %T", started)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTime)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return r
}

// deadline returns a context for what must end.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	t.Cleanup(cancel)
	return ctx
}

// output is a job's log: whole lines by step and stream.
type output struct {
	lines map[string][]string
	// records counts all of them.
	records uint64
	partial map[string][]byte
}

func key(step string, flags record.Flags) string {
	switch {
	case flags&record.Outcome != 0:
		return step + " outcome"
	case flags&record.Stderr != 0:
		return step + " stderr"
	}
	return step + " stdout"
}

func (o *output) add(b *record.Batch) {
	for _, r := range b.All {
		k := key(b.Step, r.Flags)
		o.records++
		line := append(o.partial[k], r.Text...)
		o.partial[k] = nil
		if r.Flags&record.Partial != 0 {
			o.partial[k] = line
			continue
		}
		o.lines[k] = append(o.lines[k], string(line))
	}
}

func newOutput() *output { return &output{lines: map[string][]string{}, partial: map[string][]byte{}} }

// follow reads a job's log to its end, acknowledging as it goes, and returns what it came to.
func follow(t *testing.T, r *run) (*output, executor.Result) {
	t.Helper()
	out := newOutput()
	err := out.follow(deadline(t), r)
	if !errors.Is(err, io.EOF) {
		t.Fatalf("read the log: %v", err)
	}
	res, err := r.Result(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	if res.Gap != "" {
		t.Errorf("gap: %s", res.Gap)
	}
	if res.Records != out.records {
		t.Errorf("the result counts %d records, the log has %d", res.Records, out.records)
	}
	return out, res
}

func (o *output) follow(ctx context.Context, r *run) error {
	for {
		b, err := r.Next(ctx)
		if err != nil {
			return err
		}
		o.add(b)
		r.Ack(o.records)
	}
}

// runJob runs a job to its end.
func runJob(t *testing.T, j job.Job) (*output, executor.Result) {
	t.Helper()
	return follow(t, start(t, newExecutor(t, nil), j))
}

func wantOutcome(t *testing.T, res executor.Result, outcome job.Outcome, reason job.Reason, code int) {
	t.Helper()
	got := codeOf(res)
	if res.Outcome != outcome || res.Reason != reason || got != code {
		t.Errorf("got %s %q with exit code %d (%s), want %s %q with %d", res.Outcome, res.Reason, got, res.Message,
			outcome, reason, code)
	}
}

func wantLines(t *testing.T, o *output, key string, want ...string) {
	t.Helper()
	if got := o.lines[key]; strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s is\n%s\nwant\n%s", key, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// filesWith returns the files below dir that hold text, without those below a directory whose name begins with except.
func filesWith(t *testing.T, dir, text, except string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if d.IsDir() && except != "" && strings.HasPrefix(d.Name(), except) {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
