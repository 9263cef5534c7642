package pluginhost_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/pluginhost"
	"github.com/podrunner/runner/core/internal/pluginhost/hosttest"
)

// commandTime is how long a subcommand may take in a test that is not about its end.
const commandTime = 20 * time.Second

// runCommand runs a subcommand of a plugin's program.
func runCommand(t *testing.T, p *pluginhost.Plugin, config string, args ...string) (code int, stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := contextWithTimeout(t, commandTime)
	defer cancel()
	var out, errs bytes.Buffer
	code, err = p.RunCommand(ctx, pluginhost.Command{
		Args: args, Config: []byte(config), Stdin: strings.NewReader("a job"), Stdout: &out, Stderr: &errs,
	})
	return code, out.String(), errs.String(), err
}

// TestCommand: the program gets what it needs, and of core's environment what the plugin gets.
func TestCommand(t *testing.T) {
	sum, err := pluginhost.Checksum(hosttest.Dir(t, "echo").Path + "/runner-processor-echo")
	if err != nil {
		t.Fatal(err)
	}
	for name, checksum := range map[string]string{"any program": "", "a pinned program": sum} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, pluginhost.Options{
				Environ: []string{"HOME=/home/x", "TOKEN=secret", "GRANTED=yes", "RUNNER_PLUGIN_CONFIG_FD=99"},
				Plugins: map[string]pluginhost.Settings{"echo": {Checksum: checksum, Env: []string{"GRANTED"}}},
			}, "echo")
			p := f.launch(t, "echo")
			code, stdout, stderr, err := runCommand(t, p, `{"url":"x"}`, "tell", "-f", "job.yaml")
			want := "args [\"tell\" \"-f\" \"job.yaml\"]\nstdin \"a job\"\nconfig \"{\\\"url\\\":\\\"x\\\"}\"\nHOME\nGRANTED\nRUNNER_PLUGIN_CONFIG_FD\n"
			if code != 0 || stdout != want || stderr != "" || err != nil {
				t.Errorf("code %d, %q, %q, %v; want %q", code, stdout, stderr, err, want)
			}
		})
	}
}

// TestCommandEnds: however it ends, it is no error that it was run.
func TestCommandEnds(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "echo")
	p := f.launch(t, "echo")
	// More than a pipe holds, which nobody reads.
	large := strings.Repeat("x", 1<<20)
	for command, want := range map[string]int{"exit 0": 0, "exit 3": 3, "killed": -1} {
		if code, _, _, err := runCommand(t, p, large, strings.Fields(command)...); code != want || err != nil {
			t.Errorf("%s: code %d, %v, want %d", command, code, err, want)
		}
	}
	if _, err := p.Validate(t.Context(), nil); err != nil {
		t.Errorf("the plugin itself: %v", err)
	}
}

// TestCommandLeavesProcess: a call is over when its process is, whatever that has left behind.
func TestCommandLeavesProcess(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "echo")
	p := f.launch(t, "echo")
	begun := time.Now()
	code, stdout, _, err := runCommand(t, p, strings.Repeat("x", 1<<20), "leave") // more than a pipe holds
	killEscaped(t, stdout)
	if code != 0 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
	if took := time.Since(begun); took > commandTime {
		t.Errorf("the call took %s, as long as what was left behind", took)
	}
}

// TestCommandIsTold: the end of the context ends the program, gently when it lets itself be told.
func TestCommandIsTold(t *testing.T) {
	for command, want := range map[string]int{"wait": 4, "stuck": -1} {
		t.Run(command, func(t *testing.T) {
			if command == "stuck" {
				pluginhost.SetCommandGrace(t, 50*time.Millisecond)
			}
			f := newFixture(t, pluginhost.Options{}, "echo")
			p := f.launch(t, "echo")
			ctx, cancel := contextWithTimeout(t, commandTime)
			defer cancel()
			out := cancelAtOutput{cancel: cancel}
			code, err := p.RunCommand(ctx, pluginhost.Command{Args: []string{command}, Stdout: out, Stderr: io.Discard})
			if code != want || err != nil {
				t.Errorf("code %d, %v, want %d", code, err, want)
			}
		})
	}
}

// cancelAtOutput cancels when something is written.
type cancelAtOutput struct{ cancel context.CancelFunc }

func (c cancelAtOutput) Write(p []byte) (int, error) {
	c.cancel()
	return len(p), nil
}

// TestCommandChecksum: a file that was changed since the plugin was launched is not executed, and one that is put in its
// place after the check neither.
func TestCommandChecksum(t *testing.T) {
	sum, err := pluginhost.Checksum(hosttest.Dir(t, "echo").Path + "/runner-processor-echo")
	if err != nil {
		t.Fatal(err)
	}
	pinned := pluginhost.Options{Plugins: map[string]pluginhost.Settings{"echo": {Checksum: sum}}}
	swap := func(t *testing.T, f *fixture) {
		path := f.dir + "/runner-processor-echo"
		if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("#!/bin/sh\necho swapped\n"), 0o755)); err != nil {
			t.Error(err)
		}
	}
	t.Run("swapped before", func(t *testing.T) {
		f := newFixture(t, pinned, "echo")
		p := f.launch(t, "echo")
		swap(t, f)
		_, stdout, _, err := runCommand(t, p, "", "exit", "0")
		wantReason(t, err, pluginhost.BadChecksum)
		if stdout != "" {
			t.Errorf("it was executed: %q", stdout)
		}
	})
	t.Run("swapped after the check", func(t *testing.T) {
		f := newFixture(t, pinned, "echo")
		p := f.launch(t, "echo")
		pluginhost.AfterVerify(t, func() { swap(t, f) })
		if code, stdout, _, err := runCommand(t, p, "", "exit", "5"); code != 5 || stdout != "" || err != nil {
			t.Errorf("code %d, %q, %v", code, stdout, err)
		}
	})
	t.Run("gone", func(t *testing.T) {
		f := newFixture(t, pluginhost.Options{}, "echo")
		p := f.launch(t, "echo")
		if err := os.Remove(f.dir + "/runner-processor-echo"); err != nil {
			t.Fatal(err)
		}
		_, _, _, err := runCommand(t, p, "", "exit", "0")
		wantReason(t, err, pluginhost.StartFailed)
	})
}
