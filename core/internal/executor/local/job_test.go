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

func runAsCore() int { return 0 }

const asCore = "RUNNER_TEST_AS_CORE"
