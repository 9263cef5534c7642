package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podrunner/runner/sdk/sdktest"
)

// program is the plugin's program, built once.
var program = sync.OnceValues(func() (string, error) {
	// Under a name such as it has in a job's pod.
	path := filepath.Join(scratch(), "opslevel-runner")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		println(string(out))
	}
	return path, err
})

// enqueueWith runs the subcommand as a job does: with the server in the environment and the job on standard input.
func enqueueWith(t *testing.T, url, job string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	path, err := program()
	must(t, err)
	command := exec.CommandContext(t.Context(), path, append([]string{"enqueue", "-f", "-"}, args...)...)
	command.Env = []string{"FAKTORY_PROVIDER=NOT_PASSED_ON_URL", "FAKTORY_URL=" + url}
	command.Stdin = strings.NewReader(job)
	var out, errs strings.Builder
	command.Stdout, command.Stderr = &out, &errs
	_ = command.Run()
	return command.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestEnqueue(t *testing.T) {
	cases := []struct {
		name, job string
		args      []string
		code      int
		// want are parts of the PUSH, or of the error.
		want []string
	}{
		{"the least", "type: t\nargs: []\n", nil, 0, []string{`"retry":25`, `"queue":""`, `"args":[]`}},
		{"no retry", "type: t\nargs: [1]\nretries: 0\n", nil, 0, []string{`"retry":0`}},
		{"to the dead set", "type: t\nargs: [1]\nretries: -1\n", nil, 0, []string{`"retry":-1`}},
		{"both spellings", "{type: t, args: [a], reserve_for: 61, uniquefor: 2, unique_until: start}", nil, 0, []string{`"reserve_for":61`, `"unique_for":2`, `"unique_until":"start"`}},
		{"it expires", "type: t\nargs: [a]\nexpires_in: 60\n", nil, 0, []string{`"expires_at":"` + time.Now().UTC().Format("2006")}},
		{"a date stays text", "type: t\nargs: [2026-01-31, 2026-01-31T10:00:00Z]\n", nil, 0, []string{`["2026-01-31","2026-01-31T10:00:00Z"]`}},
		{"several", "type: t\nargs: [{id: x}]\n", []string{"--count", "3"}, 0, []string{`"opslevel-runner-job-id":"x-1"`, `"opslevel-runner-job-id":"x-3"`}},
		{"a folder", "", []string{"-f", "testdata"}, 2, []string{"read testdata: is a directory; name its file with -f"}},
		{"an unknown key", "type: t\nargs: []\nretris: 3\n", nil, 2, []string{`<stdin>:3:1: unknown key "retris". Did you mean "retries"?`}},
		{"a key twice", "type: t\nargs: []\nreserve_for: 60\nreservefor: 61\n", nil, 2, []string{`<stdin>:4:1: "reserve_for" is given already, at line 3`}},
		{"wrong values", "type: t\nargs: {}\nretries: x\nat: noon\nunique_until: never\nreserve_for: 90000\n", nil, 2, []string{
			`<stdin>:2:7: "args" has to be a list`, `<stdin>:3:10: "retries" has to be a whole number from -1 to 1000`,
			`<stdin>:4:5: "at" has to be a time`, `<stdin>:5:15: "unique_until"`, `<stdin>:6:14: "reserve_for" has to be a whole number from 0 to 86400`,
		}},
		{"no type", "args: []\n", nil, 2, []string{`<stdin>:1:1: "type" is missing`}},
		{"no args", "type: t\n", nil, 2, []string{`<stdin>:1:1: "args" is missing`}},
		{"not YAML", "type: t\n\targs: []\n", nil, 2, []string{"<stdin>:2:1: not YAML"}},
		{"nothing", "", nil, 2, []string{"the file is empty"}},
		{"two jobs", "type: t\nargs: []\n---\ntype: t\n", nil, 2, []string{"a file holds one job"}},
		{"what JSON can't hold", "type: t\nargs: [.inf]\n", nil, 2, []string{"<stdin>:2:8: args[0] holds something that JSON can't hold"}},
		{"too many", "type: t\nargs: []\n", []string{"--count", "0"}, 2, []string{"--count takes a number from 1"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := newFake(t, jobs())
			code, stdout, stderr := enqueueWith(t, server.url(), c.job, c.args...)
			pushed := server.sent("PUSH")
			text := stderr
			if c.code == 0 {
				text = strings.Join(pushed, "\n")
				if n := strings.Count(stdout, "\n"); n != len(pushed) || n == 0 {
					t.Errorf("%d ids are printed for %d jobs", n, len(pushed))
				}
			} else if len(pushed) > 0 || stdout != "" {
				t.Errorf("pushed all the same: %s", pushed)
			}
			if code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, stderr)
			}
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("no %s in:\n%s", want, text)
				}
			}
		})
	}
}

func TestEnqueueReadsJobYAML(t *testing.T) {
	path, err := program()
	must(t, err)
	server := newFake(t, jobs())
	enqueue := func(dir string, args ...string) (string, error) {
		command := exec.CommandContext(t.Context(), path, append([]string{"enqueue"}, args...)...)
		command.Env, command.Dir = []string{"FAKTORY_URL=" + server.url()}, dir
		out, err := command.CombinedOutput()
		return string(out), err
	}
	dir := t.TempDir()
	if out, err := enqueue(dir); err == nil || !strings.Contains(out, "open ./job.yaml: no such file or directory; name its file with -f") {
		t.Errorf("with no file: %s", out)
	}
	must(t, os.WriteFile(filepath.Join(dir, "job.yaml"), []byte("type: t\nargs: []\n"), 0o600))
	for _, args := range [][]string{nil, {"-f", "."}, {"--file", "job.yaml"}, {"-f=job.yaml"}} {
		if out, err := enqueue(dir, args...); err != nil {
			t.Errorf("%v: %s", args, out)
		}
	}
	if n := len(server.sent("PUSH")); n != 4 {
		t.Errorf("%d jobs are pushed", n)
	}
}

func TestEnqueueHelp(t *testing.T) {
	code, stdout, stderr := enqueueWith(t, "tcp://127.0.0.1:1", "", "--help")
	if code != 0 || stdout != "" || !strings.Contains(stderr, "-count") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestEnqueueSaysWhyItFails(t *testing.T) {
	refusing := newFake(t, func(verb, _ string) string {
		if verb == "PUSH" {
			return "-NOTUNIQUE the job is there already"
		}
		return "-"
	})
	if code, _, stderr := enqueueWith(t, refusing.url(), "type: t\nargs: []\n"); code != 3 || !strings.Contains(stderr, "push a job: NOTUNIQUE") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr := enqueueWith(t, "tcp://:topsecret@127.0.0.1:1", "type: t\nargs: []\n"); code != 3 || !strings.Contains(stderr, "connect to Faktory at 127.0.0.1:1") || !strings.Contains(stderr, "or of FAKTORY_URL") || strings.Contains(stderr, "topsecret") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr := enqueueWith(t, "http://:topsecret@x", "type: t\nargs: []\n"); code != 2 || !strings.Contains(stderr, "the variable FAKTORY_URL") || strings.Contains(stderr, "topsecret") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestConformance(t *testing.T) {
	path, err := program()
	must(t, err)
	sdktest.SourceConformance(t, sdktest.Binary{Path: path, Config: map[string]any{"url": "tcp://127.0.0.1:1"}})
}
