// Package faktory tests `core run` with a real Faktory server, real plugins and jobs on this machine: what a Rails
// application sees of the runner, and what happens when something in between breaks.
package faktory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

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

// limit bounds whatever is waited for.
const limit = 3 * time.Minute

// world is a Faktory server, with a proxy before it.
type world struct {
	*testing.T
	server *faktory.Server
	proxy  *faktory.Proxy
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	dir := shortDir(t)
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

// shortDir is a folder whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-") //nolint:usetesting // see above
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
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

// runner is a `core run`.
type runner struct {
	*world
	cmd     *exec.Cmd
	log     *syncBuffer
	temp    string
	metrics string
	done    chan struct{}
	code    int
}

// syncBuffer is a buffer that may be read while a process writes.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// run starts a runner, and waits until it is ready.
func (w *world) run(s settings) *runner {
	w.Helper()
	r := w.launch(s)
	r.serves()
	w.eventually("the runner is ready", func() bool { r.lives(); return r.ready() })
	return r
}

// serves waits until the runner tells of its health.
func (r *runner) serves() {
	r.Helper()
	r.eventually("the runner tells of its health", func() bool {
		r.lives()
		if m := served.FindStringSubmatch(r.log.String()); m != nil {
			r.metrics = "http://" + m[1]
		}
		return r.metrics != ""
	})
}

// launch starts a runner.
func (w *world) launch(s settings) *runner {
	w.Helper()
	if s.concurrency == 0 {
		s.concurrency = 5
	}
	if s.processors == "" {
		s.processors = "processor \"outcome\" {}\n  processor \"sanitize\" {}\n  processor \"prefix\" {}"
	}
	config := filepath.Join(w.TempDir(), "runner.hcl")
	must(w.T, os.WriteFile(config, fmt.Appendf(nil, `
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
`, s.concurrency, filepath.Join(root, "bin/plugins"), s.runner, s.local, w.proxy.URL(), s.source, s.processors, s.deliver), 0o600))
	r := &runner{world: w, log: &syncBuffer{}, temp: shortDir(w.T), done: make(chan struct{})}
	r.cmd = exec.Command(filepath.Join(root, "bin/core"), "run", "-c", config)
	r.cmd.Dir = w.TempDir()
	r.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.cmd.Dir, "TMPDIR=" + r.temp}
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	must(w.T, r.cmd.Start())
	go func() {
		_ = r.cmd.Wait()
		r.code = r.cmd.ProcessState.ExitCode()
		close(r.done)
	}()
	w.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.done
		if w.Failed() {
			w.Logf("the runner's log:\n%s", r.log)
		}
	})
	return r
}

// served is where the runner shows its metrics.
var served = regexp.MustCompile(`serving metrics and health: address=(\S+)`)

// lives fails the test when the runner has ended.
func (r *runner) lives() {
	r.Helper()
	select {
	case <-r.done:
		r.Fatalf("the runner has ended with %d", r.code)
	default:
	}
}

func (r *runner) ready() bool {
	code, _ := r.get("/readyz")
	return code == http.StatusOK
}

// get asks the runner's server; code is 0 when it does not answer.
func (r *runner) get(path string) (code int, text string) {
	response, err := http.Get(r.metrics + path)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// metric returns the value of a series, "" when there is none.
func (r *runner) metric(series string) string {
	_, text := r.get("/metrics")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "opslevel_runner_"+series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// eventually waits until something is so.
func (w *world) eventually(what string, so func() bool) {
	w.Helper()
	deadline := time.Now().Add(limit)
	for !so() {
		if time.Now().After(deadline) {
			w.Fatalf("after %s it is not so that %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// says waits until the runner's log holds a text.
func (r *runner) says(text string) {
	r.Helper()
	r.eventually("the runner says: "+text, func() bool { return strings.Contains(r.log.String(), text) })
}

// started waits until n jobs have started.
func (r *runner) started(n int) {
	r.Helper()
	r.eventually(fmt.Sprint(n, " jobs have started"), func() bool { return strings.Count(r.log.String(), "job started:") >= n })
}

// most is what core may need, in MiB, whatever a job prints, however slow the server is and whatever has happened.
const most = 150

// stop tells the runner to stop, and waits until it has.
func (r *runner) stop() {
	r.Helper()
	if peak := r.peak(); peak > most {
		r.Errorf("core has needed %d MiB, want %d at most", peak, most)
	}
	must(r.T, r.cmd.Process.Signal(syscall.SIGTERM))
	r.ended(0)
}

// ended waits for the runner's end, and compares its exit code.
func (r *runner) ended(code int) {
	r.Helper()
	select {
	case <-r.done:
	case <-time.After(limit):
		r.Fatal("the runner does not end")
	}
	if r.code != code {
		r.Errorf("the runner has ended with %d, want %d", r.code, code)
	}
}

// source returns the process of the source plugin.
func (r *runner) source() int {
	r.Helper()
	out, err := exec.Command("pgrep", "-P", fmt.Sprint(r.cmd.Process.Pid), "-f", "runner-source-faktory").Output()
	var none *exec.ExitError
	if err != nil && !errors.As(err, &none) {
		r.Fatal(err)
	}
	pid := 0
	_, _ = fmt.Sscan(string(out), &pid)
	return pid
}

// peak is the most memory that the runner has had, in MiB.
func (r *runner) peak() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	must(r.T, err)
	kib := 0
	if m := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(text); m != nil {
		_, _ = fmt.Sscan(string(m[1]), &kib)
	}
	return kib >> 10
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
