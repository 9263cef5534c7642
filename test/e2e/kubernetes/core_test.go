package kubernetes

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const busybox = "localhost/busybox:dev"

// event is one of core's, of any kind.
type event struct {
	Event, Phase, Reason, Message, Hint, Outcome, Step, Stream, Line string
	LineBase64                                                       []byte `json:"line_base64"`
	Partial                                                          bool
	ExitCode                                                         *int `json:"exit_code"`
	Records                                                          int
	Variables                                                        []struct{ Key, Value string }
	DurationMS                                                       struct{ Pending, Running, Total int64 } `json:"duration_ms"`
}

// core is a run of `core test`.
type core struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr bytes.Buffer
	watch  *time.Timer
	done   chan struct{}

	mu     sync.Mutex
	seen   *sync.Cond
	events []event
	raw    bytes.Buffer
	ended  bool
}

// start starts `core test` with a job file and settings.
func (s *space) start(job, settings string, args ...string) *core {
	s.t.Helper()
	args = append([]string{"test", "-c", s.config(settings), "-f", s.write("job.yaml", job), "--output", "json"}, args...)
	c := &core{t: s.t, cmd: exec.CommandContext(s.t.Context(), filepath.Join(root, "bin", "core"), args...), done: make(chan struct{})}
	c.seen = sync.NewCond(&c.mu)
	// A socket's path is short: the test's name must not be in it.
	temp, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = os.RemoveAll(temp) })
	c.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + temp, "TMPDIR=" + temp, "KUBECONFIG=" + s.kubeconfig()}
	c.cmd.Stderr = &c.stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	c.watch = time.AfterFunc(limit, func() { _ = c.cmd.Process.Kill() })
	go func() {
		defer close(c.done)
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadBytes('\n')
			c.take(line, err != nil)
			if err != nil {
				return
			}
		}
	}()
	return c
}

// take takes a line of core's output.
func (c *core) take(line []byte, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(line)
	var e event
	if json.Unmarshal(line, &e) == nil {
		c.events = append(c.events, e)
	}
	c.ended = c.ended || last
	c.seen.Broadcast()
}

// await waits for an event; it fails the test when core ends before.
func (c *core) await(what string, good func(event) bool) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for at := 0; ; {
		for ; at < len(c.events); at++ {
			if good(c.events[at]) {
				return
			}
		}
		if c.ended {
			c.t.Fatalf("core has ended, and there was no %s:\n%s\n%s", what, c.raw.String(), c.stderr.String())
		}
		c.seen.Wait()
	}
}

// line waits for a line of the log.
func (c *core) line(text string) {
	c.t.Helper()
	c.await(fmt.Sprintf("line %q", text), func(e event) bool { return e.Event == "log" && e.Line == text })
}

// result is what a run has come to.
type result struct {
	event
	t *testing.T
	// log is the lines of the job, without those that the shell traces. own are the ones that core added.
	log, own []event
	statuses []event
	stdout   string
	stderr   string
	code     int
}

// total is the time from the start of the job to its result.
func (r *result) total() time.Duration { return time.Duration(r.DurationMS.Total) * time.Millisecond }

// finish waits for the end of the run.
func (c *core) finish() *result {
	c.t.Helper()
	<-c.done
	err := c.cmd.Wait()
	if !c.watch.Stop() {
		c.t.Fatalf("core hangs; it said:\n%s\n%s", c.raw.String(), c.stderr.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	r := &result{t: c.t, stdout: c.raw.String(), stderr: c.stderr.String(), code: c.cmd.ProcessState.ExitCode()}
	for _, e := range c.events {
		switch e.Event {
		case "log":
			switch {
			case e.Stream == "stderr" && strings.HasPrefix(e.Line, "[runner] "):
				r.own = append(r.own, e)
			case e.Stream == "stderr" && strings.HasPrefix(e.Line, "+ "):
			default:
				r.log = append(r.log, e)
			}
		case "status":
			r.statuses = append(r.statuses, e)
		case "result":
			r.event = e
		}
	}
	return r
}

// run runs a job to its end.
func (s *space) run(job, settings string, args ...string) *result {
	s.t.Helper()
	return s.start(job, settings, args...).finish()
}

// want fails the test unless the outcome and the reason are these, and the message has these parts.
func (r *result) want(outcome, reason string, parts ...string) {
	r.t.Helper()
	if r.Outcome != outcome || r.Reason != reason {
		r.t.Fatalf("the result is %s (%s): %s; want %s (%s)\n%s\n%s", r.Outcome, r.Reason, r.Message, outcome, reason, r.stdout, r.stderr)
	}
	for _, part := range parts {
		if !strings.Contains(r.Message, part) {
			r.t.Errorf("the message does not say %q: %s", part, r.Message)
		}
	}
	if outcome != "success" && r.Hint == "" {
		r.t.Error("there is no hint")
	}
	if outcome == "success" && (len(r.own) > 0 || r.code != 0) {
		r.t.Errorf("exit code %d, and core says in the log: %v", r.code, r.own)
	}
}

// lines returns the texts of the log.
func (r *result) lines() []string {
	var out []string
	for _, e := range r.log {
		out = append(out, e.Line)
	}
	return out
}

// job makes a job file of commands; more is other fields of it.
func job(commands []string, more ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "id: \"1\"\nimage: %s\ncommands:\n", busybox)
	for _, c := range commands {
		text, _ := json.Marshal(c)
		fmt.Fprintf(&b, "  - %s\n", text)
	}
	for _, m := range more {
		b.WriteString(m + "\n")
	}
	return b.String()
}

func hostOf(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server
	}
	return u.Hostname()
}
