package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podrunner/runner/core/internal/entrypoint"
	"github.com/podrunner/runner/core/internal/record"
	"github.com/podrunner/runner/core/internal/spool"
)

// testTime bounds a test: whoever hangs fails.
const testTime = 30 * time.Second

// step is a helper that runs a step in a folder of its own.
type step struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	in   io.WriteCloser
	said bytes.Buffer
	// left ends when no process of the step is left that has inherited its other end.
	left *os.File
}

// startStep starts the binary on commands. RUN among the flags stands for the step's folder, $LEFT is a FIFO that they may hold open.
func startStep(t *testing.T, commands []string, flags ...string) *step {
	t.Helper()
	return startStepWith(t, nil, commands, flags...)
}

// startStepWith is startStep with more variables in the environment.
func startStepWith(t *testing.T, env, commands []string, flags ...string) *step {
	t.Helper()
	s := &step{t: t, dir: t.TempDir()}
	run := filepath.Join(s.dir, "run")
	if err := os.Mkdir(run, 0o700); err != nil {
		t.Fatal(err)
	}
	script, fifo := filepath.Join(run, "script.json"), filepath.Join(s.dir, "fifo")
	if err := entrypoint.WriteScript(script, commands); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range flags {
		if flags[i] == "RUN" {
			flags[i] = run
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	t.Cleanup(cancel)
	s.cmd = exec.CommandContext(ctx, binary, append([]string{
		"entrypoint", "-script", script, "-spool", s.spool(), "-workdir", filepath.Join(run, "work"), "-xtrace=false",
	}, flags...)...)
	s.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LEFT=" + fifo}
	s.cmd.Env = append(s.cmd.Env, env...)
	s.cmd.Stderr = &s.said
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	// Opened for both, so that neither side waits for the other.
	held, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err == nil {
		s.left, err = os.OpenFile(fifo, os.O_RDONLY|unix.O_NONBLOCK, 0)
	}
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = s.in.Close(), s.left.Close() })
	// The first line of output says that the FIFO is open where it is to be; then the test's own end can go.
	s.ready(held)
	return s
}

func (s *step) spool() string { return filepath.Join(s.dir, "run", "spool") }

// ready waits for the step's line "ready", if its commands have one, and lets go of the FIFO.
func (s *step) ready(held *os.File) {
	s.t.Helper()
	script, err := os.ReadFile(filepath.Join(s.dir, "run", "script.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	if bytes.Contains(script, []byte("echo ready")) {
		if err := os.MkdirAll(s.spool(), 0o700); err != nil {
			s.t.Fatal(err)
		}
		r := s.reader()
		for !strings.Contains(s.next(r), "ready") {
		}
	}
	_ = held.Close()
}

func (s *step) reader() *spool.Reader {
	s.t.Helper()
	r, err := spool.NewReader(s.spool(), record.StepJob, 1)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = r.Close() })
	return r
}

// next returns the texts of the next batch.
func (s *step) next(r *spool.Reader) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	defer cancel()
	b, err := r.Next(ctx)
	if err != nil {
		s.t.Fatalf("read the spool: %v; the helper says: %s", err, s.said.String())
	}
	return string(b.Data)
}

// wait waits for the helper and returns its exit code.
func (s *step) wait() int {
	s.t.Helper()
	if s.cmd.ProcessState != nil {
		return s.cmd.ProcessState.ExitCode()
	}
	err := s.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return s.cmd.ProcessState.ExitCode()
}

// exit waits for the helper and returns the exit record.
func (s *step) exit() (int, spool.Exit) {
	s.t.Helper()
	code := s.wait()
	exit, err := spool.ReadExit(s.spool())
	if err != nil {
		s.t.Fatalf("read exit record: %v; the helper says: %s", err, s.said.String())
	}
	return code, exit
}

// lines waits for the helper and returns the lines of the spool: "1 ", "2 " or, for the outcome file, "@ ", then the text;
// "…" stands at the end of a piece.
func (s *step) lines() []string {
	s.t.Helper()
	s.exit()
	r := s.reader()
	var out []string
	for {
		b, err := r.Next(s.t.Context())
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			s.t.Fatal(err)
		}
		for _, rec := range b.All {
			stream := map[record.Flags]string{0: "1 ", record.Stderr: "2 ", record.Outcome: "@ "}[rec.Flags&^record.Partial]
			if rec.Flags&record.Partial != 0 {
				rec.Text = append(rec.Text, "…"...)
			}
			out = append(out, stream+string(rec.Text))
		}
	}
}

// nothingLeft waits until nobody holds the FIFO.
func (s *step) nothingLeft() {
	s.t.Helper()
	if err := s.left.SetReadDeadline(time.Now().Add(testTime)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.left.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		s.t.Errorf("a process of the step is left: %v", err)
	}
}

func (s *step) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// TestAllExitCodes: every exit code, and every signal that ends a process, comes through as it is.
func TestAllExitCodes(t *testing.T) {
	t.Parallel()
	for code := range 256 {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			if got, exit := startStep(t, []string{"exit " + strconv.Itoa(code)}).exit(); got != code || exit.Code != code || exit.Signal != 0 {
				t.Errorf("exit code %d, record %+v", got, exit)
			}
		})
	}
	for _, signal := range []unix.Signal{
		unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGILL, unix.SIGABRT, unix.SIGFPE, unix.SIGKILL,
		unix.SIGSEGV, unix.SIGPIPE, unix.SIGALRM, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGBUS, unix.SIGXCPU,
	} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			want := 128 + int(signal)
			commands := []string{"ulimit -c 0", "kill -" + strconv.Itoa(int(signal)) + " $$"}
			if got, exit := startStep(t, commands).exit(); got != want || exit.Code != want || exit.Signal != int(signal) {
				t.Errorf("exit code %d, record %+v", got, exit)
			}
		})
	}
}
