//go:build linux

package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

// testMain builds the binary once, as the Makefile does.
func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "runner-helper-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "runner-helper")
	build := exec.Command("go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w -X main.version=v1.2.3", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build runner-helper: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// maxBinary is what a pod can be asked to copy for each job. Two thirds of it are gRPC, protobuf and TLS.
const maxBinary = 9700 << 10

func TestBinaryIsSmallAndStatic(t *testing.T) {
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("runner-helper has %d bytes", info.Size())
	if info.Size() > maxBinary {
		t.Errorf("it has %d bytes, more than %d", info.Size(), maxBinary)
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("/ld-linux")) || bytes.Contains(data, []byte("/ld-musl")) {
		t.Error("it names a dynamic loader")
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		code int
	}{
		{"none", nil, 2},
		{"help", []string{"help"}, 0},
		{"version", []string{"version"}, 0},
		{"unknown", []string{"agnet"}, 2},
		{"entrypoint-help", []string{"entrypoint", "-h"}, 0},
		{"entrypoint-missing", []string{"entrypoint", "-script", "s"}, 2},
		{"entrypoint-unknown-flag", []string{"entrypoint", "-no-such-flag", "s"}, 2},
		{"entrypoint-lifeline", []string{
			"entrypoint", "-script", "s", "-workdir", "w", "-spool", "s", "-lifeline", "socket",
		}, 2},
		{"entrypoint-remove", []string{
			"entrypoint", "-script", "s", "-workdir", "w", "-spool", "s", "-remove", "x",
		}, 2},
		{"entrypoint-argument", []string{"entrypoint", "-script", "s", "-workdir", "w", "-spool", "s", "x"}, 2},
		{"entrypoint-no-script", []string{"entrypoint", "-script", "/nosuch", "-workdir", "w", "-spool", "s"}, 125},
		{"entrypoint-two-sources", []string{"entrypoint", "-script", "s", "-control", "c", "-workdir", "w", "-spool", "s"}, 2},
		{"entrypoint-control-lifeline", []string{
			"entrypoint", "-control", "c", "-workdir", "w", "-spool", "s", "-lifeline", "stdin",
		}, 2},
		{"agent-help", []string{"agent", "-h"}, 0},
		{"agent-missing", []string{"agent", "-inputs", "i"}, 2},
		{"agent-argument", []string{"agent", "-inputs", "i", "-steps", "s", "-step", "job", "x"}, 2},
		{"agent-no-keys", []string{"agent", "-inputs", "/nosuch", "-steps", "s", "-step", "job"}, 1},
		{"agent-no-tool", []string{"agent", "-inputs", "i", "-steps", "s", "-step", "job", "-tool", "x=no-such-program"}, 78},
		{"agent-bad-tool", []string{"agent", "-inputs", "i", "-steps", "s", "-step", "job", "-tool", "x"}, 2},
		{"install-no-tool", []string{"install", "-tool", "x=no-such-program", "/nosuch/helper"}, 1},
		{"install-missing", []string{"install"}, 2},
		{"install-no-folder", []string{"install", "/nosuch/helper"}, 1},
		{"probe", []string{"probe"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			cmd := exec.CommandContext(t.Context(), binary, c.args...)
			cmd.Stdout, cmd.Stderr, cmd.Dir = &stdout, &stderr, t.TempDir()
			_ = cmd.Run()
			golden(t, c.name, fmt.Sprintf("exit code %d\n--- stdout\n%s--- stderr\n%s",
				cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()))
			if got := cmd.ProcessState.ExitCode(); got != c.code {
				t.Errorf("exit code %d, want %d", got, c.code)
			}
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; make it with -update", err)
	}
	if strings.TrimSpace(got) != strings.TrimSpace(string(want)) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
