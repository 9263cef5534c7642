package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/engine"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/render"
)

const goodJob = `image: alpine
commands:
  - echo hello
variables:
  - key: TOKEN
    value: not-for-anybodys-eyes
    sensitive: true
`

// TestSessionRefuses has the ways in which `test` and `replay` are used wrongly. None of them starts a plugin.
func TestSessionRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		stdin string
	}{
		"test-no-file":            {args: []string{"test"}},
		"test-argument":           {args: []string{"test", "job.yaml"}},
		"test-file-missing":       {args: []string{"test", "-f", "none.yaml"}},
		"test-file-empty":         {args: []string{"test", "-f", "empty"}},
		"test-file-is-a-folder":   {args: []string{"test", "-f", "plugins"}},
		"test-stdin-empty":        {args: []string{"test", "-f", "-"}},
		"test-stdin-not-yaml":     {args: []string{"test", "-f", "-"}, stdin: "a: [\n"},
		"test-stdin-no-image":     {args: []string{"test", "-f", "-"}, stdin: "commands: [ls]\n"},
		"test-bad-output":         {args: []string{"test", "-f", "job.yaml", "--output", "xml"}},
		"test-unknown-executor":   {args: []string{"test", "-f", "job.yaml", "--executor", "locl"}},
		"test-unknown-pipeline":   {args: []string{"test", "-f", "job.yaml", "--pipeline", "defalt"}},
		"replay-no-log":           {args: []string{"replay"}},
		"replay-two-logs":         {args: []string{"replay", "a", "b"}},
		"replay-missing":          {args: []string{"replay", "none.log"}},
		"replay-stderr-missing":   {args: []string{"replay", "--stderr", "none.log", "empty"}},
		"replay-outcome-missing":  {args: []string{"replay", "--outcome-file", "none", "empty"}},
		"replay-outcome-stdin":    {args: []string{"replay", "--outcome-file", "-", "-"}},
		"replay-folder":           {args: []string{"replay", "plugins"}},
		"replay-bad-time":         {args: []string{"replay", "--time", "yesterday", "empty"}},
		"replay-bad-output":       {args: []string{"replay", "--output", "", "empty"}},
		"replay-both-stdin":       {args: []string{"replay", "--stderr", "-", "-"}},
		"replay-job-and-log":      {args: []string{"replay", "-f", "-", "-"}},
		"replay-job-file-missing": {args: []string{"replay", "-f", "none.yaml", "empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, goodConfig, "crash")
			writeFile(t, "job.yaml", goodJob)
			writeFile(t, "empty", "")
			r := core(t, test.stdin, test.args...)
			if r.code != exitUsage || r.stdout != "" {
				t.Errorf("exit code %d, want %d; stdout %q", r.code, exitUsage, r.stdout)
			}
			golden(t, name, r)
		})
	}
}

// TestExitCodeOfAResult: whether it is the job that failed, or what is around it.
func TestExitCodeOfAResult(t *testing.T) {
	for _, test := range []struct {
		outcome job.Outcome
		reason  job.Reason
		want    int
	}{
		{job.Success, job.ReasonNone, exitSuccess},
		{job.Failed, job.ReasonExit, exitJobFailed},
		{job.Failed, job.ReasonInitFailed, exitJobFailed},
		{job.Failed, job.ReasonStart, exitJobFailed},
		{job.Canceled, job.ReasonCanceled, exitJobFailed},
		{job.ExecutionTimeout, job.ReasonLifetime, exitJobFailed},
		{job.Failed, job.ReasonProcessor, exitInfrastructure},
		{job.Failed, job.ReasonInfrastructure, exitInfrastructure},
	} {
		s := &session{renderer: render.NewJSON(io.Discard)}
		err := s.finish(engine.Summary{Result: job.Result{Outcome: test.outcome, Reason: test.reason}})
		if got := (&app{}).report(err); got != test.want {
			t.Errorf("%s, %q: exit code %d, want %d", test.outcome, test.reason, got, test.want)
		}
	}
}

// TestReplay sends logs through processors that leave them as they are.
func TestReplay(t *testing.T) {
	for name, test := range map[string]struct {
		stdin string
		args  []string
		want  string
	}{
		"a file":           {"", []string{"out.log"}, "one\ntwo\n"},
		"standard input":   {"a\nb", []string{"-"}, "a\nb\n"},
		"nothing":          {"", []string{"-"}, ""},
		"stdout and error": {"", []string{"--stderr", "err.log", "out.log"}, "one\ntwo\nthree\n"},
		"error from stdin": {"x\n", []string{"--stderr", "-", "out.log"}, "one\ntwo\nx\n"},
		"log from stdin":   {"x\n", []string{"--stderr", "err.log", "-"}, "x\nthree\n"},
		"with a job":       {"", []string{"-f", "job.yaml", "out.log"}, "one\ntwo\n"},
		"job from stdin":   {goodJob, []string{"-f", "-", "out.log"}, "one\ntwo\n"},
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, goodConfig, "outcome", "sanitize")
			writeFile(t, "job.yaml", goodJob)
			writeFile(t, "out.log", "one\ntwo\n")
			writeFile(t, "err.log", "three\n")
			r := core(t, test.stdin, append([]string{"replay"}, test.args...)...)
			if r.code != exitSuccess || r.stdout != test.want || !strings.Contains(r.err, "outcome    success") {
				t.Errorf("got %+v, want %q", r, test.want)
			}
		})
	}
}

func TestReplayWithTime(t *testing.T) {
	inFolder(t, goodConfig, "outcome", "sanitize")
	r := core(t, "a\n", "replay", "--time", "2026-01-02T04:04:05.5+01:00", "--output", "json", "-")
	first, _, _ := strings.Cut(r.stdout, "\n")
	var event struct{ Event, Time, Line string }
	if err := json.Unmarshal([]byte(first), &event); err != nil || event.Time != "2026-01-02T03:04:05.5Z" || event.Line != "a" {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestInterrupted ends commands that wait for an input that does not come.
func TestInterrupted(t *testing.T) {
	for name, args := range map[string][]string{
		"job from a terminal that is silent": {"test", "-f", "-"},
		"log from a pipe that stays open":    {"replay", "-"},
		"configuration to be formatted":      {"fmt", "-"},
		"configuration to be migrated":       {"migrate", "--from", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, goodConfig, "outcome", "sanitize")
			silent, writer := io.Pipe()
			defer func() { _ = writer.Close() }()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var stdout, stderr bytes.Buffer
			in := &waited{Reader: silent, waits: cancel}
			code := run(ctx, args, streams{in: in, out: &stdout, err: &stderr})
			if want := "core: interrupted before it was done\n"; code != exitJobFailed || stdout.Len() > 0 || stderr.String() != want {
				t.Errorf("exit code %d, stdout %q, stderr %q, want %q", code, stdout.String(), stderr.String(), want)
			}
		})
	}
}

// TestInterruptedAtAPipe ends commands that wait for somebody who writes to a named pipe.
func TestInterruptedAtAPipe(t *testing.T) {
	for name, args := range map[string][]string{
		"configuration":                    {"validate", "-c", "pipe"},
		"configuration of a job":           {"test", "-c", "pipe", "-f", "-"},
		"job file":                         {"test", "-f", "pipe"},
		"configuration that is formatted":  {"fmt", "pipe"},
		"configuration that is to be made": {"migrate", "--from", "pipe"},
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, goodConfig, "outcome", "sanitize")
			if err := syscall.Mkfifo("pipe", 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // it is waited for, however slow the machine
			defer cancel()
			var stdout, stderr bytes.Buffer
			ended := make(chan int, 1)
			go func() { ended <- run(ctx, args, streams{in: strings.NewReader(""), out: &stdout, err: &stderr}) }()
			select {
			case code := <-ended:
				if want := "core: interrupted before it was done\n"; code != exitJobFailed || stdout.Len() > 0 || stderr.String() != want {
					t.Errorf("exit code %d, stdout %q, stderr %q, want %q", code, stdout.String(), stderr.String(), want)
				}
			case <-time.After(30 * time.Second):
				t.Error("it still waits")
			}
			pipe, err := os.OpenFile("pipe", os.O_RDWR, 0) // lets go of what waits
			if err != nil {
				t.Fatal(err)
			}
			_ = pipe.Close()
		})
	}
}

// TestInterruptedAtTheStart ends commands that wait for plugins.
func TestInterruptedAtTheStart(t *testing.T) {
	for _, args := range [][]string{{"validate"}, {"validate", "-json"}, {"plugins", "list"}, {"plugins", "describe", "outcome"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			inFolder(t, goodConfig, "outcome", "sanitize")
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			var stdout, stderr bytes.Buffer
			code := run(ctx, args, streams{in: strings.NewReader(""), out: &stdout, err: &stderr})
			if want := "core: interrupted before it was done\n"; code != exitJobFailed || stdout.Len() > 0 || stderr.String() != want {
				t.Errorf("exit code %d, stdout %q, stderr %q, want %q", code, stdout.String(), stderr.String(), want)
			}
		})
	}
}

// TestNobodyReads: behind `head` nobody knows what a broken pipe is.
func TestNobodyReads(t *testing.T) {
	for name, args := range map[string][]string{"version": {"version"}, "lines": {"replay", "-"}, "events": {"replay", "--output", "json", "-"}} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, goodConfig, "outcome", "sanitize")
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			fd, err := syscall.Dup(int(writer.Fd()))
			if err := errors.Join(err, reader.Close(), writer.Close()); err != nil {
				t.Fatal(err)
			}
			stdout := os.NewFile(uintptr(fd), os.Stdout.Name())
			defer func() { _ = stdout.Close() }()
			var stderr bytes.Buffer
			code := run(t.Context(), args, streams{in: strings.NewReader("a line\n"), out: stdout, err: &stderr})
			if want := "core: " + errNobodyReads.Error() + "\n"; code != exitInfrastructure || stderr.String() != want {
				t.Errorf("exit code %d, stderr %q, want %q", code, stderr.String(), want)
			}
		})
	}
}

// waited tells when it is waited for.
type waited struct {
	io.Reader
	waits func()
}

func (w *waited) Read(p []byte) (int, error) {
	w.waits()
	return w.Reader.Read(p)
}

// TestNoHelper: core says what is missing and how it comes to be there.
func TestNoHelper(t *testing.T) {
	inFolder(t, goodConfig, "outcome", "sanitize")
	writeFile(t, "job.yaml", goodJob)
	r := core(t, "", "test", "-f", "job.yaml", "--executor", "local")
	if r.code != exitInfrastructure || !strings.Contains(r.err, helperName) || !strings.Contains(r.err, "make build") {
		t.Errorf("got %+v", r)
	}
	if strings.Contains(r.stdout+r.err, "not-for-anybodys-eyes") {
		t.Error("a secret is shown")
	}
}
