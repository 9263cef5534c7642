//go:build linux

package agent_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/entrypoint"
	"github.com/podrunner/runner/core/internal/spool"
)

func TestStepsRunOneAfterTheOther(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("sleep 0.2; echo one >$DIR/file; echo init"), sh("cat $DIR/file; echo job")).serve()
	c := p.client(nil)
	job, initial := p.start("job"), p.start("init")
	states := c.Watch(limit(t))
	await(t, states, phase("init", agent.Running))
	if got := await(t, states, phase("job", agent.Running)); got.Steps[0].Phase != agent.Ended {
		t.Errorf("the job runs and init is %s", got.Steps[0].Phase)
	}
	if lines, e := exit(t, c, "init"); !slices.Equal(lines, []string{"init"}) || e.Code != 0 {
		t.Errorf("init printed %q and ended with %d", lines, e.Code)
	}
	if lines, e := exit(t, c, "job"); !slices.Equal(lines, []string{"one", "job"}) || e.Code != 0 {
		t.Errorf("the job printed %q and ended with %d", lines, e.Code)
	}
	if a, b := initial.code(), job.code(); a != 0 || b != 0 {
		t.Errorf("the containers end with %d and %d", a, b)
	}
}

func TestFailedInitSkipsTheJob(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"exit code": nil, "no shell": {"-shell", "/no/such"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPod(t, sh("echo no; exit 4"), sh("echo job")).serve()
			c := p.client(nil)
			p.start("init", flags...)
			job := p.start("job")
			exit(t, c, "init")
			if lines, err := read(t, c.Follow("job")); !errors.Is(err, agent.ErrSkipped) || len(lines) > 0 {
				t.Errorf("the job printed %q and ended with: %v", lines, err)
			}
			if code := job.code(); code != 0 {
				t.Errorf("the container ends with %d: %s", code, job.stderr.String())
			}
			if left, err := os.ReadDir(p.spool("job")); err != nil || len(left) > 0 {
				t.Errorf("a step that was not run has a spool: %v, %v", left, err)
			}
			if s := await(t, c.Watch(limit(t)), phase("job", agent.Skipped)); s.Ending != nil {
				t.Errorf("ending %+v", s.Ending)
			}
		})
	}
}

// TestContainerComesFirst starts the step before there is anything of its helper.
func TestContainerComesFirst(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("echo here"))
	job := p.start("job")
	p.serve()
	c := p.client(nil)
	if lines, _ := exit(t, c, "job"); !slices.Equal(lines, []string{"here"}) {
		t.Errorf("it printed %q", lines)
	}
	job.code()
}

func TestCancel(t *testing.T) {
	t.Parallel()
	const grace = 3 * time.Second
	cancel := func(t *testing.T, c *agent.Client, grace time.Duration) {
		t.Helper()
		if err := c.Cancel(limit(t), grace); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("before its container is there", func(t *testing.T) {
		t.Parallel()
		p := newPod(t, sh("echo init"), sh("echo job")).serve()
		c := p.client(nil)
		cancel(t, c, grace)
		for _, step := range []string{"init", "job"} {
			if _, err := read(t, c.Follow(step)); !errors.Is(err, agent.ErrSkipped) {
				t.Errorf("%s: %v", step, err)
			}
			if code := p.start(step).code(); code != 0 {
				t.Errorf("%s: the container that came late ends with %d", step, code)
			}
		}
	})

	t.Run("while it waits for its turn", func(t *testing.T) {
		t.Parallel()
		p := newPod(t, sh("echo init; sleep 1000"), sh("echo job")).serve()
		c := p.client(nil)
		p.start("init")
		job := p.start("job")
		await(t, c.Watch(limit(t)), phase("init", agent.Running))
		cancel(t, c, grace)
		if _, e := exit(t, c, "init"); e.Signal != int(syscall.SIGTERM) {
			t.Errorf("init ended with %+v", e)
		}
		f := c.Follow("job")
		if _, err := read(t, f); !errors.Is(err, agent.ErrSkipped) || why(f.Ending()) != agent.Canceled {
			t.Errorf("the job: %v, ending %+v", err, f.Ending())
		}
		if code := job.code(); code != 0 {
			t.Errorf("the job's container ends with %d", code)
		}
	})

	// Cancel must not come before the input, whenever it comes.
	t.Run("as it starts", func(t *testing.T) {
		t.Parallel()
		for range 10 {
			p := newPod(t, commands{script: []string{"sleep 1000"}, env: []string{"BIG=" + strings.Repeat("x", 100<<10)}}).serve()
			c := p.client(nil)
			states := c.Watch(limit(t))
			job := p.start("job")
			await(t, states, phase("job", agent.Running))
			cancel(t, c, grace)
			if _, e := exit(t, c, "job"); e.Signal != int(syscall.SIGTERM) {
				t.Errorf("it ended with %+v; it says: %s", e, job.stderr.String())
			}
		}
	})

	t.Run("that is ignored, and a second one with less grace", func(t *testing.T) {
		t.Parallel()
		p := newPod(t, sh("trap '' TERM; echo ready; while :; do sleep 1; done")).serve()
		c := p.client(nil)
		p.start("job")
		f := c.Follow("job")
		if _, err := f.Next(limit(t)); err != nil {
			t.Fatal(err)
		}
		cancel(t, c, time.Hour)
		first := await(t, c.Watch(limit(t)), func(s agent.State) bool { return s.Ending != nil })
		cancel(t, c, 0)
		if _, err := read(t, f); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if e, _ := f.Exit(); e.Signal != int(syscall.SIGKILL) {
			t.Errorf("it ended with %+v", e)
		}
		if e := f.Ending(); why(e) != agent.Canceled || !e.At.Equal(first.Ending.At) {
			t.Errorf("ending %+v, the first one was %+v", e, first.Ending)
		}
	})

	t.Run("after the end", func(t *testing.T) {
		t.Parallel()
		p := newPod(t, sh("echo done")).serve()
		c := p.client(nil)
		p.start("job")
		exit(t, c, "job")
		cancel(t, c, grace)
		await(t, c.Watch(limit(t)), phase("job", agent.Ended))
	})
}

// TestLifetime has the time that the init step takes count for both.
func TestLifetime(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("sleep 0.2"), sh("echo ready; sleep 1000"))
	p.config.Lifetime = time.Second
	p.serve()
	c := p.client(nil)
	p.start("job")
	p.start("init")
	_, initial := exit(t, c, "init")
	f := c.Follow("job")
	lines, err := read(t, f)
	e, _ := f.Exit()
	if !errors.Is(err, io.EOF) || !slices.Equal(lines, []string{"ready"}) || e.Signal != int(syscall.SIGTERM) {
		t.Errorf("printed %q, ended with %v, %+v", lines, err, e)
	}
	if why(f.Ending()) != agent.Lifetime {
		t.Fatalf("ending %+v", f.Ending())
	}
	if ran := f.Ending().At.Sub(initial.Started); ran > 3*time.Second || ran < 900*time.Millisecond {
		t.Errorf("the steps ran for %s", ran)
	}
}

// TestLifetimeDoesNotCountTheWait: an image may be pulled for long.
func TestLifetimeDoesNotCountTheWait(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("echo fine"))
	p.config.Lifetime = 3 * time.Second // enough for the step, on a busy machine
	p.serve()
	c := p.client(nil)
	time.Sleep(p.config.Lifetime + 500*time.Millisecond) // the wait is what is tested
	p.start("job")
	if lines, e := exit(t, c, "job"); !slices.Equal(lines, []string{"fine"}) || e.Code != 0 {
		t.Errorf("printed %q, ended with %+v", lines, e)
	}
}

func TestGone(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("echo ready; sleep 1000"), sh("echo job")).serve()
	c := p.client(nil)
	initial := p.start("init")
	f := c.Follow("init")
	if _, err := f.Next(limit(t)); err != nil {
		t.Fatal(err)
	}
	initial.signal(syscall.SIGKILL)
	if _, err := f.Next(limit(t)); !errors.Is(err, spool.ErrNoExit) {
		t.Errorf("it ends with: %v", err)
	}
	if _, ok := f.Exit(); ok || f.Tally().Records != 1 {
		t.Errorf("exit record %v, read %+v", ok, f.Tally())
	}
	s := await(t, c.Watch(limit(t)), phase("job", agent.Skipped))
	if s.Steps[0].Phase != agent.Gone {
		t.Errorf("state %+v", s)
	}
}

// TestHelperDies: nobody would make room in the spool, and nobody tell the result.
func TestHelperDies(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"quiet":                 "echo ready; sleep 1000",
		"prints":                "echo ready; yes",
		"ends well when told":   "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done",
		"ignores what it hears": "trap '' TERM; echo ready; while :; do sleep 0.01; done",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPod(t, sh("exec 3>$DIR/left; "+script))
			left := fifo(t, filepath.Join(p.dir, "left"))
			a := p.serveProcess()
			job := p.start("job", "-grace", "100ms", "-spool-size", "1000000")
			f := p.client(nil).Follow("job")
			if _, err := f.Next(limit(t)); err != nil {
				t.Fatal(err)
			}
			left.inherited()
			a.signal(syscall.SIGKILL)
			if code := job.code(); code == 0 {
				t.Error("the container ends with 0")
			}
			left.none()
			if _, err := spool.ReadExit(p.spool("job")); !errors.Is(err, spool.ErrNoExit) {
				t.Errorf("the exit record: %v", err)
			}
		})
	}
}

// TestHelperDiesBeforeTheTurn ends the gate.
// TestSpoolIsRemoved: a step that removes all that it may, its spool too, has no log any more, and nobody waits for it.
func TestSpoolIsRemoved(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]string{"removed": "", "a file in its place": "; echo x >$DIR/steps/job/spool"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPod(t, sh("echo one; read _ <$DIR/go; rm -r $DIR/steps/job/spool"+end+"; sleep 1000")).serve()
			gone := fifo(t, filepath.Join(p.dir, "go"))
			c := p.client(nil)
			job := p.start("job")
			f := c.Follow("job")
			if b, err := f.Next(limit(t)); err != nil || string(b.Data) != "one" {
				t.Fatalf("got %v, %v", b, err)
			}
			if _, err := gone.w.WriteString("\n"); err != nil {
				t.Fatal(err)
			}
			if lines, err := read(t, f); status.Code(err) != codes.DataLoss || len(lines) > 0 {
				t.Errorf("got %q, %v", lines, err)
			}
			if _, err := read(t, c.Follow("job")); status.Code(err) != codes.DataLoss {
				t.Errorf("who comes later gets %v", err)
			}
			if err := c.Cancel(limit(t), 0); err != nil {
				t.Fatal(err)
			}
			job.code()
			p.terminate()
			p.wait()
		})
	}
}

func TestHelperDiesBeforeTheTurn(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("echo secret"))
	conn := p.gate()
	job := p.start("job")
	if err := (<-conn).Close(); err != nil {
		t.Fatal(err)
	}
	if code := job.code(); code != entrypoint.CodeBroken {
		t.Errorf("exit code %d", code)
	}
	if want := "runner-helper: the helper has ended before it was the step's turn: EOF\n"; job.stderr.String() != want {
		t.Errorf("it says %q, want %q", job.stderr.String(), want)
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	t.Run("told to end", func(t *testing.T) {
		t.Parallel()
		p := newPod(t, sh("echo job"))
		conn := p.gate()
		job := p.start("job")
		c := <-conn
		defer func() { _ = c.Close() }()
		job.signal(syscall.SIGTERM)
		if code := job.code(); code != 143 || job.stderr.Len() > 0 {
			t.Errorf("exit code %d; it says %q", code, job.stderr.String())
		}
	})
	t.Run("of another version", func(t *testing.T) {
		t.Parallel()
		p := newPod(t, sh("echo job"))
		conn := p.gate()
		job := p.start("job")
		c := <-conn
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, `{"commands":"hunter2"}`+"\n"); err != nil {
			t.Fatal(err)
		}
		if code := job.code(); code != entrypoint.CodeBroken {
			t.Errorf("exit code %d", code)
		}
		if said := job.stderr.String(); strings.Contains(said, "hunter2") || !strings.Contains(said, "version") {
			t.Errorf("it says %q", said)
		}
	})
}

// gate is a helper that takes one connection, and says nothing.
func (p *pod) gate() <-chan net.Conn {
	p.t.Helper()
	listener, err := net.Listen("unix", filepath.Join(p.stepDir("job"), "control"))
	if err != nil {
		p.t.Fatal(err)
	}
	conns := make(chan net.Conn, 1)
	go func() {
		defer close(conns)
		if conn, err := listener.Accept(); err == nil {
			conns <- conn
		}
		_ = listener.Close()
	}()
	p.t.Cleanup(func() { _ = listener.Close() })
	return conns
}

// TestOnlyOneGetsTheInput: the second one is a process of the job, or of whoever shares its folder.
func TestOnlyOneGetsTheInput(t *testing.T) {
	t.Parallel()
	p := newPod(t, commands{script: []string{"true"}, env: []string{"TOKEN=secret"}}).serve()
	c := p.client(nil)
	p.addressOf()
	control := filepath.Join(p.stepDir("job"), "control")
	first, err := net.Dial("unix", control)
	if err != nil {
		t.Fatal(err)
	}
	second, err := net.Dial("unix", control)
	if err == nil { // it was in the queue
		if got, _ := io.ReadAll(second); len(got) > 0 {
			t.Errorf("the second one got %q", got)
		}
		_ = second.Close()
	}
	await(t, c.Watch(limit(t)), phase("job", agent.Running))
	if conn, err := net.Dial("unix", control); err == nil {
		_ = conn.Close()
		t.Error("a third one can connect")
	}
	if _, err := os.Lstat(control); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	line := make([]byte, 1000)
	n, err := first.Read(line)
	if want := `{"commands":["true"],"env":["TOKEN=secret"]}` + "\n"; err != nil || string(line[:n]) != want {
		t.Errorf("the first one got %q, %v", line[:n], err)
	}
	_ = first.Close()
}

func TestVariables(t *testing.T) {
	t.Parallel()
	env := []string{"OWN=job", "TWICE=1", "TWICE=2", "EMPTY=", "LINES=a\nb", "EQUALS=a=b"}
	for i := range 5000 {
		env = append(env, fmt.Sprintf("MANY_%d=%d", i, i))
	}
	p := newPod(t, commands{env: env, script: []string{
		`env | grep -c ^MANY_`,
		`tr '\000' '\n' </proc/$$/environ | grep -c -e ^OWN= -e ^TWICE=`, // before the shell has tidied up
		`echo "$OWN" "$TWICE" "$EMPTY" "$EQUALS" "$MANY_4999"; echo "$LINES"; test -n "$PATH"`,
	}}).serve()
	c := p.client(nil)
	p.start("job")
	lines, e := exit(t, c, "job")
	if want := []string{"5000", "2", "job 2  a=b 4999", "a", "b"}; !slices.Equal(lines, want) || e.Code != 0 {
		t.Errorf("got %q, want %q; code %d", lines, want, e.Code)
	}
}

func TestLongScript(t *testing.T) {
	t.Parallel()
	long := make([]string, 0, 3000)
	for i := range cap(long) {
		long = append(long, fmt.Sprintf("# %s\nlast=%d", strings.Repeat("x", 100), i))
	}
	p := newPod(t, sh(append(long, "echo $last")...)).serve()
	c := p.client(nil)
	p.start("job")
	if lines, e := exit(t, c, "job"); !slices.Equal(lines, []string{"2999"}) || e.Code != 0 {
		t.Errorf("printed %q, ended with %+v", lines, e)
	}
}

func TestOutputIsBytes(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh(`printf 'a\000b\377\r\n\n\033[1mend'`)).serve()
	c := p.client(nil)
	p.start("job")
	if lines, _ := exit(t, c, "job"); !slices.Equal(lines, []string{"a\x00b\xff\r", "", "\x1b[1mend"}) {
		t.Errorf("printed %q", lines)
	}
}

func TestStepWithoutOutputGoesOn(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("echo before; exec >&- 2>&-", "sleep 0.2; echo after >$DIR/file; exit 5")).serve()
	c := p.client(nil)
	p.start("job")
	lines, e := exit(t, c, "job")
	file, err := os.ReadFile(filepath.Join(p.dir, "file"))
	if !slices.Equal(lines, []string{"before"}) || e.Code != 5 || string(file) != "after\n" {
		t.Errorf("printed %q, ended with %d, wrote %q, %v", lines, e.Code, file, err)
	}
}

func TestSecretsAreOnNoDisk(t *testing.T) {
	t.Parallel()
	p := newPod(t, commands{script: []string{"echo ready; read _ <$DIR/go"}, env: []string{"TOKEN=hunter2hunter2"}}).serve()
	if err := syscall.Mkfifo(filepath.Join(p.dir, "go"), 0o666); err != nil {
		t.Fatal(err)
	}
	c := p.client(nil)
	job := p.start("job")
	f := c.Follow("job")
	if _, err := f.Next(limit(t)); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{p.config.Steps, filepath.Join(p.dir, "work")} {
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			if data, err := os.ReadFile(path); err != nil || strings.Contains(string(data), "hunter2") {
				t.Errorf("%s has a variable, or can't be read: %v", path, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", job.cmd.Process.Pid)); err != nil || strings.Contains(string(args), "hunter2") {
		t.Errorf("the command line is %q, %v", args, err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "go"), []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	job.code()
}

// TestMemoryOfTheContainer: this process's cgroup stands for the container's.
func TestMemoryOfTheContainer(t *testing.T) {
	t.Parallel()
	known := false
	for _, name := range []string{"memory.peak", "memory/memory.max_usage_in_bytes"} {
		_, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", name))
		known = known || err == nil
	}
	p := newPod(t, sh("true")).serve()
	c := p.client(nil)
	p.start("job")
	if _, e := exit(t, c, "job"); (e.PeakMemory > 0) != known {
		t.Errorf("the peak is %d; whether it can be known: %v", e.PeakMemory, known)
	}
}
