package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podrunner/runner/core/internal/entrypoint"
	"github.com/podrunner/runner/core/internal/spool"
)

func TestExit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		commands []string
		flags    []string
		code     int
		signal   syscall.Signal
		failure  spool.Failure
	}{
		{"success", []string{"true"}, nil, 0, 0, ""},
		{"no command", []string{}, nil, 0, 0, ""},
		{"code", []string{"exit 3"}, nil, 3, 0, ""},
		{"killed", []string{"kill -KILL $$"}, nil, 137, syscall.SIGKILL, ""},
		{"ended itself", []string{"kill -TERM $$"}, nil, 143, syscall.SIGTERM, ""},
		{"no such shell", []string{"true"}, []string{"-shell", "/no/such"}, 127, 0, spool.FailureStart},
		{"no such name", []string{"true"}, []string{"-shell", "nosuch"}, 127, 0, spool.FailureStart},
		{"no program", []string{"true"}, []string{"-shell", "/etc/passwd"}, 126, 0, spool.FailureStart},
		{"no working directory", []string{"true"}, []string{"-workdir", "/etc/passwd/x"}, 126, 0, spool.FailureStart},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, exit := startStep(t, c.commands, c.flags...).exit()
			if code != c.code || exit.Code != c.code || exit.Signal != int(c.signal) || exit.Failure != c.failure {
				t.Errorf("exit code %d, record %+v", code, exit)
			}
			if started := !exit.Started.IsZero(); started != (c.failure == "") || exit.Finished.IsZero() {
				t.Errorf("started %v, finished %v", exit.Started, exit.Finished)
			}
			if exit.PeakMemory != 0 || exit.MemoryLimit != 0 || exit.OOMKills != 0 {
				t.Errorf("the record tells of a container, and there is none: %+v", exit)
			}
			if (exit.Error != "") != (c.failure != "") {
				t.Errorf("the error is %q", exit.Error)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	// A shell loop for user time; head and tail -c hold 64 MiB in memory.
	_, exit := startStep(t, []string{
		"i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done",
		"head -c 64m /dev/zero | tail -c 63m > /dev/null",
	}).exit()
	if exit.UserTime <= 0 || exit.SystemTime <= 0 || exit.UserTime > testTime {
		t.Errorf("CPU times are %v and %v", exit.UserTime, exit.SystemTime)
	}
	if exit.PeakRSS < 60<<20 || exit.PeakRSS > 1<<30 {
		t.Errorf("peak memory is %d bytes", exit.PeakRSS)
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	s := startStep(t, []string{"echo out", "echo err >&2", "printf 'cr\\r\\n'", "printf 'no end'", "pwd >&2"}, "-xtrace=true")
	var stdout, stderr []string
	for _, l := range s.lines() {
		if text, ok := strings.CutPrefix(l, "1 "); ok {
			stdout = append(stdout, text)
		} else {
			stderr = append(stderr, l[2:])
		}
	}
	if got := strings.Join(stdout, "|"); got != "out|cr\r|no end" {
		t.Errorf("stdout is %q", got)
	}
	want := "+ echo out|+ echo err|err|+ printf cr\\r\\n|+ printf no end|+ pwd|" + filepath.Join(s.dir, "run", "work")
	if got := strings.Join(stderr, "|"); got != want {
		t.Logf("the shell of this machine is not dash: stderr is %q", got)
		if !strings.Contains(got, "err|") || !strings.HasSuffix(got, "/work") {
			t.Errorf("stderr is %q", got)
		}
	}
}

func TestNothingOutlivesTheShell(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		commands []string
	}{
		{"it holds the output", []string{"sleep 1000 3>$LEFT &"}},
		{"it holds nothing", []string{"sleep 1000 >/dev/null 2>&1 3>$LEFT &"}},
		{"it ignores TERM", []string{"(trap '' TERM; echo go >&2; exec sleep 1000) 3>$LEFT & wait_for=$!; sleep 0.2"}},
		{"it has left the group", []string{"setsid sleep 1000 3>$LEFT &", "sleep 0.2"}},
		{"it has left the group and ignores TERM", []string{
			"setsid sh -c \"trap '' TERM; sleep 1000; sleep 1000\" >/dev/null 2>&1 3>$LEFT &", "sleep 0.2",
		}},
		{"it has children", []string{"sh -c 'sleep 1000 & sleep 1000 & wait' 3>$LEFT &", "sleep 0.2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := startStep(t, append(c.commands, "exec 4>$LEFT; echo ready", "exit 5"), "-grace", "100ms")
			if code, exit := s.exit(); code != 5 || exit.Code != 5 {
				t.Errorf("exit code %d, record %+v", code, exit)
			}
			s.nothingLeft()
		})
	}
}

// TestOutputOfWhatOutlivesTheShell: a process that ends soon has its last words kept.
func TestOutputOfWhatOutlivesTheShell(t *testing.T) {
	t.Parallel()
	got := startStep(t, []string{"(sleep 0.1; echo last) &", "echo first"}).lines()
	if strings.Join(got, "|") != "1 first|1 last" {
		t.Errorf("got %q", got)
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{
		"INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT,
		"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "TERM": syscall.SIGTERM,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startStep(t, []string{
				"trap 'echo got " + name + "; exit 9' " + name, "sleep 1000 3>$LEFT & echo ready", "wait",
			})
			s.signal(sig)
			code := s.wait()
			if got := s.lines(); code != 9 || got[len(got)-1] != "1 got "+name {
				t.Errorf("exit code %d, output %q", code, got)
			}
			s.nothingLeft()
		})
	}
}

func TestKillAfterGrace(t *testing.T) {
	t.Parallel()
	commands := []string{"trap 'echo no' TERM", "exec 3>$LEFT; echo ready", "while :; do sleep 0.05 || true; done"}
	for _, c := range []struct {
		name string
		flag string
		end  func(s *step)
	}{
		{"TERM", "100ms", func(s *step) { s.signal(syscall.SIGTERM) }},
		{"cancel", "1h", func(s *step) { _, _ = io.WriteString(s.in, entrypoint.CancelLine(100*time.Millisecond)) }},
		{"a second, shorter cancel", "1h", func(s *step) {
			_, _ = io.WriteString(s.in, entrypoint.CancelLine(time.Hour)+"nonsense\n"+entrypoint.CancelLine(0))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := startStep(t, commands, "-grace", c.flag, "-lifeline", "stdin")
			c.end(s)
			if code, exit := s.exit(); code != 137 || exit.Signal != int(syscall.SIGKILL) {
				t.Errorf("exit code %d, record %+v", code, exit)
			}
			s.nothingLeft()
		})
	}
}

func TestLifeline(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		commands []string
	}{
		{"quiet", []string{"exec 3>$LEFT; echo ready", "sleep 1000"}},
		{"ignores TERM", []string{"trap '' TERM", "exec 3>$LEFT; echo ready", "sleep 1000"}},
		{"waits for room in the spool", []string{"exec 3>$LEFT; echo ready", "yes"}},
		{"leaves a folder that can't be written", []string{
			"mkdir -p a/b; touch a/b/c; chmod 0500 a/b a", "exec 3>$LEFT; echo ready", "sleep 1000",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := startStep(t, c.commands, "-lifeline", "stdin", "-remove", "RUN", "-grace", "100ms", "-spool-size", "1000000")
			if err := s.in.Close(); err != nil {
				t.Fatal(err)
			}
			s.wait()
			s.nothingLeft()
			if _, err := os.Lstat(filepath.Join(s.dir, "run")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the folder is left: %v; the helper says: %s", err, s.said.String())
			}
		})
	}
}

func TestSpoolFull(t *testing.T) {
	t.Parallel()
	const lines = 200000
	s := startStep(t, []string{"echo ready", "exec seq -f 'a line with the number %.0f' 200000"}, "-spool-size", "1000000")
	r := s.reader()
	read := uint64(0)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), testTime)
		b, err := r.Next(ctx)
		cancel()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		read += uint64(b.Len())
		if err := r.Release(read); err != nil {
			t.Fatal(err)
		}
	}
	code, exit := s.exit()
	if code != 0 || exit.Tally != r.Tally() || exit.Records != lines+1 {
		t.Errorf("exit code %d, record %+v, read %+v", code, exit, r.Tally())
	}
}

// TestSpoolFails takes the spool's directory away, so that no further segment can be made.
func TestSpoolFails(t *testing.T) {
	t.Parallel()
	s := startStep(t, []string{"exec 3>$LEFT; mkfifo ../go; echo ready", "read _ <../go; rm -r ../spool; yes"},
		"-spool-size", "1000000", "-grace", "100ms")
	// The spool is there until the test has read "ready" from it. Opening the FIFO waits for the step to open it.
	if err := os.WriteFile(filepath.Join(s.dir, "run", "go"), []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	if code := s.wait(); code != entrypoint.CodeBroken {
		t.Errorf("exit code %d", code)
	}
	s.nothingLeft()
}

// TestDiskFull has a write of the helper fail in its middle, as that of a full disk does. A reader who follows sees all that
// the exit record counts, and the record; and nobody has asked the step to end.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	line := "$(head -c 30000 /dev/zero | tr '\\0' x)"
	s := startStep(t, []string{"exec 3>$LEFT; mkfifo ../go; echo ready; line=" + line, "trap '' TERM; read _ <../go; while :; do echo $line; echo $line >&2; done"}, "-grace", "100ms")
	r := s.reader()
	if got := s.next(r); got != "ready" {
		t.Fatalf("got %q", got)
	}
	if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 50_000, Max: 50_000}, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "run", "go"), []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	defer cancel()
	err := error(nil)
	for err == nil {
		_, err = r.Next(ctx)
	}
	code, exit := s.exit()
	if !errors.Is(err, io.EOF) || exit.Tally != r.Tally() || exit.Records != 2 {
		t.Errorf("read %+v, then %v; the exit record has %+v", r.Tally(), err, exit.Tally)
	}
	if code != entrypoint.CodeBroken || exit.Failure != spool.FailureSpool || !exit.Asked.IsZero() {
		t.Errorf("exit code %d, record %+v", code, exit)
	}
	if strings.Count(exit.Error, "write spool") != 1 {
		t.Errorf("the error of both streams is %q", exit.Error)
	}
	s.nothingLeft()
}

func TestEnvironmentIsHandedOn(t *testing.T) {
	t.Parallel()
	s := startStep(t, []string{"env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD="})
	want := "1 PATH=" + os.Getenv("PATH") + "|1 LEFT=" + filepath.Join(s.dir, "fifo")
	got := s.lines()
	if joined := strings.Join(got, "|"); joined != want && strings.Join([]string{got[len(got)-1], got[0]}, "|") != want {
		t.Errorf("got %q, want %q", joined, want)
	}
}

// TestLastWords: an entrypoint in a container says why it leaves no exit record where the kubelet looks, in the place of what the
// job may have put there.
func TestLastWords(t *testing.T) {
	dir := t.TempDir()
	before := terminationLog
	defer func() { terminationLog = before }()
	terminationLog = filepath.Join(dir, "termination-log")
	socket := filepath.Join(dir, "control")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // the test is over
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close() // a helper that ends
		}
	}()
	inContainer := []string{"entrypoint", "-control", socket, "-workdir", filepath.Join(dir, "work"), "-spool", filepath.Join(dir, "spool")}
	for name, c := range map[string]struct {
		args []string
		code int
		// want is a part of the words, empty for what the file had.
		want string
	}{
		"broken":       {inContainer, entrypoint.CodeBroken, "before it was the step's turn"},
		"unknown flag": {append(inContainer[:len(inContainer):len(inContainer)], "-new"), codeUsage, "-new"},
		"no container": {[]string{"entrypoint", "-script", "/none", "-workdir", dir, "-spool", dir}, entrypoint.CodeBroken, ""},
	} {
		if err := os.WriteFile(terminationLog, []byte(strings.Repeat("the job's ", 100)), 0o600); err != nil {
			t.Fatal(err)
		}
		code := run(c.args, io.Discard, io.Discard)
		got, err := os.ReadFile(terminationLog)
		if err != nil {
			t.Fatal(err)
		}
		if code != c.code || !strings.Contains(string(got), c.want) || strings.Contains(string(got), "the job's") != (c.want == "") {
			t.Errorf("%s: exit code %d, last words %q", name, code, got)
		}
	}
	if err := os.Remove(terminationLog); err != nil {
		t.Fatal(err)
	}
	run(inContainer, io.Discard, io.Discard)
	if _, err := os.Stat(terminationLog); err == nil {
		t.Error("the file is made")
	}
}
