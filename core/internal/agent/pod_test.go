//go:build linux

package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/spool"
)

// testTime bounds each wait of a test: whoever hangs fails.
const testTime = 60 * time.Second

// commands are what a step runs.
type commands struct {
	script []string
	env    []string
}

// sh is a step of one command.
func sh(script ...string) commands { return commands{script: script} }

// pod is the folder that a pod's containers share, and what runs on it.
type pod struct {
	t      testing.TB
	dir    string
	keys   agent.Keys
	config agent.Config
	// address comes when the agent listens; ended is closed, and err set, when it has ended.
	address chan string
	ended   chan struct{}
	err     error
	// terminate is what the kubelet does when it ends the pod.
	terminate func()
}

// newPod makes the folder. The job is the last step; there may be an init step before.
func newPod(t testing.TB, steps ...commands) *pod {
	t.Helper()
	dir, err := os.MkdirTemp("", "pod-") //nolint:usetesting // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	keys, err := agent.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	p := &pod{t: t, dir: dir, keys: keys, address: make(chan string, 1), ended: make(chan struct{})}
	p.config = agent.Config{
		Listen: "127.0.0.1:0", Inputs: filepath.Join(dir, "inputs"), Steps: filepath.Join(dir, "steps"),
		Names: []string{"init", "job"}[2-len(steps):], Grace: 5 * time.Second, Log: log.New(p, "", 0),
	}
	p.write("inputs/agent.crt", keys.Certificate)
	p.write("inputs/agent.key", keys.Private)
	for i, name := range p.config.Names {
		p.write("inputs/"+agent.ScriptFile(name), encode(t, steps[i].script))
		if steps[i].env != nil {
			p.write("inputs/"+agent.VariablesFile(name), encode(t, steps[i].env))
		}
		if err := os.MkdirAll(p.stepDir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p.stepDir(name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return p
}

func encode(t testing.TB, v []string) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (p *pod) write(name string, data []byte) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pod) stepDir(step string) string { return filepath.Join(p.dir, "steps", step) }
func (p *pod) spool(step string) string   { return filepath.Join(p.stepDir(step), "spool") }

// Write takes the lines that the agent logs. The one on which it listens tells its address.
func (p *pod) Write(line []byte) (int, error) {
	for l := range strings.Lines(string(line)) {
		if _, address, ok := strings.Cut(l, "serving on "); ok {
			p.address <- strings.TrimSpace(address)
		}
	}
	return len(line), nil
}

// serve serves in this process.
func (p *pod) serve() *pod {
	ctx, cancel := context.WithCancel(context.Background())
	p.terminate = cancel
	go func() {
		p.err = agent.Serve(ctx, p.config)
		close(p.ended)
	}()
	p.t.Cleanup(p.end)
	return p
}

// end ends the agent as the kubelet does. What the test has not fetched somebody else fetches: the agent waits for that.
func (p *pod) end() {
	p.terminate()
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	defer cancel()
	go func() {
		<-p.ended
		cancel()
	}()
	select {
	case <-p.ended:
		p.wait()
		return
	case address := <-p.address:
		p.address <- address
	}
	c := p.client(nil)
	for _, name := range p.config.Names {
		f := c.Follow(name)
		for err := error(nil); err == nil; {
			_, err = f.Next(ctx)
		}
		c.Ack(name, 1<<40)
	}
	p.wait()
}

// wait waits for the end of the agent.
func (p *pod) wait() {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(testTime):
		p.t.Fatal("the agent does not end")
	}
	if p.err != nil {
		p.t.Errorf("the agent: %v", p.err)
	}
}

// addressOf waits until the agent listens.
func (p *pod) addressOf() string {
	p.t.Helper()
	select {
	case a := <-p.address:
		p.address <- a
		return a
	default:
	}
	select {
	case a := <-p.address:
		p.address <- a
		return a
	case <-p.ended:
		p.t.Fatalf("the agent has ended: %v", p.err)
	case <-time.After(testTime):
		p.t.Fatal("the agent does not listen")
	}
	return ""
}

// client connects to the agent; each connection is handed to wrap first, which may be nil.
func (p *pod) client(wrap func(net.Conn) net.Conn) *agent.Client {
	p.t.Helper()
	address := p.addressOf()
	c, err := agent.NewClient(p.keys, func(ctx context.Context) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil && wrap != nil {
			conn = wrap(conn)
		}
		return conn, err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			p.t.Error(err)
		}
	})
	return c
}

// container is the container of a step: its first process.
type container struct {
	t      testing.TB
	cmd    *exec.Cmd
	stderr bytes.Buffer
	done   chan struct{}
}

// start starts the container of a step.
func (p *pod) start(step string, flags ...string) *container {
	p.t.Helper()
	args := append([]string{
		"entrypoint", "-control", filepath.Join(p.stepDir(step), "control"), "-spool", p.spool(step), "-shared",
		"-workdir", filepath.Join(p.dir, "work"), "-xtrace=false",
	}, flags...)
	return p.run(exec.Command(helper, args...))
}

// run starts a process that ends with the test at the latest.
func (p *pod) run(cmd *exec.Cmd) *container {
	p.t.Helper()
	c := &container{t: p.t, cmd: cmd, done: make(chan struct{})}
	if cmd.Stderr == nil {
		cmd.Stderr = &c.stderr
	}
	if cmd.Env == nil {
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "DIR=" + p.dir, "OWN=container"}
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // its state tells the rest
		close(c.done)
	}()
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-c.done
	})
	return c
}

// code waits for the end of the process.
func (c *container) code() int {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(testTime):
		c.t.Fatal("the container does not end")
	}
	return c.cmd.ProcessState.ExitCode()
}

func (c *container) signal(sig os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil {
		c.t.Fatal(err)
	}
}

// limit is the time of a test.
func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), testTime, errors.New("the test takes too long"))
	t.Cleanup(cancel)
	return ctx
}

// read reads a step to its end, and returns its lines and the error at the end.
func read(t *testing.T, f *agent.Follower) ([]string, error) {
	t.Helper()
	var lines []string
	for {
		b, err := f.Next(limit(t))
		if err != nil {
			return lines, err
		}
		for _, r := range b.All {
			lines = append(lines, string(r.Text))
		}
	}
}

// exit reads a step to its end, which must have an exit record that matches what was read, and acknowledges it.
func exit(t *testing.T, c *agent.Client, step string) ([]string, spool.Exit) {
	t.Helper()
	f := c.Follow(step)
	lines, err := read(t, f)
	if !errors.Is(err, io.EOF) {
		t.Fatalf("step %q ends with: %v", step, err)
	}
	e, ok := f.Exit()
	if !ok || e.Tally != f.Tally() {
		t.Errorf("step %q: read %+v, the exit record has %+v", step, f.Tally(), e.Tally)
	}
	c.Ack(step, e.Records)
	return lines, e
}

// await waits until a state satisfies a condition.
func await(t *testing.T, states <-chan agent.State, ok func(agent.State) bool) agent.State {
	t.Helper()
	timer := time.NewTimer(testTime)
	defer timer.Stop()
	var last agent.State
	for {
		select {
		case s, open := <-states:
			if !open {
				t.Fatalf("there are no more states; the last one is %+v", last)
			}
			if last = s; ok(s) {
				return s
			}
		case <-timer.C:
			t.Fatalf("the last state is %+v", last)
		}
	}
}

// phase is the condition that a step is in a phase.
func phase(step string, phase agent.Phase) func(agent.State) bool {
	return func(s agent.State) bool {
		for _, have := range s.Steps {
			if have.Name == step {
				return have.Phase == phase
			}
		}
		return false
	}
}

// why is why a state ends; empty when it does not.
func why(e *agent.Ending) agent.Why {
	if e == nil {
		return ""
	}
	return e.Why
}
