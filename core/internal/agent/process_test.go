//go:build linux

package agent_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/agent"
)

// serveProcess serves in a process of its own. Its log is what tells its address.
func (p *pod) serveProcess(wrap ...string) *container {
	p.t.Helper()
	args := slices.Concat(wrap, []string{
		helper, "agent", "-listen", p.config.Listen, "-inputs", p.config.Inputs, "-steps", p.config.Steps,
		"-grace", p.config.Grace.String(), "-lifetime", p.config.Lifetime.String(),
	})
	for _, name := range p.config.Names {
		args = append(args, "-step", name)
	}
	cmd := exec.Command(args[0], args[1:]...)
	r, w, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd.Stderr = w
	c := p.run(cmd)
	_ = w.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			_, _ = p.Write(lines.Bytes())
		}
		_ = r.Close()
	}()
	p.t.Cleanup(func() { <-c.done; <-read })
	p.t.Cleanup(func() { _ = cmd.Process.Kill() })
	return c
}

// leftover ends when no process is left that has inherited its other end.
type leftover struct {
	t    *testing.T
	r, w *os.File
}

func fifo(t *testing.T, path string) *leftover {
	t.Helper()
	err := syscall.Mkfifo(path, 0o666)
	l := &leftover{t: t}
	if err == nil {
		l.w, err = os.OpenFile(path, os.O_RDWR, 0) // so that nobody waits for the other side
	}
	if err == nil {
		l.r, err = os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = l.w.Close(), l.r.Close() })
	return l
}

// inherited says that those who are to hold it do.
func (l *leftover) inherited() { _ = l.w.Close() }

// none waits until nobody holds it.
func (l *leftover) none() {
	l.t.Helper()
	if err := l.r.SetReadDeadline(time.Now().Add(testTime)); err != nil {
		l.t.Fatal(err)
	}
	if _, err := l.r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		l.t.Errorf("a process of the step is left: %v", err)
	}
}

func TestTerminatedWaitsUntilAllIsFetched(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("echo one; sleep 1000"))
	a := p.serveProcess()
	c := p.client(nil)
	p.start("job")
	f := c.Follow("job")
	if _, err := f.Next(limit(t)); err != nil {
		t.Fatal(err)
	}
	a.signal(syscall.SIGTERM)
	if _, err := read(t, f); !errors.Is(err, io.EOF) || why(f.Ending()) != agent.Terminated {
		t.Errorf("it ends with: %v, ending %+v", err, f.Ending())
	}
	if e, ok := f.Exit(); !ok || e.Signal != int(syscall.SIGTERM) || e.Tally != f.Tally() {
		t.Errorf("exit record %+v, read %+v", e, f.Tally())
	}
	// All has been read, and nothing acknowledged: another core could want it.
	if lines, err := read(t, p.client(nil).Follow("job")); !errors.Is(err, io.EOF) || !slices.Equal(lines, []string{"one"}) {
		t.Errorf("a second reader got %q, %v", lines, err)
	}
	c.Ack("job", 1)
	if code := a.code(); code != 0 {
		t.Errorf("the agent ends with %d", code)
	}
}

// TestTerminatedTellsTheEnd acknowledges all records before there is an end. That is no reason not to tell it.
func TestTerminatedTellsTheEnd(t *testing.T) {
	t.Parallel()
	for range 5 {
		p := newPod(t, sh("echo one; sleep 1000"), sh("echo job")).serve()
		c := p.client(nil)
		p.start("init")
		f := c.Follow("init")
		if _, err := f.Next(limit(t)); err != nil {
			t.Fatal(err)
		}
		c.Ack("init", 1)
		p.terminate()
		if _, err := read(t, f); !errors.Is(err, io.EOF) || why(f.Ending()) != agent.Terminated {
			t.Fatalf("it ends with: %v, ending %+v", err, f.Ending())
		}
		p.wait()
	}
}

// TestTerminatedWaitsForACoreThatIsAway: all records that there were are acknowledged, and nobody knows how the step ended.
func TestTerminatedWaitsForACoreThatIsAway(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("echo one; sleep 1000")).serve()
	c := p.client(nil)
	job := p.start("job")
	if _, err := c.Follow("job").Next(limit(t)); err != nil {
		t.Fatal(err)
	}
	c.Ack("job", 1)
	if err := c.Close(); err != nil { // sends what is not sent
		t.Fatal(err)
	}
	p.terminate()
	if code := job.code(); code != 143 {
		t.Errorf("the container ends with %d", code)
	}
	select {
	case <-p.ended:
		t.Fatal("the agent has ended, and nobody knows how the step did")
	case <-time.After(100 * time.Millisecond): // that nothing happens has no event
	}
	exit(t, p.client(nil), "job")
	p.wait()
}

func TestTerminatedEndsAtOnce(t *testing.T) {
	t.Parallel()
	t.Run("no container has come", func(t *testing.T) {
		t.Parallel()
		p := newPod(t, sh("echo init"), sh("echo job"))
		a := p.serveProcess()
		p.addressOf()
		a.signal(syscall.SIGTERM)
		if code := a.code(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("all has been fetched", func(t *testing.T) {
		t.Parallel()
		p := newPod(t, sh("echo init"), sh("true")).serve()
		c := p.client(nil)
		p.start("init")
		p.start("job")
		exit(t, c, "init")
		exit(t, c, "job")
		p.terminate()
		p.wait()
	})
	t.Run("a reader waits for a step that was not run", func(t *testing.T) {
		t.Parallel()
		for range 30 {
			p := newPod(t, sh("echo job")).serve()
			c := p.client(nil)
			states := c.Watch(limit(t))
			await(t, states, phase("job", agent.Waiting))
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = c.Follow("job").Next(ctx)
			}()
			p.terminate()
			// The reader may come too late to be served; whoever watches is told in any case.
			if s := await(t, states, phase("job", agent.Skipped)); why(s.Ending) != agent.Terminated {
				t.Errorf("ending %+v", s.Ending)
			}
			p.wait()
			cancel()
			<-done
		}
	})
	t.Run("the container died at the gate", func(t *testing.T) {
		t.Parallel()
		p := newPod(t, sh("sleep 1000"), sh("echo job")).serve()
		c := p.client(nil)
		p.start("init")
		job := p.start("job")
		await(t, c.Watch(limit(t)), phase("init", agent.Running))
		job.signal(syscall.SIGKILL)
		job.code()
		p.terminate()
		exit(t, c, "init")
		p.wait()
	})
}

// TestUsers runs the step and the agent as two different users, neither root, with a umask that lets nobody else in.
func TestUsers(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED: only root can run processes as somebody else")
	}
	const stepUser, agentUser = 40001, 40002
	as := func(uid int) []string {
		return []string{"setpriv", "--reuid", strconv.Itoa(uid), "--regid", strconv.Itoa(uid), "--clear-groups", "sh", "-c", `umask 077; exec "$0" "$@"`}
	}
	p := newPod(t, sh("seq 200000"))
	if err := os.Chmod(p.dir, 0o777); err != nil { // for the working directory
		t.Fatal(err)
	}
	a := p.serveProcess(as(agentUser)...)
	c := p.client(nil)
	args := slices.Concat(as(stepUser), []string{
		helper, "entrypoint", "-control", p.stepDir("job") + "/control", "-spool", p.spool("job"), "-shared",
		"-workdir", p.dir + "/work", "-xtrace=false", "-spool-size", "1000000",
	})
	job := p.run(exec.Command(args[0], args[1:]...))
	f := c.Follow("job")
	for {
		_, err := f.Next(limit(t))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Ack("job", f.Tally().Records) // without it the spool is full soon
	}
	if e, _ := f.Exit(); e.Tally != f.Tally() || e.Records != 200000 || e.Code != 0 {
		t.Errorf("exit record %+v, read %+v", e, f.Tally())
	}
	if code := job.code(); code != 0 {
		t.Errorf("the container ends with %d: %s", code, job.stderr.String())
	}
	a.signal(syscall.SIGTERM)
	if code := a.code(); code != 0 {
		t.Errorf("the agent ends with %d", code)
	}
}
