//go:build linux

package local

import (
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
)

// readmeJob reads the job of the seed's README.
func readmeJob(t *testing.T) job.Job {
	t.Helper()
	data, err := os.ReadFile("../../../../examples/job.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		ID, Image string
		Commands  []string
		Variables []job.Variable
		Files     []struct{ Name, Contents string }
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	j := job.Job{ID: file.ID, Image: file.Image, Commands: file.Commands, Variables: file.Variables}
	for _, f := range file.Files {
		j.Files = append(j.Files, job.File{Name: f.Name, Contents: []byte(f.Contents)})
	}
	return j
}

func TestReadmeJob(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, func(o *Options) { o.XTrace = true })
	r := start(t, e, readmeJob(t))
	var statuses []executor.Status
	out, res := follow(t, r)
	for s := range r.Status() {
		statuses = append(statuses, s)
	}
	wantOutcome(t, res, job.Success, job.ReasonNone, 0)
	wantLines(t, out, "job stdout",
		"::set-outcome-var hello-world=42", "100", "World!", "World!",
		"Hello from inside the script!", "Secrets are still World!")
	wantLines(t, out, "job stderr",
		"+ export TEST=100", "+ echo ::set-outcome-var hello-world=42", "+ sleep 2", "+ echo 100", "+ echo World!",
		"+ echo World!", "+ /opslevel/check.sh")
	if res.Started.IsZero() || !res.Finished.After(res.Started) {
		t.Errorf("it ran from %v to %v", res.Started, res.Finished)
	}
	var phases []string
	for _, s := range statuses {
		phases = append(phases, string(s.Phase)+" "+s.Reason)
	}
	if want := []string{"pending ImageNotUsed", "running ", "done "}; !slices.Equal(phases, want) {
		t.Errorf("statuses are %q, want %q", phases, want)
	}
	if !strings.Contains(statuses[0].Message, "alpine/curl") {
		t.Errorf("the message %q does not name the image", statuses[0].Message)
	}
}

// codeOf returns the exit code, -1 for none.
func codeOf(res executor.Result) int {
	if res.ExitCode == nil {
		return -1
	}
	return *res.ExitCode
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		job     job.Job
		change  func(*Options)
		outcome job.Outcome
		reason  job.Reason
		code    int // -1: none
		message string
	}{
		{"success", job.Job{Commands: []string{"true"}}, nil, job.Success, job.ReasonNone, 0, ""},
		{"code", job.Job{Commands: []string{"exit 3"}}, nil, job.Failed, job.ReasonExit, 3, "exit code 3"},
		{"first failure", job.Job{Commands: []string{"false", "exit 4"}}, nil, job.Failed, job.ReasonExit, 1, "exit code 1"},
		{"killed", job.Job{Commands: []string{"kill -KILL $$"}}, nil, job.Failed, job.ReasonExit, 137, "SIGKILL"},
		{
			"init fails",
			job.Job{InitCommands: []string{"exit 5"}, Commands: []string{"echo no"}},
			nil, job.Failed, job.ReasonInitFailed, 5, "init commands ended with exit code 5",
		},
		{
			"no shell",
			job.Job{Commands: []string{"true"}},
			func(o *Options) { o.Shell = "/no/shell" },
			job.Failed, job.ReasonStart, -1, "/no/shell",
		},
		{
			"no shell for init",
			job.Job{InitCommands: []string{"true"}, Commands: []string{"true"}},
			func(o *Options) { o.Shell = "/no/shell" }, job.Failed, job.ReasonStart, -1, "/no/shell",
		},
		{
			"variable too long", job.Job{
				Commands:  []string{"true"},
				Variables: []job.Variable{{Key: "A", Value: strings.Repeat("x", 200<<10)}},
			}, nil, job.Failed, job.ReasonInfrastructure, -1, "variables are longer",
		},
		{
			"lifetime",
			job.Job{Commands: []string{"sleep 1000"}},
			func(o *Options) { o.Lifetime = 1 },
			job.ExecutionTimeout, job.ReasonLifetime, -2, "lifetime of 1ns",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, res := follow(t, start(t, newExecutor(t, c.change), c.job))
			if c.code == -2 && res.ExitCode == nil || c.code == -2 && *res.ExitCode > 128 {
				c.code = codeOf(res) // it may or may not have been started
			}
			wantOutcome(t, res, c.outcome, c.reason, c.code)
			if !strings.Contains(res.Message, c.message) {
				t.Errorf("the message is %q, want something about %q", res.Message, c.message)
			}
			wantLines(t, out, "job stdout")
		})
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("OF_CORE", "not for jobs") // so this test is not parallel
	out, res := runJob(t, job.Job{
		Commands: []string{"env"},
		Variables: []job.Variable{
			{Key: "A", Value: "first"},
			{Key: "B", Value: "with = and\nnewline"},
			{Key: "A", Value: "last"},
			{Key: "I", Value: "init", Scope: job.ScopeInit},
			{Key: "M", Value: "main", Scope: job.ScopeMain},
			{Key: "N", Value: "none", Scope: "other"},
			{Key: "EMPTY"},
		},
	})
	wantOutcome(t, res, job.Success, job.ReasonNone, 0)
	home, _ := os.UserHomeDir()
	var got []string
	for _, l := range out.lines["job stdout"] {
		// What the shell adds by itself.
		if !strings.HasPrefix(l, "PWD=") && !strings.HasPrefix(l, "_=") && !strings.HasPrefix(l, "SHLVL=") &&
			!strings.HasPrefix(l, "OLDPWD") {
			got = append(got, l)
		}
	}
	slices.Sort(got)
	want := []string{"A=last", "B=with = and", "EMPTY=", "HOME=" + home, "M=main", "OUTCOME_FILE=/mount/outcome/variables", "PATH=" + standardPath, "newline"}
	if !slices.Equal(got, want) {
		t.Errorf("the environment is %q, want %q", got, want)
	}
}

func TestEnvironmentOfItsOwn(t *testing.T) {
	got := environment([]job.Variable{{Key: "HOME", Value: "/h"}, {Key: "X", Value: "1"}, {Key: "PATH", Value: "/p"}}, job.ScopeMain)
	if want := []string{"PATH=/p", "HOME=/h", "X=1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestInitThenJob(t *testing.T) {
	t.Parallel()
	out, res := runJob(t, job.Job{
		ID:           "some/id",
		InitCommands: []string{"echo in init $I$M", "echo kept > file", "export X=1; cd /"},
		Commands:     []string{"echo in job $I$M$X", "cat file", "pwd", "ls /mount/spool | wc -l"},
		Variables: []job.Variable{
			{Key: "I", Value: "only-init", Scope: job.ScopeInit},
			{Key: "M", Value: "only-main", Scope: job.ScopeMain},
		},
	})
	wantOutcome(t, res, job.Success, job.ReasonNone, 0)
	wantLines(t, out, "init stdout", "in init only-init")
	wantLines(t, out, "job stdout", "in job only-main", "kept", "/jobs/some/id", "2")
}

// TestIDWithASlashFirst: an id in base64 may begin with one.
func TestIDWithASlashFirst(t *testing.T) {
	t.Parallel()
	out, res := runJob(t, job.Job{ID: "/x", Commands: []string{"pwd"}})
	wantOutcome(t, res, job.Success, job.ReasonNone, 0)
	wantLines(t, out, "job stdout", "/jobs/x")
}

func TestFiles(t *testing.T) {
	t.Parallel()
	out, res := runJob(t, job.Job{
		Commands: []string{
			"cd /opslevel; stat -c '%a %n' . *",
			"cat data", "./run.sh",
			"(echo x > data) 2>/dev/null || echo read-only", "(echo x > new) 2>/dev/null || echo read-only",
			"(echo x > /mount/new) 2>/dev/null || echo read-only",
			"(echo x > /mount/runner-helper) 2>/dev/null || echo read-only",
			"/mount/runner-helper version",
		},
		Files: []job.File{
			{Name: "data", Contents: []byte("overwritten\n")},
			{Name: "run.sh", Contents: []byte("#!/bin/sh\necho ran\n")},
			{Name: "data", Contents: []byte("data\n")},
		},
	})
	wantOutcome(t, res, job.Success, job.ReasonNone, 0)
	wantLines(t, out, "job stdout", "777 .", "777 data", "777 run.sh", "data", "ran",
		"read-only", "read-only", "read-only", "read-only", "runner-helper dev")
}

// TestRights: a step has no more rights than its user, and sees no process but its own.
func TestRights(t *testing.T) {
	t.Parallel()
	r := start(t, newExecutor(t, nil), job.Job{Commands: []string{
		"id -u", "grep -E 'CapEff|CapAmb' /proc/self/status", "tr '\\0' ' ' < /proc/1/cmdline | cut -d' ' -f2",
	}})
	out, res := follow(t, r)
	wantOutcome(t, res, job.Success, job.ReasonNone, 0)
	lines := out.lines["job stdout"]
	if lines[0] != itoa(os.Geteuid()) || !strings.HasSuffix(lines[2], "\t0000000000000000") {
		t.Errorf("got %q", lines)
	}
	if os.Geteuid() != 0 && !strings.HasSuffix(lines[1], "\t0000000000000000") {
		t.Errorf("an ordinary user has capabilities: %q", lines[1])
	}
	if r.space.pid && lines[3] != "entrypoint" {
		t.Errorf("process 1 is %q", lines[3])
	}
}

// TestSpoolsOfOthersAreHidden has the private folder outside /tmp, which a job has its own of.
func TestSpoolsOfOthersAreHidden(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/var/tmp", "runner-test-") //nolint:usetesting // that would be in /tmp
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	e := newExecutor(t, func(o *Options) { o.TempDir = dir })
	out, res := follow(t, start(t, e, job.Job{Commands: []string{"ls -A " + e.folder.path, "echo end", "ls /mount/spool"}}))
	wantOutcome(t, res, job.Success, job.ReasonNone, 0)
	wantLines(t, out, "job stdout", "end", "00000000000000000001.spool", "room")
}

// TestWithoutProcessNamespace is for machines that do not let a job have its own /proc.
func TestWithoutProcessNamespace(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, nil)
	e.space = &space{user: os.Geteuid() != 0}
	r := start(t, e, job.Job{Commands: []string{
		"while ! [ -p fifo ]; do sleep 0.01; done", hold, "sleep 1000 &", "setsid sleep 1000 &", "exit 6",
	}})
	h := newHolder(t, r)
	out, res := follow(t, r)
	wantOutcome(t, res, job.Failed, job.ReasonExit, 6)
	wantLines(t, out, "job stdout", "held")
	h.gone()
}

// TestProbeError has a helper that can make no space.
func TestProbeError(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, func(o *Options) { o.Helper = "/bin/false" })
	j := job.Job{ID: "1", Commands: []string{"true"}}
	_, err := e.Start(t.Context(), &j)
	if err == nil || !strings.Contains(err.Error(), "run core as root") || !strings.Contains(err.Error(), "user namespaces") {
		t.Errorf("the error is %v", err)
	}
}

func TestBadNames(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, nil)
	for name, j := range map[string]job.Job{
		"id that leads out":        {ID: "../x", Commands: []string{"true"}},
		"id of slashes":            {ID: "//", Commands: []string{"true"}},
		"id of dots and slashes":   {ID: "/./", Commands: []string{"true"}},
		"no id":                    {Commands: []string{"true"}},
		"file name that leads out": {ID: "1", Commands: []string{"true"}, Files: []job.File{{Name: "../x"}}},
		"file name with a slash":   {ID: "1", Commands: []string{"true"}, Files: []job.File{{Name: "a/b"}}},
	} {
		if _, err := e.Start(t.Context(), &j); err == nil {
			t.Errorf("%s: it was started", name)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Options){
		"no helper":              func(o *Options) { o.Helper = "" },
		"helper missing":         func(o *Options) { o.Helper = "/no/helper" },
		"relative workdir":       func(o *Options) { o.Workdir = "jobs" },
		"workdir is the root":    func(o *Options) { o.Workdir = "/" },
		"workdir hides files":    func(o *Options) { o.Workdir = "/opslevel/x" },
		"no such temp directory": func(o *Options) { o.TempDir = "/no/temp" },
	} {
		opts := Options{Helper: helperPath, TempDir: t.TempDir()}
		change(&opts)
		if _, err := New(opts); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}

// TestWorkdirs has working directories at places where the machine has something, or only a part of the way.
func TestWorkdirs(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"/var/lib/runner-test/deep/jobs", "/tmp/jobs", "/tmp", "/usr/jobs"} {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			e := newExecutor(t, func(o *Options) { o.Workdir = dir })
			out, res := follow(t, start(t, e, job.Job{ID: "7", Commands: []string{"pwd", "touch here", "ls /usr/bin/env"}}))
			wantOutcome(t, res, job.Success, job.ReasonNone, 0)
			wantLines(t, out, "job stdout", dir+"/7", "/usr/bin/env")
			if _, err := os.Lstat(dir + "/7"); err == nil {
				t.Errorf("%s/7 is on the machine", dir)
			}
		})
	}
	if _, err := os.Lstat("/var/lib/runner-test"); err == nil {
		t.Error("/var/lib/runner-test is on the machine")
	}
}
