// Package opslevel tests `core run` with the OpsLevel source against an API that is strict and can fail in every way, with
// real plugins and jobs on this machine.
package opslevel

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/podrunner/runner/plugins/source-opslevel/opsleveltest"
	"github.com/podrunner/runner/test/e2e/runner"
)

// root is the repository.
var root, _ = filepath.Abs("../../..")

func TestMain(m *testing.M) {
	for _, path := range []string{"bin/core", "bin/runner-helper", "bin/plugins/runner-source-opslevel"} {
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			fmt.Fprintf(os.Stderr, "e2e: %v; run `make build`\n", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is an API.
type world struct {
	*testing.T
	api *opsleveltest.Server
}

func newWorld(t *testing.T, options opsleveltest.Options) *world {
	t.Helper()
	t.Parallel()
	api, err := opsleveltest.Start(options)
	must(t, err)
	t.Cleanup(func() { _ = api.Close() })
	return &world{t, api}
}

// settings are what a test wants of runner.hcl.
type settings struct {
	// Of the blocks of these names.
	runner, source, deliver, local string
	// processors stand in the pipeline; empty: none.
	processors string
	env        []string
}

// all are the processors of the shipped configuration.
const all = "processor \"outcome\" {}\n  processor \"sanitize\" {}\n  processor \"prefix\" {}"

// start starts a runner.
func (w *world) start(s settings) *runner.Runner {
	w.Helper()
	return runner.Start(w.T, runner.Options{Root: root, Env: s.env, Config: fmt.Sprintf(`
runner {
  name        = "e2e"
  concurrency = 5
  plugin_dir  = %q
  %s
}
telemetry {
  address = "127.0.0.1:0"
}
local {
  %s
}
pipeline "default" {
  executor = "local"
  source "opslevel" {
    config {
      api_url       = %q
      api_token     = %q
      poll_interval = "1s"
      %s
    }
  }
  %s
  deliver {
    %s
  }
}
`, filepath.Join(root, "bin/plugins"), s.runner, s.local, w.api.URL(), opsleveltest.Token, s.source, s.processors, s.deliver)})
}

// run starts a runner, and waits until it is ready.
func (w *world) run(s settings) *runner.Runner {
	w.Helper()
	r := w.start(s)
	r.AwaitReady()
	return r
}

// await waits until something about the API is so.
func (w *world) await(what string, so func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), runner.Limit)
	defer cancel()
	if err := w.api.Wait(ctx, so); err != nil {
		w.Fatalf("%s: %v", what, err)
	}
}

// results waits until all jobs are over, and returns those of the ids.
func (w *world) results(ids []string) []opsleveltest.JobState {
	w.Helper()
	w.await("all jobs are over", w.api.Complete)
	var list []opsleveltest.JobState
	for _, id := range ids {
		j, known := w.api.Job(id)
		if !known {
			w.Fatalf("there is no job %s", id)
		}
		list = append(list, j)
	}
	return list
}

// unregistered checks that no runner is left, and that none has left a job.
func (w *world) unregistered() {
	w.Helper()
	for _, r := range w.api.Runners() {
		if r.Gone.IsZero() || len(r.Left) > 0 {
			w.Errorf("the runner %s is still registered, or has left jobs: %v", r.ID, r.Left)
		}
	}
}

// count is how often an operation was asked for.
func (w *world) count(operation string) int {
	n := 0
	for _, r := range w.api.Requests() {
		if r.Operation == operation {
			n++
		}
	}
	return n
}

// Operations of the API.
const (
	pending = "RunnerGetPendingJob"
	appends = "RunnerAppendJobLog"
	reports = "RunnerReportJobOutcome"
)

// shell is a job of shell commands that does not trace them.
func shell(commands ...string) opsleveltest.Job {
	return opsleveltest.Job{Image: "alpine:3.20", Commands: append([]string{"set +xv"}, commands...)}
}

// untraced is a log without the lines by which the shell traces what it does before it is told not to.
func untraced(log string) string {
	return regexp.MustCompile(`(?m)^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \[\d+\] )?\+ .*\n`).ReplaceAllString(log, "")
}

// once is a log in which a chunk that came twice in a row counts once, and how many did.
func once(j opsleveltest.JobState) (log string, repeated int) {
	var b strings.Builder
	for i, c := range j.Chunks {
		if i > 0 && slices.EqualFunc(c.Lines, j.Chunks[i-1].Lines, bytes.Equal) && c.SentAt == j.Chunks[i-1].SentAt {
			repeated++
			continue
		}
		for _, line := range c.Lines {
			b.Write(line)
			b.WriteByte('\n')
		}
	}
	return b.String(), repeated
}

// numbered is what `seq n` prints.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintln(&b, i+1)
	}
	return b.String()
}
