//go:build linux

package local

import (
	"strings"
	"testing"

	"github.com/podrunner/runner/core/internal/job"
)

// TestOutcomeFile: each step has a file of its own, and what it holds follows the step's log.
func TestOutcomeFile(t *testing.T) {
	t.Parallel()
	out, res := runJob(t, job.Job{
		InitCommands: []string{"echo $OUTCOME_FILE", "echo init=1 >>$OUTCOME_FILE"},
		Commands:     []string{"cat $OUTCOME_FILE", `printf 'job<<E\n  2\n\nE\n' >>"$OUTCOME_FILE"`, "exit 3"},
	})
	wantOutcome(t, res, job.Failed, job.ReasonExit, 3)
	wantLines(t, out, "init stdout", "/mount/outcome/variables")
	wantLines(t, out, "init outcome", "init=1")
	wantLines(t, out, "job stdout")
	wantLines(t, out, "job outcome", "job<<E", "  2", "", "E")
}

// TestOutcomeVariableOfTheJob: it is the job's, and in the log of the step that has it stands that there is no file.
func TestOutcomeVariableOfTheJob(t *testing.T) {
	t.Parallel()
	out, res := runJob(t, job.Job{
		InitCommands: []string{"echo init=1 >>$OUTCOME_FILE"},
		Commands:     []string{"echo $OUTCOME_FILE"},
		Variables:    []job.Variable{{Key: "OUTCOME_FILE", Value: "mine", Scope: job.ScopeMain}},
	})
	wantOutcome(t, res, job.Success, job.ReasonNone, 0)
	wantLines(t, out, "init outcome", "init=1")
	wantLines(t, out, "job stdout", "mine")
	if told := out.lines["job stderr"]; len(told) != 1 || !strings.HasPrefix(told[0], "[runner] the step has a variable OUTCOME_FILE of its own") {
		t.Errorf("job stderr is %q", told)
	}
}
