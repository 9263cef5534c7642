// Package faktory tests `core run` with a real Faktory server, real plugins and jobs on this machine: what a Rails
// application sees of the runner, and what happens when something in between breaks.
package faktory

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/podrunner/runner/test/e2e/runner"
	"github.com/podrunner/runner/test/faktory"
)

// root is the repository.
var root, _ = filepath.Abs("../../..")

func TestMain(m *testing.M) {
	for _, path := range []string{"bin/core", "bin/runner-helper", "bin/plugins/runner-source-faktory", "build/tools/faktory"} {
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			fmt.Fprintf(os.Stderr, "e2e: %v; run `make build faktory`\n", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// world is a Faktory server, with a proxy before it.
type world struct {
	*testing.T
	server *faktory.Server
	proxy  *faktory.Proxy
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	dir := runner.ShortDir(t)
	log, err := os.Create(filepath.Join(dir, "log"))
	must(t, err)
	server, err := faktory.Start(t.Context(), faktory.Options{Program: filepath.Join(root, "build/tools/faktory"), Dir: dir, Log: log})
	must(t, err)
	t.Cleanup(func() {
		must(t, server.Stop())
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("the server's log:\n%s", text)
		}
	})
	proxy, err := faktory.NewProxy(server.Address)
	must(t, err)
	t.Cleanup(proxy.Close)
	return &world{t, server, proxy}
}

// ranFile is a file that jobs can write to.
func ranFile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "ran-") //nolint:usetesting // a job has a /tmp of its own
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "ran")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// settings are what a test wants of runner.hcl.
type settings struct {
	// Of the blocks of these names.
	runner, source, deliver, local string
	concurrency                    int
	processors                     string
}

// process is a `core run` that takes its jobs from the world's server.
type process struct {
	*runner.Runner
	world *world
}

// run starts a runner, and waits until it is ready.
func (w *world) run(s settings) *process {
	w.Helper()
	r := w.launch(s)
	r.AwaitReady()
	return r
}

// launch starts a runner.
func (w *world) launch(s settings) *process {
	w.Helper()
	if s.concurrency == 0 {
		s.concurrency = 5
	}
	if s.processors == "" {
		s.processors = "processor \"outcome\" {}\n  processor \"sanitize\" {}\n  processor \"prefix\" {}"
	}
	config := fmt.Sprintf(`
runner {
  name        = "e2e"
  concurrency = %d
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
  source "faktory" {
    config {
      url    = %q
      queues = ["runner", "other"]
      %s
    }
  }
  %s
  deliver {
    %s
  }
}
`, s.concurrency, filepath.Join(root, "bin/plugins"), s.runner, s.local, w.proxy.URL(), s.source, s.processors, s.deliver)
	return &process{runner.Start(w.T, runner.Options{Root: root, Config: config}), w}
}

// source returns the process of the source plugin.
func (p *process) source() int { return p.Plugin("runner-source-faktory") }

// eventually waits until something is so.
func (w *world) eventually(what string, so func() bool) {
	w.Helper()
	runner.Eventually(w.T, what, so)
}

// hear takes what the runner has told the application.
func (w *world) hear(into faktory.Heard) {
	w.Helper()
	list, err := w.server.FollowUps(context.Background())
	must(w.T, err)
	into.Add(list)
}

// results waits until n jobs have an outcome, and returns what the application has heard.
func (w *world) results(n int) faktory.Heard {
	w.Helper()
	all := faktory.Heard{}
	w.eventually(fmt.Sprint(n, " jobs have an outcome"), func() bool {
		w.hear(all)
		return all.Outcomes() >= n
	})
	return all
}

// settled waits until no job is reserved any more: all are acknowledged or failed.
func (w *world) settled() faktory.State {
	w.Helper()
	var state faktory.State
	w.eventually("no job is reserved", func() bool {
		var err error
		state, err = w.server.State()
		return err == nil && state.Sets["working"] == 0
	})
	return state
}

// job is the args of a job with commands.
func job(commands ...string) map[string]any {
	return map[string]any{"image": "alpine", "commands": commands}
}

// prefixes are what the processor prefix puts before a line.
var prefixes = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \[\d+\] `)

// plain takes the prefixes away, and what the shell traces: that is on standard error, and comes a moment sooner or later
// than what else is printed.
func plain(lines []string) (out []string) {
	for _, l := range lines {
		if l = prefixes.ReplaceAllString(l, ""); !strings.HasPrefix(l, "+ ") {
			out = append(out, l)
		}
	}
	return out
}

// one returns what was heard of the only job.
func one(t *testing.T, all faktory.Heard) *faktory.Told {
	t.Helper()
	if len(all) != 1 {
		t.Fatalf("%d jobs were told of", len(all))
	}
	for _, job := range all {
		return job
	}
	return nil
}
