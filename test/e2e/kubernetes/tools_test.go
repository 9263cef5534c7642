package kubernetes

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTools: a tool is at /mount in both steps, can be run and can't be written to. The helper's image has it as soon as the
// repository has its source.
func TestTools(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(filepath.Join(root, "plugins", "source-faktory")); err != nil {
		t.Skip("NOT TESTED: the helper's image has no program for jobs, as there is no plugins/source-faktory")
	}
	s := newSpace(t, nil)
	commands := []string{
		"set +xv", // both ends of a pipe would be traced at once, in pieces
		"/mount/opslevel-runner --help | grep -q enqueue && echo runs",
		"ls -l /mount/opslevel-runner | cut -c 1-10",
		"(echo x > /mount/opslevel-runner) 2>/dev/null || echo read-only",
	}
	r := s.run(job(commands, "initCommands: ['/mount/opslevel-runner --help > /dev/null && echo init runs']"),
		`tools = { "opslevel-runner" = "runner-source-faktory" }`)
	r.want("success", "")
	if got, want := r.lines(), []string{"init runs", "runs", "-rwxr-xr-x", "read-only"}; !slices.Equal(got, want) {
		t.Errorf("the log is %q, want %q", got, want)
	}
}

// TestToolIsMissing: the job fails at once, and the result says what to do.
func TestToolIsMissing(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	r := s.run(job([]string{"echo begun"}), `tools = { "opslevel-runner" = "runner-source-none" }`)
	r.want("failed", "container_start", `the tool "opslevel-runner"`, `"runner-source-none"`, "helper image", "Set helper_image to")
	if r.code != 3 || len(r.lines()) > 0 {
		t.Errorf("exit code %d, the log is %q", r.code, r.lines())
	}
	if r.total() > 45*time.Second { // start_timeout is a minute
		t.Errorf("it took %s", r.total())
	}
	if strings.Contains(r.Message, "/mount/runner-helper") {
		t.Errorf("the message is about what follows from it: %s", r.Message)
	}
}
