package faktory

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/contribsys/faktory/client"
)

// pushes are follow-up jobs, to the letter.
var pushes = regexp.MustCompile(`^PUSH \{"retry":25,"jid":"[\w-]{16}","queue":"app","jobtype":"Runners::Faktory::(` +
	`AppendJobLog","created_at":"[-\dT:.]+Z","args":\[\{"runnerId":"faktory","runnerJobId":"4213370","sentAt":"[-\dT:.]+Z","logChunk":\["[^ ]*"\]\}\]\}|` +
	`ReportJobOutcome","created_at":"[-\dT:.]+Z","args":\[\{"runnerId":"faktory","runnerJobId":"4213370","outcome":"success",` +
	`"outcomeVariables":\[\{"key":"hello-world","value":"42"\}\]\}\]\})$`)

// TestJob runs a job with everything that a job can have, and looks at what the application sees of it.
func TestJob(t *testing.T) {
	w := newWorld(t)
	jid, err := w.server.Push("legacy", func(j *client.Job) {
		j.SetCustom("opslevel-runner-job-id", "4213370")
		j.SetCustom("opslevel-runner-commands", []string{"echo extra $EXTRA $RUNNER_JOB_ID", "/opslevel/b.sh"})
		j.SetCustom("opslevel-runner-extra-vars", []map[string]any{{"key": "EXTRA", "value": "e"}, {"key": "T", "value": "tohide", "sensitive": true}})
		j.SetCustom("opslevel-runner-files", []map[string]any{{"name": "b.sh", "contents": "#!/bin/sh\necho file b $T\n"}})
	}, map[string]any{
		"image": "alpine:3.20", "commands": []string{"set +xv", "echo hello $S", "echo ::set-outcome-var hello-world=42"},
		"variables": []map[string]any{{"key": "S", "value": "topsecret", "sensitive": true}},
	})
	must(t, err)
	r := w.run(settings{})
	all := w.results(1)
	got := all["4213370"]
	if got == nil {
		t.Fatalf("the application has heard of %v", all)
	}
	want := []string{"hello **********", "extra e 4213370", "file b **********"}
	if lines := plain(got.Lines); !slices.Equal(lines, want) {
		t.Errorf("the log is %q, want %q", lines, want)
	}
	if !slices.Equal(got.Outcomes, []string{"success"}) || got.Variables["hello-world"] != "42" {
		t.Errorf("the outcomes are %q, the variables %v", got.Outcomes, got.Variables)
	}
	for i, f := range got.All {
		kind := "Runners::Faktory::AppendJobLog"
		if i == len(got.All)-1 {
			kind = "Runners::Faktory::ReportJobOutcome"
		}
		if f.Type != kind || f.Runner != "faktory" || f.Retry != 25 || len(f.JID) != 16 || len(f.Custom) > 0 {
			t.Errorf("follow-up job %d is %+v", i, f)
		}
	}
	if state := w.settled(); state.Failures != 0 {
		t.Errorf("the state is %+v", state)
	}
	if n := r.Metric(`jobs_finished{outcome="success",runner="faktory"}`); n != "1" {
		t.Errorf("%q jobs are counted as successful", n)
	}
	r.Stop()
	acks := 0
	for _, c := range w.proxy.Commands() {
		if strings.HasPrefix(c, "PUSH ") && !pushes.MatchString(c) {
			t.Errorf("a push is not as the seed's are: %s", c)
		}
		if strings.HasPrefix(c, "ACK ") && strings.Contains(c, jid) {
			acks++
		}
	}
	if acks != 1 {
		t.Errorf("the job was acknowledged %d times", acks)
	}
}

// TestManyJobs: of two hundred jobs none is lost, and none runs twice.
func TestManyJobs(t *testing.T) {
	w := newWorld(t)
	ran := ranFile(t)
	for i := range 200 {
		_, err := w.server.Push("legacy", func(j *client.Job) { j.SetCustom("opslevel-runner-job-id", fmt.Sprint(i)) },
			job(fmt.Sprintf("echo %d >>%s", i, ran)))
		must(t, err)
	}
	r := w.run(settings{concurrency: 20})
	all := w.results(200)
	for id, job := range all {
		if !slices.Equal(job.Outcomes, []string{"success"}) || len(job.Lines) != 1 {
			t.Errorf("job %s: %q, %q", id, job.Outcomes, job.Lines)
		}
	}
	w.settled()
	r.Stop()
	out, err := exec.Command("sort", "-u", ran).Output()
	must(t, err)
	total, err := exec.Command("cat", ran).Output()
	must(t, err)
	if n, unique := strings.Count(string(total), "\n"), strings.Count(string(out), "\n"); n != 200 || unique != 200 {
		t.Errorf("jobs have run %d times, %d different ones", n, unique)
	}
}

// TestEnqueue pushes jobs with core itself.
func TestEnqueue(t *testing.T) {
	w := newWorld(t)
	r := w.run(settings{})
	config := r.Cmd.Args[3]
	enqueue := exec.Command(filepath.Join(root, "bin/core"), "enqueue", "-c", config, "-f", "-", "--count", "3")
	enqueue.Stdin = strings.NewReader("type: legacy\nqueue: other\nargs:\n  - image: alpine\n    commands: [\"echo hi\"]\n")
	out, err := enqueue.CombinedOutput()
	if err != nil || len(strings.Fields(string(out))) != 3 {
		t.Fatalf("%v: %s", err, out)
	}
	all := w.results(3)
	for _, jid := range strings.Fields(string(out)) {
		if all[jid] == nil {
			t.Errorf("nothing was heard of job %s", jid)
		}
	}
	r.Stop()
}
