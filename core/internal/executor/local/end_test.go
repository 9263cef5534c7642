//go:build linux

package local

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/spool"
)

// holder is a FIFO in a job's working directory. It ends when no process holds its other end any more.
type holder struct {
	t    *testing.T
	path string
	end  *os.File
}

// hold is what a job does to hold the FIFO, and to say so.
const hold = "exec 3>fifo; echo held"

// newHolder makes the FIFO for the job "1" of a run that has not begun to need it.
func newHolder(t *testing.T, r *run) *holder {
	t.Helper()
	dir := filepath.Join(r.dir, "work", "1")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	h := &holder{t: t, path: filepath.Join(dir, "fifo")}
	if err := unix.Mkfifo(h.path, 0o666); err != nil && !errors.Is(err, unix.EEXIST) {
		t.Fatal(err)
	}
	var err error
	if h.end, err = os.OpenFile(h.path, os.O_RDONLY|unix.O_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.end.Close() })
	return h
}

// gone waits until nobody holds the FIFO.
func (h *holder) gone() {
	h.t.Helper()
	if err := h.end.SetReadDeadline(time.Now().Add(testTime)); err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.end.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		h.t.Errorf("a process of the job is left: %v", err)
	}
}

// holding starts a job that waits for the FIFO, holds it and goes on with commands.
func holding(t *testing.T, change func(*Options), commands ...string) (*run, *holder, *output) {
	t.Helper()
	e := newExecutor(t, change)
	r := start(t, e, job.Job{Commands: append([]string{
		"while ! [ -p fifo ]; do sleep 0.01; done", hold,
	}, commands...)})
	h := newHolder(t, r)
	out := newOutput()
	for len(out.lines["job stdout"]) == 0 {
		b, err := r.Next(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		out.add(b)
	}
	return r, h, out
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		commands []string
		grace    time.Duration
		code     int
		last     string
	}{
		{"ends by TERM", []string{"sleep 1000"}, testTime, 143, "held"},
		{"says something at the end", []string{"trap 'echo bye; exit 4' TERM", "echo ready", "sleep 1000 & wait"}, testTime, 4, "bye"},
		{"ends well", []string{"trap 'echo bye; exit 0' TERM", "echo ready", "sleep 1000 & wait"}, testTime, 0, "bye"},
		{"ignores TERM", []string{"trap '' TERM", "echo ready", "sleep 1000"}, 50 * time.Millisecond, 137, "ready"},
		{"no grace", []string{"trap '' TERM", "echo ready", "sleep 1000"}, 0, 137, "ready"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, h, out := holding(t, nil, c.commands...)
			for len(c.commands) > 1 && !strings.HasSuffix(strings.Join(out.lines["job stdout"], "\n"), "ready") {
				b, err := r.Next(deadline(t))
				if err != nil {
					t.Fatal(err)
				}
				out.add(b)
			}
			r.Cancel(c.grace)
			if err := out.follow(deadline(t), r); !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			res, err := r.Result(deadline(t))
			if err != nil {
				t.Fatal(err)
			}
			wantOutcome(t, res, job.Canceled, job.ReasonCanceled, c.code)
			if lines := out.lines["job stdout"]; lines[len(lines)-1] != c.last || res.Gap != "" {
				t.Errorf("the last line is %q, gap %q", lines[len(lines)-1], res.Gap)
			}
			var reasons []string
			for s := range r.Status() {
				reasons = append(reasons, s.Reason)
			}
			if !slices.Contains(reasons, "Ending") {
				t.Errorf("no status says that the job is to end: %q", reasons)
			}
			h.gone()
		})
	}
}

func TestCancelAfterTheEndChangesNothing(t *testing.T) {
	t.Parallel()
	r := start(t, newExecutor(t, nil), job.Job{Commands: []string{"exit 3"}})
	follow(t, r)
	r.Cancel(0)
	res, err := r.Result(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, res, job.Failed, job.ReasonExit, 3)
}

func TestCancelInInit(t *testing.T) {
	t.Parallel()
	r := start(t, newExecutor(t, nil), job.Job{
		InitCommands: []string{"echo ready", "sleep 1000"}, Commands: []string{"echo no"},
	})
	out := newOutput()
	b, err := r.Next(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	out.add(b)
	r.Cancel(testTime)
	if err := out.follow(deadline(t), r); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	res, err := r.Result(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, res, job.Canceled, job.ReasonCanceled, 143)
	wantLines(t, out, "job stdout")
}

func TestBackgroundProcessDoesNotHoldTheJob(t *testing.T) {
	t.Parallel()
	r, h, out := holding(t, nil, "sleep 1000 &", "setsid sleep 1000 &", "echo done")
	if err := out.follow(deadline(t), r); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	res, err := r.Result(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, res, job.Success, job.ReasonNone, 0)
	h.gone()
}

func TestCloseWhileItRuns(t *testing.T) {
	t.Parallel()
	for name, commands := range map[string][]string{
		"waits":                    {"sleep 1000"},
		"ignores TERM":             {"trap '' TERM; sleep 1000"},
		"waits for room":           {"yes"},
		"has protected its folder": {"mkdir -p a/b; touch a/b/c; chmod 0 a/b; chmod 0500 a", "sleep 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, h, _ := holding(t, func(o *Options) { o.SpoolBytes = 1 << 20 }, commands...)
			if err := r.Close(deadline(t)); err != nil {
				t.Fatal(err)
			}
			h.gone()
			if _, err := os.Lstat(r.dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the run's folder is left: %v", err)
			}
		})
	}
}

func TestCloseWithNoTimeLeft(t *testing.T) {
	t.Parallel()
	r, h, _ := holding(t, nil, "sleep 1000")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}
	h.gone()
}

func TestHelperIsKilled(t *testing.T) {
	t.Parallel()
	r, h, out := holding(t, nil, "sleep 1000 & setsid sleep 1000 & sleep 1000")
	r.mu.Lock()
	r.process.kill()
	r.mu.Unlock()
	if err := out.follow(deadline(t), r); !errors.Is(err, spool.ErrNoExit) {
		t.Errorf("the log ends with %v", err)
	}
	res, err := r.Result(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, res, job.Failed, job.ReasonInfrastructure, -1)
	if !strings.Contains(res.Message, "killed") || !strings.Contains(res.Gap, "no end") {
		t.Errorf("message %q, gap %q", res.Message, res.Gap)
	}
	if r.space.pid {
		h.gone()
	} else {
		t.Log("NOT TESTED that the job's processes are gone: this machine gives a job no process namespace")
	}
}

const secret = "s3cr3t-of-the-job"

// TestSecretsStayInTheSpool looks for a secret in all files while the job runs, and afterwards.
func TestSecretsStayInTheSpool(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, func(o *Options) { o.XTrace = true })
	r := start(t, e, job.Job{
		InitCommands: []string{"echo $S"},
		Commands:     []string{"echo $S", "cat <<X", "$S", "X", "sleep 1000"},
		Variables:    []job.Variable{{Key: "S", Value: secret, Sensitive: true}},
	})
	out := newOutput()
	for len(out.lines["job stdout"]) < 2 {
		b, err := r.Next(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		out.add(b)
	}
	if found := filesWith(t, e.opts.TempDir, secret, "spool-"); len(found) > 0 {
		t.Errorf("while it runs the secret is in %v", found)
	}
	if found := filesWith(t, e.opts.TempDir, secret, ""); len(found) == 0 {
		t.Error("the spool has no secret, so this test finds nothing")
	}
	r.mu.Lock()
	cmdline, err := os.ReadFile("/proc/" + itoa(r.process.cmd.Process.Pid) + "/cmdline")
	r.mu.Unlock()
	if err != nil || strings.Contains(string(cmdline), secret) {
		t.Errorf("the helper's command line is %q, %v", cmdline, err)
	}
	if err := r.Close(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if found := filesWith(t, e.opts.TempDir, secret, ""); len(found) > 0 {
		t.Errorf("afterwards the secret is in %v", found)
	}
}
