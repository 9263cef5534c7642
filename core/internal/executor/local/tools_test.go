//go:build linux

package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podrunner/runner/core/internal/job"
)

// writeTool writes a script that stands for a program.
func writeTool(t *testing.T, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "runner-source-faktory")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho \"$0 $*\"\n"), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTools: both steps find the tool under its name, beside the helper, and can't write there.
func TestTools(t *testing.T) {
	t.Parallel()
	program := writeTool(t, 0o755)
	e := newExecutor(t, func(o *Options) {
		o.Tools = map[string]string{"opslevel-runner": program, "other": program}
	})
	commands := []string{
		"/mount/opslevel-runner enqueue -f job.yaml", "/mount/other x",
		"(echo y > /mount/opslevel-runner) 2>/dev/null && echo written", "(touch /mount/new) 2>/dev/null && echo made",
		"ls /mount",
	}
	out, res := follow(t, start(t, e, job.Job{InitCommands: commands, Commands: commands}))
	wantOutcome(t, res, job.Success, job.ReasonNone, 0)
	want := []string{
		"/mount/opslevel-runner enqueue -f job.yaml", "/mount/other x",
		"opslevel-runner", "other", "outcome", "runner-helper", "spool",
	}
	wantLines(t, out, "init stdout", want...)
	wantLines(t, out, "job stdout", want...)
}

// TestToolsThatCantBeRun: what a job would only find out in its middle is told before it begins.
func TestToolsThatCantBeRun(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ tool, path, want string }{
		"not there":      {"x", "/no/such/program", `find the tool "x", which jobs are to have at /mount/x: there is no program at /no/such/program; put it there, or take`},
		"a folder":       {"x", t.TempDir(), "is no program but a folder"},
		"not executable": {"x", writeTool(t, 0o644), "is not executable; try: chmod +x /"},
		"a bad name":     {"runner-helper", writeTool(t, 0o755), "Choose another name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := New(Options{Helper: helperPath, TempDir: t.TempDir(), Tools: map[string]string{test.tool: test.path}})
			if err == nil {
				_ = e.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
