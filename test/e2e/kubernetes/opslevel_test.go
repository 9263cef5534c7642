package kubernetes

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/plugins/source-opslevel/opsleveltest"
	"github.com/podrunner/runner/test/e2e/runner"
)

// traces are the lines by which a shell tells what it does.
var traces = regexp.MustCompile(`(?m)^\+ .*\n`)

// TestOpsLevelJobs: twenty jobs of the OpsLevel API, with all that they can have, run in pods; their logs come back byte by
// byte and in order, and the runner is not registered any more at the end.
func TestOpsLevelJobs(t *testing.T) {
	t.Parallel()
	h := newHeirs(t)
	api := h.api

	const big = 8_000_000
	type want struct{ outcome, log string }
	var jobs []opsleveltest.Job
	var wants []want
	add := func(j opsleveltest.Job, outcome, log string) {
		if j.Image == "" {
			j.Image = busybox
		}
		jobs, wants = append(jobs, j), append(wants, want{outcome, log})
	}
	add(opsleveltest.Job{
		InitCommands: []string{"set +xv", "echo init $ONLY_INIT ${ONLY_MAIN:-none} > kept; echo from init"},
		Commands:     []string{"set +xv", "cat kept", "echo main ${ONLY_INIT:-none} $ONLY_MAIN $BOTH", "/opslevel/b.sh", "echo ::set-outcome-var hello-world=42"},
		Variables: []opsleveltest.Variable{
			{Key: "ONLY_INIT", Value: "for-init", Scope: "init"},
			{Key: "ONLY_MAIN", Value: "for-main", Scope: "main"},
			{Key: "BOTH", Value: "topsecret", Sensitive: true},
		},
		Files: []opsleveltest.File{{Name: "b.sh", Contents: "#!/bin/sh\necho file b $BOTH\n"}},
	}, "success", "from init\ninit for-init none\nmain none for-main **********\nfile b **********\n")
	var numbers strings.Builder
	for i := 1; numbers.Len() < big; i++ {
		fmt.Fprintln(&numbers, i)
	}
	add(opsleveltest.Job{Commands: []string{"set +xv", fmt.Sprintf("seq %d", strings.Count(numbers.String(), "\n"))}}, "success", numbers.String())
	add(opsleveltest.Job{Commands: []string{"set +xv", "echo no; exit 3"}}, "failed", "no\n[runner] failed (exit): the commands ended with exit code 3\n")
	add(opsleveltest.Job{InitCommands: []string{"set +xv", "exit 4"}, Commands: []string{"echo never"}}, "failed",
		"[runner] failed (init_failed): the init commands ended with exit code 4; the commands were not run\n[runner] Look at the end of the lines of the step init.\n")
	add(opsleveltest.Job{Commands: []string{"set +xv", `printf '\377\000binary\n'`}}, "success", "\xff\x00binary\n")
	// A trace's parent differs each time: the job says whether it has one.
	add(opsleveltest.Job{Commands: []string{"set +xv", `echo "$TRACEPARENT" | grep -cE '^00-[0-9a-f]{32}-[0-9a-f]{16}-01$'`}}, "success", "1\n")
	for i := len(jobs); i < 20; i++ {
		add(opsleveltest.Job{Commands: []string{"set +xv", fmt.Sprintf("seq %d; echo job %d", i*10, i)}}, "success", seq(i*10)+fmt.Sprintf("job %d\n", i))
	}
	ids := api.Add(jobs...)

	// Nobody collects the traces, which is no matter to the jobs.
	r := h.run("e2e", 5, "", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1")
	r.AwaitReady()
	runner.Eventually(t, "all jobs are over", func() bool { r.Lives(); return api.Complete() })
	for i, id := range ids {
		j, _ := api.Job(id)
		if got := traces.ReplaceAllString(j.Log(), ""); got != wants[i].log || j.Outcome != wants[i].outcome {
			t.Errorf("job %d: outcome %s, want %s; log of %d bytes, want %d: %.500q, want %.500q", i, j.Outcome, wants[i].outcome,
				len(got), len(wants[i].log), got, wants[i].log)
		}
	}
	if j, _ := api.Job(ids[0]); len(j.OutcomeVariables) != 1 || j.OutcomeVariables[0] != (opsleveltest.OutcomeVariable{Key: "hello-world", Value: "42"}) {
		t.Errorf("the variables are %v", j.OutcomeVariables)
	}
	r.Stop()
	for _, x := range api.Runners() {
		if x.Gone.IsZero() || len(x.Left) > 0 {
			t.Errorf("the runner %s is still registered, or has left jobs: %v", x.ID, x.Left)
		}
	}
}

// TestOpsLevelScales: the API is asked how many runners there should be, with what it has always been told, and the
// Deployment follows.
func TestOpsLevelScales(t *testing.T) {
	t.Parallel()
	f := newSpace(t, nil).newFleet(2)
	api, err := opsleveltest.Start(opsleveltest.Options{})
	f.must(err)
	t.Cleanup(func() { _ = api.Close() })
	wished := make(chan int, 1)
	wished <- 3
	api.Recommend(func(int, int) int { n := <-wished; wished <- n; return n })
	pod := f.pods(2)[0]
	v := f.runnerOf(pod, "  max_replicas = 4\n", fmt.Sprintf(`source "opslevel" {
    config {
      api_url   = %q
      api_token = %q
    }
  }`, api.URL(), opsleveltest.Token))
	f.leader(pod)
	f.replicas(3)
	f.untouched(3)
	<-wished
	wished <- 100
	f.replicas(4)
	<-wished
	wished <- 0
	f.replicas(1)
	for _, r := range api.Requests() {
		if r.Operation != "RunnerScale" || r.Number > 1 {
			continue
		}
		want := map[string]any{"runnerId": api.Runners()[0].ID, "currentReplicaCount": int64(2), "jobConcurrency": int64(1)}
		if d := cmp.Diff(fmt.Sprint(want), fmt.Sprint(r.Variables)); d != "" {
			t.Errorf("the first question (-want +got):\n%s", d)
		}
	}
	v.stop(0)
}

// seq is what `seq n` prints.
func seq(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintln(&b, i+1)
	}
	return b.String()
}
