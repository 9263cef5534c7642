package opslevel

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/plugins/source-opslevel/opsleveltest"
)

// TestJobs runs jobs of all kinds, with what a job can have.
func TestJobs(t *testing.T) {
	w := newWorld(t, opsleveltest.Options{})
	full := opsleveltest.Job{
		Image: "alpine:3.20", InitImage: "alpine/git", InitCommands: []string{"set +xv", "echo init $ONLY_INIT ${ONLY_MAIN:-none} > kept"},
		Commands: []string{"set +xv", "cat kept", "echo main ${ONLY_INIT:-none} $ONLY_MAIN $BOTH", "/opslevel/b.sh", "echo ::set-outcome-var hello-world=42"},
		Variables: []opsleveltest.Variable{
			{Key: "ONLY_INIT", Value: "for-init", Scope: "init"},
			{Key: "ONLY_MAIN", Value: "for-main", Scope: "main"},
			{Key: "BOTH", Value: "topsecret", Sensitive: true},
		},
		Files: []opsleveltest.File{{Name: "b.sh", Contents: "#!/bin/sh\necho file b $BOTH\n"}},
	}
	big := 8_000_000
	ids := w.api.Add(full, shell("echo no; exit 3"), shell(fmt.Sprintf("seq %d | head -c %d", big, big)), opsleveltest.Job{Commands: []string{"true"}}, shell("kill -9 $$"))
	for i := range 15 {
		ids = append(ids, w.api.Add(shell(fmt.Sprintf("echo job %d", i)))...)
	}
	r := w.run(settings{processors: strings.Replace(all, "processor \"prefix\" {}", "", 1)})
	jobs := w.results(ids)
	for i, want := range []struct{ outcome, log string }{
		{"success", "init for-init none\nmain none for-main **********\nfile b **********\n"},
		{"failed", "no\n"},
		{"success", numbered(big)[:big]},
		{"failed", ""},
		{"failed", ""},
	} {
		j := jobs[i]
		got := untraced(j.Log())
		if want.outcome == "failed" { // why, and what to do, are the last lines
			lines := strings.SplitAfter(got, "\n")
			got = ""
			explained := false
			for _, line := range lines {
				if strings.HasPrefix(line, "[runner] ") {
					explained = true
					continue
				}
				got += line
			}
			if !explained {
				t.Errorf("job %d: the log does not say why it has failed: %q", i, j.Log())
			}
		}
		if j.Outcome != want.outcome || got != want.log {
			t.Errorf("job %d: outcome %s, want %s; the log (-want +got):\n%.2000s", i, j.Outcome, want.outcome, cmp.Diff(want.log, got))
		}
	}
	if v := jobs[0].OutcomeVariables; len(v) != 1 || v[0] != (opsleveltest.OutcomeVariable{Key: "hello-world", Value: "42"}) {
		t.Errorf("the variables are %v", v)
	}
	for i, j := range jobs[5:] {
		if j.Outcome != "success" || untraced(j.Log()) != fmt.Sprintf("job %d\n", i) {
			t.Errorf("job %d: outcome %s, log %q", i+5, j.Outcome, j.Log())
		}
	}
	if n := r.Metric(`jobs_finished{outcome="success",runner="opslevel"}`); n != "17" {
		t.Errorf("%q jobs are counted as successful", n)
	}
	r.Stop()
	w.unregistered()
	if n := w.count(reports); n != len(ids) {
		t.Errorf("%d jobs were reported %d times", len(ids), n)
	}
}
