// Package runner runs `core run` for tests, as a person has it: a process of bin/core, of which a test sees the log, the
// metrics, the exit code, and what is left.
package runner

import (
	"bytes"
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
)

// Limit bounds whatever is waited for.
const Limit = 3 * time.Minute

// MostMemory is the most that core may need, in MiB, whatever a job prints, however slow the remote system is and whatever
// has happened.
const MostMemory = 150

// Options say what is run.
type Options struct {
	// Root is the repository.
	Root string
	// Config is the text of runner.hcl, which has the telemetry at a port of its own choice; File is the path of one in its
	// place.
	Config, File string
	// Args are added to the command line, Env to PATH, HOME and TMPDIR.
	Args, Env []string
}

// Runner is a `core run`. Its methods are for one goroutine.
type Runner struct {
	*testing.T
	Cmd *exec.Cmd
	Log *Log
	// Temp is the folder for temporary files; whatever is left on the disk is there.
	Temp string
	// Done is closed when the process has ended; then Code is its exit code.
	Done chan struct{}
	Code int

	telemetry string
}

// Log is what core has printed. It is safe for concurrent use.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns all of it so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Start starts a runner. It is killed at the end of the test, if it has not ended by then.
func Start(t *testing.T, o Options) *Runner {
	t.Helper()
	file := o.File
	if file == "" {
		file = filepath.Join(t.TempDir(), "runner.hcl")
		must(t, os.WriteFile(file, []byte(o.Config), 0o600))
	}
	r := &Runner{T: t, Log: &Log{}, Temp: ShortDir(t), Done: make(chan struct{})}
	r.Cmd = exec.Command(filepath.Join(o.Root, "bin/core"), append([]string{"run", "-c", file}, o.Args...)...)
	r.Cmd.Dir = t.TempDir()
	r.Cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.Cmd.Dir, "TMPDIR=" + r.Temp}, o.Env...)
	r.Cmd.Stdout, r.Cmd.Stderr = r.Log, r.Log
	must(t, r.Cmd.Start())
	go func() {
		_ = r.Cmd.Wait()
		r.Code = r.Cmd.ProcessState.ExitCode()
		close(r.Done)
	}()
	t.Cleanup(func() {
		_ = r.Cmd.Process.Kill()
		<-r.Done
		if t.Failed() {
			t.Logf("the runner's log:\n%s", r.Log)
		}
	})
	return r
}

// ShortDir is a temporary folder whose path leaves room for a socket's name.
func ShortDir(t *testing.T) string {
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

// Eventually waits until something is so.
func Eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.Now().Add(Limit)
	for !so() {
		if time.Now().After(deadline) {
			t.Fatalf("after %s it is not so that %s", Limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Within fails the test when something takes longer than most in each of three attempts, each of which returns what it took:
// a busy machine delays one of them, a fault all.
func Within(t *testing.T, what string, most time.Duration, attempt func() time.Duration) {
	t.Helper()
	var all []time.Duration
	for range 3 {
		took := attempt()
		if took <= most {
			return
		}
		all = append(all, took.Round(time.Millisecond))
	}
	t.Errorf("%s took %s in three attempts, want %s at most", what, all, most)
}

// served is where the runner shows its metrics.
var served = regexp.MustCompile(`serving metrics and health: address=(\S+)`)

// Serves waits until the runner tells of its health.
func (r *Runner) Serves() {
	r.Helper()
	Eventually(r.T, "the runner tells of its health", func() bool {
		r.Lives()
		if m := served.FindStringSubmatch(r.Log.String()); m != nil {
			r.telemetry = "http://" + m[1]
		}
		return r.telemetry != ""
	})
}

// Lives fails the test when the runner has ended.
func (r *Runner) Lives() {
	r.Helper()
	select {
	case <-r.Done:
		r.Fatalf("the runner has ended with %d", r.Code)
	default:
	}
}

// Ready reports whether all is well.
func (r *Runner) Ready() bool {
	code, _ := r.Get("/readyz")
	return code == http.StatusOK
}

// AwaitReady waits until all is well.
func (r *Runner) AwaitReady() {
	r.Helper()
	r.Serves()
	Eventually(r.T, "the runner is ready", func() bool { r.Lives(); return r.Ready() })
}

// Get asks the runner's server; code is 0 when it does not answer.
func (r *Runner) Get(path string) (code int, text string) {
	response, err := http.Get(r.telemetry + path)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// Metric returns the value of a series, "" when there is none.
func (r *Runner) Metric(series string) string {
	_, text := r.Get("/metrics")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "opslevel_runner_"+series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Says waits until the runner's log holds a text.
func (r *Runner) Says(text string) {
	r.Helper()
	Eventually(r.T, "the runner says: "+text, func() bool { return strings.Contains(r.Log.String(), text) })
}

// Started waits until n jobs have started.
func (r *Runner) Started(n int) {
	r.Helper()
	Eventually(r.T, fmt.Sprint(n, " jobs have started"), func() bool { return strings.Count(r.Log.String(), "job started:") >= n })
}

// Signal sends a signal.
func (r *Runner) Signal(s syscall.Signal) {
	r.Helper()
	must(r.T, r.Cmd.Process.Signal(s))
}

// Stop tells the runner to stop, and waits until it has.
func (r *Runner) Stop() {
	r.Helper()
	if peak := r.Peak(); peak > MostMemory {
		r.Errorf("core has needed %d MiB, want %d at most", peak, MostMemory)
	}
	r.Signal(syscall.SIGTERM)
	r.Ended(0)
}

// Ended waits for the runner's end, and compares its exit code.
func (r *Runner) Ended(code int) {
	r.Helper()
	select {
	case <-r.Done:
	case <-time.After(Limit):
		r.Fatal("the runner does not end")
	}
	if r.Code != code {
		r.Errorf("the runner has ended with %d, want %d", r.Code, code)
	}
}

// Plugin returns the process of a plugin, by the name of its program; 0 when there is none.
func (r *Runner) Plugin(program string) int {
	r.Helper()
	out, err := exec.Command("pgrep", "-P", fmt.Sprint(r.Cmd.Process.Pid), "-f", program).Output()
	var none *exec.ExitError
	if err != nil && !errors.As(err, &none) {
		r.Fatal(err)
	}
	pid := 0
	_, _ = fmt.Sscan(string(out), &pid)
	return pid
}

var peak = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)

// Peak is the most memory that the runner has had, in MiB.
func (r *Runner) Peak() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.Cmd.Process.Pid))
	must(r.T, err)
	kib := 0
	if m := peak.FindSubmatch(text); m != nil {
		_, _ = fmt.Sscan(string(m[1]), &kib)
	}
	return kib >> 10
}
