package kubernetes

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/contribsys/faktory/client"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podrunner/runner/test/e2e/runner"
	"github.com/podrunner/runner/test/faktory"
)

// service is a `core run` that takes its jobs from a Faktory server of its own.
type service struct {
	*space
	*runner.Runner
	server *faktory.Server
}

// serve starts a server, and core with settings for the source and the block kubernetes.
func (s *space) serve(concurrency int, source, settings string) *service {
	s.t.Helper()
	dir, err := os.MkdirTemp("", "e2e-")
	s.must(err)
	s.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	v := &service{space: s, server: s.faktory(dir)}
	v.run(fmt.Sprintf(`
runner {
  name        = "e2e"
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
  source "faktory" {
    config {
      url    = %q
      queues = ["runner"]
      %s
    }
  }
  kubernetes {
    %s
  }
  processor "outcome" {}
  processor "sanitize" {}
  processor "prefix" {}
}
`, concurrency, filepath.Join(root, "bin", "plugins"), small, v.server.URL(), source, settings))
	return v
}

// faktory starts a server, which ends with the test.
func (s *space) faktory(dir string) *faktory.Server {
	s.t.Helper()
	server, err := faktory.Start(s.t.Context(), faktory.Options{Program: filepath.Join(root, "build/tools/faktory"), Dir: dir})
	s.must(err)
	s.t.Cleanup(func() { s.must(server.Stop()) })
	return server
}

// run starts core with a configuration. It ends with the test.
func (v *service) run(config string) {
	v.t.Helper()
	v.Runner = runner.Start(v.t, runner.Options{Root: root, Config: config, Env: []string{"KUBECONFIG=" + v.kubeconfig()}})
}

// stop tells core to stop, and compares its exit code.
func (v *service) stop(code int) {
	v.t.Helper()
	v.Signal(syscall.SIGTERM)
	v.Ended(code)
}

// results waits until n jobs have an outcome.
func (v *service) results(n int) faktory.Heard {
	v.t.Helper()
	heard := faktory.Heard{}
	runner.Eventually(v.t, fmt.Sprint(n, " jobs have an outcome"), func() bool {
		list, err := v.server.FollowUps(context.Background())
		v.must(err)
		heard.Add(list)
		return heard.Outcomes() >= n
	})
	return heard
}

// get asks the server of metrics and health.
func (v *service) get(path string) string {
	v.t.Helper()
	v.Serves()
	_, text := v.Get(path)
	return text
}

// TestFaktoryJobs: fifty jobs of `make enqueue` run in pods, and the application hears of each.
func TestFaktoryJobs(t *testing.T) {
	t.Parallel()
	v := newSpace(t, nil).serve(10, "", "")
	file := v.write("job.yaml", `
type: legacy
queue: runner
args:
  - image: `+busybox+`
    commands:
      - set +xv
      - echo Hello, $NAME!
      - "echo ::set-outcome-var hello-world=42"
    variables:
      - {key: NAME, value: World, sensitive: true}
`)
	enqueue := exec.Command("make", "-s", "-C", root, "enqueue", "N=50", "FILE="+file)
	enqueue.Env = append(os.Environ(), "FAKTORY_URL="+v.server.URL())
	out, err := enqueue.CombinedOutput()
	jids := strings.Fields(string(out))
	if err != nil || len(jids) != 50 {
		t.Fatalf("%v: %s", err, out)
	}
	heard := v.results(50)
	if text := v.get("/readyz"); text != "cluster of default: ok\nplugins: ok\nsource faktory of default: ok\n" {
		t.Errorf("readiness is %q", text)
	}
	if text := v.get("/metrics"); !strings.Contains(text, `opslevel_runner_pod_start_duration_seconds_count{pipeline="default"} 50`) {
		t.Error("the starts of fifty pods are not counted")
	}
	for _, jid := range jids {
		job := heard[jid]
		if job == nil {
			t.Fatalf("nothing was heard of job %s", jid)
		}
		var lines []string
		for _, line := range job.Lines {
			if _, text, _ := strings.Cut(line, "] "); !strings.HasPrefix(text, "+ ") { // what the shell traces
				lines = append(lines, text)
			}
		}
		if !slices.Equal(lines, []string{"Hello, **********!"}) || !slices.Equal(job.Outcomes, []string{"success"}) || job.Variables["hello-world"] != "42" {
			t.Errorf("job %s: %q, %q, %v", jid, lines, job.Outcomes, job.Variables)
		}
		for i, f := range job.All {
			kind := "Runners::Faktory::AppendJobLog"
			if i == len(job.All)-1 {
				kind = "Runners::Faktory::ReportJobOutcome"
			}
			if f.Type != kind || f.Runner != "faktory" || f.Retry != 25 || len(f.JID) != 16 {
				t.Errorf("job %s: its follow-up job %d is %+v", jid, i, f)
			}
		}
	}
	v.stop(0)
	state, err := v.server.State()
	if err != nil || state.Sets["working"]+state.Sets["retries"]+state.Sets["dead"] != 0 || state.Failures != 0 {
		t.Errorf("the state is %+v, %v", state, err)
	}
}

// TestFaktoryJobThatCannotRun: a job that the cluster has no place for is Faktory's to try again, unless it is to be
// acknowledged all the same.
func TestFaktoryJobThatCannotRun(t *testing.T) {
	for mode, retries := range map[string]uint64{"fail": 1, "ack": 0} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			v := newSpace(t, nil).serve(1, fmt.Sprintf("infrastructure = %q", mode), `
    start_timeout = "5s"
    node_selector = { no = "such" }
`)
			jid, err := v.server.Push("legacy", nil, map[string]any{"image": busybox, "commands": []string{"true"}})
			v.must(err)
			if mode == "ack" {
				if job := v.results(1)[jid]; !slices.Equal(job.Outcomes, []string{"pod_timeout"}) {
					t.Errorf("the outcomes are %q", job.Outcomes)
				}
			}
			runner.Eventually(t, "nothing is reserved", func() bool {
				state, err := v.server.State()
				return err == nil && state.Processed+state.Failures > 0 && state.Sets["working"] == 0
			})
			state, err := v.server.State()
			if err != nil || state.Sets["retries"] != retries {
				t.Errorf("the state is %+v, %v", state, err)
			}
			list, err := v.server.FollowUps(t.Context())
			v.must(err)
			if mode == "fail" {
				var log []string
				for _, f := range list {
					log = append(log, f.Lines...)
					if f.Outcome != "" {
						t.Errorf("a job that is tried again has the outcome %s", f.Outcome)
					}
				}
				if text := strings.Join(log, "\n"); !strings.Contains(text, "pod_timeout (unschedulable)") {
					t.Errorf("the log is\n%s", text)
				}
			}
			v.stop(0)
		})
	}
}

// TestFaktoryPodIsDeleted: a job that has run is acknowledged, though nobody knows how it ended: it must not run twice.
func TestFaktoryPodIsDeleted(t *testing.T) {
	t.Parallel()
	v := newSpace(t, nil).serve(1, "", "")
	jid, err := v.server.Push("legacy", nil, map[string]any{"image": busybox, "commands": []string{"echo begin", "sleep 600"}})
	v.must(err)
	runner.Eventually(t, "a line has come", func() bool { n, err := v.server.Waiting("app"); return err == nil && n > 0 })
	v.forceDelete(v.anyPod())
	if job := v.results(1)[jid]; !slices.Equal(job.Outcomes, []string{"failed"}) || !strings.Contains(strings.Join(job.Lines, "\n"), "(pod_deleted)") {
		t.Errorf("the outcomes are %q, the log %q", job.Outcomes, job.Lines)
	}
	v.stop(0)
	if state, err := v.server.State(); err != nil || state.Failures+state.Sets["retries"]+state.Sets["working"] != 0 {
		t.Errorf("the state is %+v, %v", state, err)
	}
}

// TestFaktoryTwoSignals: core ends at once, and its pod goes on, with all that the next runner has to know of it.
func TestFaktoryTwoSignals(t *testing.T) {
	t.Parallel()
	v := newSpace(t, nil).serve(1, "", "")
	_, err := v.server.Push("legacy", func(j *client.Job) { j.SetCustom("opslevel-runner-job-id", "77") },
		map[string]any{"image": busybox, "commands": []string{"echo begin", "sleep 600"}})
	v.must(err)
	v.pod(func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning })
	runner.Eventually(t, "a line has come", func() bool { n, err := v.server.Waiting("app"); return err == nil && n > 0 })
	v.Signal(syscall.SIGTERM)
	runner.Eventually(t, "core drains", func() bool { return strings.Contains(v.Log.String(), "draining") })
	begun := time.Now()
	v.stop(1)
	if took := time.Since(begun); took > 10*time.Second { // drain_timeout is ten minutes
		t.Errorf("it took %s", took)
	}
	time.Sleep(2 * time.Second)
	pods, err := admin.CoreV1().Pods(v.name).List(t.Context(), metav1.ListOptions{LabelSelector: appLabel})
	v.must(err)
	if len(pods.Items) != 1 || pods.Items[0].DeletionTimestamp != nil || pods.Items[0].Status.Phase != corev1.PodRunning {
		t.Fatalf("the pods are %v", pods.Items)
	}
	pod := pods.Items[0]
	for key, want := range map[string]string{"runner": "e2e", "pipeline": "default", "source": "faktory/default", "job-id": "77", "attempt": "1"} {
		if got := pod.Annotations["runner.podrunner.dev/"+key]; got != want {
			t.Errorf("the annotation %s is %q, want %q", key, got, want)
		}
	}
	if pod.Labels["opslevel.com/mode"] != "faktory" {
		t.Errorf("the labels are %v", pod.Labels)
	}
	v.must(admin.CoreV1().ConfigMaps(v.name).Delete(context.Background(), pod.Name, metav1.DeleteOptions{}))
	v.forceDelete(&pod)
	runner.Eventually(t, "the Secret is gone", func() bool {
		secrets, err := admin.CoreV1().Secrets(v.name).List(context.Background(), metav1.ListOptions{LabelSelector: appLabel})
		return err == nil && len(secrets.Items) == 0
	})
}
