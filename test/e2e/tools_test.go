package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// withSource makes a folder with the processors, and the test plugin as the source "echo".
func withSource(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	built, err := filepath.Glob(filepath.Join(bin, "plugins", "*"))
	if err != nil {
		t.Fatal(err)
	}
	links := map[string]string{"runner-source-echo": testPlugin}
	for _, path := range built {
		links[filepath.Base(path)] = path
	}
	for name, path := range links {
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// toolsConfig is a configuration whose jobs find the test plugin's program at /mount/opslevel-runner.
func toolsConfig(t *testing.T, program string) string {
	t.Helper()
	return write(t, "runner.hcl", fmt.Sprintf(`runner {
  plugin_dir = %q
}

local {
  tools = { "opslevel-runner" = %q }
}

pipeline "default" {
  source "echo" {
    config {
      prefix = "low"
      token  = "not-for-anybodys-eyes"
    }
  }
  processor "sanitize" {}
}
`, withSource(t), program))
}

// TestJobCallsATool: a job pushes a job as those of OpsLevel do. It has its own variables, and nothing of core's.
func TestJobCallsATool(t *testing.T) {
	job := write(t, "job.yaml", `image: x
commands:
  - echo 'type = x' | /mount/opslevel-runner enqueue -f -
variables:
  - key: FAKTORY_URL
    value: tcp://localhost:7419
`)
	stdout, stderr, code := run(t, nil, "test", "-c", toolsConfig(t, "runner-source-echo"), "--executor", "local", "-f", job)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{`args ["enqueue" "-f" "-"]`, `stdin "type = x\n"`, `config ""`, "FAKTORY_URL"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the log has no %s:\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "RUNNER_PLUGIN") {
		t.Errorf("the job sees what is core's:\n%s", stdout)
	}
}

// TestToolIsMissing: the job is not begun.
func TestToolIsMissing(t *testing.T) {
	job := write(t, "job.yaml", "image: x\ncommands: [echo begun]\n")
	stdout, stderr, code := run(t, nil, "test", "-c", toolsConfig(t, "runner-source-none"), "--executor", "local", "-f", job)
	if code != 3 || stdout != "" {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}
	for _, want := range []string{`the tool "opslevel-runner"`, "/runner-source-none; put it there, or take the tool out"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("it does not say %q: %s", want, stderr)
		}
	}
}

// TestEnqueue: core has the source's program push a job, with what is configured for the source.
func TestEnqueue(t *testing.T) {
	stdout, stderr, code := run(t, strings.NewReader("type: x\n"), "enqueue", "-c", toolsConfig(t, "runner-source-echo"), "-f", "-")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{`args ["enqueue" "-f" "-"]`, `stdin "type: x\n"`, `\"prefix\":\"low\"`, `not-for-anybodys-eyes`} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the program was not given %s:\n%s", want, stdout)
		}
	}
}

// TestEnqueueDiesWithCore: a program that waits for its input does not outlive a core that is killed.
func TestEnqueueDiesWithCore(t *testing.T) {
	c := command(t, "enqueue", "-c", toolsConfig(t, "runner-source-echo"), "-f", "-")
	input, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = input.Close() }()
	out := bufio.NewReader(c.startPiped(t))
	if line, err := out.ReadString('\n'); err != nil || !strings.HasPrefix(line, "args ") {
		t.Fatalf("it says %q, %v", line, err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	rest := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(out) // it ends when nobody holds the other end any more
		rest <- string(text)
	}()
	select {
	case text := <-rest:
		if text != "" {
			t.Errorf("it went on: %q", text)
		}
	case <-time.After(limit):
		t.Error("the program outlives core")
		_ = input.Close() // which ends it
	}
	c.finish(t)
}
