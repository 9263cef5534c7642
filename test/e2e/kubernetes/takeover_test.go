package kubernetes

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podrunner/runner/plugins/source-opslevel/opsleveltest"
	"github.com/podrunner/runner/test/e2e/runner"
)

// heirs are runners that take jobs of one OpsLevel API, which hands out each of them once, and never again.
type heirs struct {
	*space
	api        *opsleveltest.Server
	kubeconfig string
}

func newHeirs(t *testing.T) *heirs {
	t.Helper()
	s := newSpace(t, nil)
	api, err := opsleveltest.Start(opsleveltest.Options{})
	s.must(err)
	t.Cleanup(func() { _ = api.Close() })
	return &heirs{s, api, s.kubeconfig()}
}

// run starts a runner of a name, with settings for the block deliver.
func (h *heirs) run(name string, concurrency int, deliver string, env ...string) *runner.Runner {
	h.t.Helper()
	return runner.Start(h.t, runner.Options{Root: root, Env: append(env, "KUBECONFIG="+h.kubeconfig), Config: fmt.Sprintf(`
runner {
  name        = %q
  concurrency = %d
  plugin_dir  = %q
}
telemetry {
  address = "127.0.0.1:0"
}
kubernetes {
%s
}
pipeline "default" {
  source "opslevel" {
    config {
      api_url       = %q
      api_token     = %q
      poll_interval = "1s"
    }
  }
  deliver {
    max_interval = "2s"
    %s
  }
  processor "outcome" {}
  processor "sanitize" {}
}
`, name, concurrency, filepath.Join(root, "bin", "plugins"), small, h.api.URL(), opsleveltest.Token, deliver)})
}

// numbers is a job that hands back its number in both ways at the start, and then prints a line in each tenth of a second.
func numbers(job, lines int) opsleveltest.Job {
	return opsleveltest.Job{
		Image: busybox,
		Commands: []string{
			"set +xv", fmt.Sprintf("echo ::set-outcome-var job=%d", job), fmt.Sprintf("echo file=%d >>$OUTCOME_FILE", job),
			fmt.Sprintf("for i in $(seq %d); do echo line $i; sleep 0.1; done", lines),
			"echo the end, $TOKEN",
		},
		Variables: []opsleveltest.Variable{{Key: "TOKEN", Value: "hunter2hunter2", Sensitive: true}},
	}
}

// printed is the log of such a job.
func printed(lines int) []string {
	var all []string
	for i := range lines {
		all = append(all, fmt.Sprint("line ", i+1))
	}
	return append(all, "the end, **********")
}

// lines waits until a job has so many lines.
func (h *heirs) lines(id string, n int) {
	h.t.Helper()
	runner.Eventually(h.t, fmt.Sprint("the job has ", n, " lines"), func() bool {
		j, _ := h.api.Job(id)
		return len(j.Lines()) >= n
	})
}

// batch is more lines than numbers prints while one batch gathers, as a rule: on a busy machine a batch may be larger.
const batch = 25

// whole fails the test unless a job's log is whole and in order, with at most a batch of lines that came twice, and it has
// its outcome.
func (h *heirs) whole(id string, job, lines int) {
	h.t.Helper()
	runner.Eventually(h.t, "the job is over", func() bool {
		j, _ := h.api.Job(id)
		return j.Status == "complete"
	})
	j, _ := h.api.Job(id)
	var log []string
	twice, largest := 0, batch
	for _, chunk := range j.Chunks {
		for _, line := range chunk.Lines {
			switch text := string(line); {
			case strings.HasPrefix(text, "+ "):
			case slices.Contains(log, text):
				twice++
			default:
				log = append(log, text)
			}
		}
		if twice == 0 { // it is one that may come twice
			largest = max(largest, len(chunk.Lines))
		}
	}
	if want := printed(lines); !slices.Equal(log, want) {
		h.t.Errorf("job %d: the log of %d lines is not the one of %d:\n%s", job, len(log), len(want), strings.Join(log, "\n"))
	}
	if twice > largest {
		h.t.Errorf("job %d: %d lines came twice", job, twice)
	}
	want := []opsleveltest.OutcomeVariable{{Key: "job", Value: fmt.Sprint(job)}, {Key: "file", Value: fmt.Sprint(job)}}
	if j.Outcome != "success" || !slices.Equal(j.OutcomeVariables, want) {
		h.t.Errorf("job %d: the outcome is %s, the variables are %v", job, j.Outcome, j.OutcomeVariables)
	}
}

// reports counts the requests with an outcome, by the job's id.
func (h *heirs) reports() map[string]int {
	all := map[string]int{}
	for _, r := range h.api.Requests() {
		if strings.Contains(r.Operation, "Outcome") || strings.Contains(string(r.Body), "runnerReportJobOutcome") {
			all[fmt.Sprint(r.Variables["input"].(map[string]any)["runnerJobId"])]++
		}
	}
	return all
}

// removed waits until no pod is left.
func (h *heirs) removed() {
	h.t.Helper()
	runner.Eventually(h.t, "no pod is left", func() bool {
		pods, err := admin.CoreV1().Pods(h.name).List(context.Background(), metav1.ListOptions{LabelSelector: appLabel})
		return err == nil && len(pods.Items) == 0
	})
}

// leases are the names of the runners that have a Lease.
func (h *heirs) leases() []string {
	h.t.Helper()
	list, err := admin.CoordinationV1().Leases(h.name).List(context.Background(), metav1.ListOptions{})
	h.must(err)
	var names []string
	for _, l := range list.Items {
		names = append(names, l.Annotations["runner.podrunner.dev/runner"])
	}
	slices.Sort(names)
	return names
}

// TestTakeOver: a runner is killed in the middle of a job, and another one goes on with it once the first one's Lease has
// expired.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	h := newHeirs(t)
	first := h.run("first", 1, "")
	first.AwaitReady()
	const lines = 600
	id := h.api.Add(numbers(7, lines))[0]
	h.lines(id, 30)
	first.Signal(syscall.SIGKILL)
	killed := time.Now()
	<-first.Done
	second := h.run("second", 1, "")
	second.Says("job taken over")
	if took := time.Since(killed); took < 10*time.Second || took > time.Minute {
		t.Errorf("the job was taken over after %s", took)
	}
	h.whole(id, 7, lines)
	h.removed()
	if n := h.reports()[id]; n != 1 {
		t.Errorf("the job was reported %d times", n)
	}
	second.Serves()
	if n := second.Metric(`jobs_adopted_total{answer="resumed",pipeline="default"}`); n != "1" {
		t.Errorf("the metrics say that %q jobs were taken over", n)
	}
	if strings.Contains(first.Log.String()+second.Log.String(), "hunter2") {
		t.Error("a sensitive value is in a log")
	}
	runner.Eventually(t, "the Lease of the first one is gone", func() bool { return slices.Equal(h.leases(), []string{"second"}) })
	second.Stop()
	if left := h.leases(); len(left) != 0 {
		t.Errorf("there are Leases of %q", left)
	}
}

// TestTakeOverByTheSameName: a runner that is started again goes on with its own jobs at once.
func TestTakeOverByTheSameName(t *testing.T) {
	t.Parallel()
	h := newHeirs(t)
	first := h.run("only", 2, "")
	first.AwaitReady()
	ids := h.api.Add(numbers(1, 200), numbers(2, 200))
	h.lines(ids[0], 20)
	h.lines(ids[1], 20)
	first.Signal(syscall.SIGKILL)
	<-first.Done
	again := h.run("only", 2, "")
	again.Serves()
	begun := time.Now()
	runner.Eventually(t, "both jobs are taken over", func() bool {
		again.Lives()
		return strings.Count(again.Log.String(), "job taken over") == 2
	})
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	h.whole(ids[0], 1, 200)
	h.whole(ids[1], 2, 200)
	h.removed()
	again.Stop()
}

// TestTakeOverByOneOfMany: of several runners each job gets one.
func TestTakeOverByOneOfMany(t *testing.T) {
	t.Parallel()
	h := newHeirs(t)
	first := h.run("first", 6, "")
	first.AwaitReady()
	var jobs []opsleveltest.Job
	for i := range 6 {
		jobs = append(jobs, numbers(i, 400))
	}
	ids := h.api.Add(jobs...)
	for _, id := range ids {
		h.lines(id, 10)
	}
	first.Signal(syscall.SIGKILL)
	<-first.Done
	heirs := []*runner.Runner{h.run("second", 6, ""), h.run("third", 6, "")}
	for i, id := range ids {
		h.whole(id, i, 400)
	}
	h.removed()
	taken := 0
	for _, r := range heirs {
		taken += strings.Count(r.Log.String(), "job taken over")
	}
	if taken != len(ids) {
		t.Errorf("%d jobs were taken over, want %d", taken, len(ids))
	}
	for id, n := range h.reports() {
		if n != 1 {
			t.Errorf("the job %s was reported %d times", id, n)
		}
	}
	for _, r := range heirs {
		r.Stop()
	}
}

// TestTakeOverOfOneThatComesBack: a runner that seemed to be gone says nothing more of the job that another one has.
func TestTakeOverOfOneThatComesBack(t *testing.T) {
	t.Parallel()
	h := newHeirs(t)
	first := h.run("first", 1, "")
	first.AwaitReady()
	const lines = 600
	id := h.api.Add(numbers(5, lines))[0]
	h.lines(id, 30)
	first.Signal(syscall.SIGSTOP)
	second := h.run("second", 1, "")
	second.Says("job taken over")
	j, _ := h.api.Job(id)
	h.lines(id, len(j.Lines())+30)
	first.Signal(syscall.SIGCONT)
	first.Says("another runner has taken the job over")
	h.whole(id, 5, lines)
	h.removed()
	if n := h.reports()[id]; n != 1 {
		t.Errorf("the job was reported %d times", n)
	}
	if n := first.Metric(`jobs_left_total{pipeline="default",why="taken"}`); n != "1" {
		t.Errorf("the metrics say that %q jobs were taken", n)
	}
	next := h.api.Add(numbers(6, 5))[0] // it is a runner as ever
	h.whole(next, 6, 5)
	first.Stop()
	second.Stop()
}

// TestResultIsKept: the API takes no outcome, and the runner is stopped at once: the next one of its name reports what is
// kept on the pod, and runs nothing again.
func TestResultIsKept(t *testing.T) {
	t.Parallel()
	h := newHeirs(t)
	h.api.Fail("RunnerReportJobOutcome", 0, opsleveltest.Fault{Status: 503, Body: "not now"})
	first := h.run("only", 1, "")
	first.AwaitReady()
	id := h.api.Add(numbers(3, 10))[0]
	outcome := "runner.podrunner.dev/outcome"
	pod := h.pod(func(p *corev1.Pod) bool { return p.Annotations[outcome] != "" })
	if text := pod.Annotations[outcome]; !strings.Contains(text, `"outcome":"success"`) || strings.Contains(text, "hunter2") {
		t.Errorf("what is kept is %s", text)
	}
	first.Signal(syscall.SIGTERM)
	first.Says("draining")
	first.Signal(syscall.SIGTERM)
	first.Ended(1)
	h.api.Judge(nil)
	again := h.run("only", 1, "")
	h.whole(id, 3, 10)
	h.removed()
	if text := again.Log.String(); !strings.Contains(text, "kept=true") {
		t.Error("the result was found out again")
	}
	again.Stop()
}

// TestResultIsLeft: a runner that drains, and whose source takes no outcome, leaves the result to another one.
func TestResultIsLeft(t *testing.T) {
	t.Parallel()
	h := newHeirs(t)
	h.api.Fail("RunnerReportJobOutcome", 0, opsleveltest.Fault{Status: 503, Body: "not now"})
	first := h.run("first", 1, `give_up = "3s"`)
	first.AwaitReady()
	id := h.api.Add(numbers(4, 10))[0]
	h.pod(func(p *corev1.Pod) bool {
		return p.Annotations["runner.podrunner.dev/outcome"] != "" && p.Annotations["runner.podrunner.dev/instance"] == ""
	})
	first.Says("the job is left as it is")
	first.Signal(syscall.SIGTERM)
	first.Ended(1)
	if left := h.leases(); len(left) != 0 {
		t.Errorf("there are Leases of %q", left)
	}
	h.api.Judge(nil)
	second := h.run("second", 1, "")
	h.whole(id, 4, 10)
	h.removed()
	second.Stop()
}
