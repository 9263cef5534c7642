package telemetry

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var pods = Pipeline{Name: "default", Source: "faktory", Executor: "kubernetes"}

// everything returns metrics in which each series has a value.
func everything(t *testing.T) *Metrics {
	t.Helper()
	m := NewMetrics(Options{Namespace: "opslevel_runner", Version: "1.2.3"})
	m.Watch(pods)
	m.Concurrency(3)
	m.Draining(true)
	m.SourceConnected(pods, true)
	m.Offer(pods, "accepted")
	m.JobStarted(pods)
	m.Phase(pods).Set("pending", "ImagePull")
	m.JobFinished(pods, JobEnd{Outcome: "success", Total: time.Second, Pending: 300 * time.Millisecond, Started: true})
	m.Slots(pods, 1, 2)
	m.StageOut(pods, "job", 10, 1000)
	m.StageIn(pods, "sanitize", 10, 1000)
	m.Delivered(pods, 10, 1000, time.Second)
	m.DeliveryRetry(pods, "append")
	m.LinesLost(pods, 1)
	m.ReportLost(pods)
	m.PluginUp("source", "faktory", true)
	m.PluginRestarted("source", "faktory")
	for _, name := range []string{"jobs_enqueue_failed", "jobs_enqueue_batch_failed"} {
		if err := m.SourceCount(pods, name, 0); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// kept are the names of OpsLevel Runner, which the linter does not like and dashboards know.
var kept = []string{
	"opslevel_runner_jobs_started", "opslevel_runner_jobs_finished", "opslevel_runner_jobs_enqueue_failed",
	"opslevel_runner_jobs_enqueue_batch_failed",
}

func TestNamesAreGood(t *testing.T) {
	problems, err := testutil.GatherAndLint(everything(t).Registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !slices.Contains(kept, p.Metric) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// TestKeptMetrics: dashboards for OpsLevel Runner go on working.
func TestKeptMetrics(t *testing.T) {
	m := NewMetrics(Options{Namespace: "opslevel_runner"})
	m.JobStarted(pods)
	m.JobStarted(pods)
	m.JobFinished(pods, JobEnd{Outcome: "failed", Total: 100 * time.Second})
	if err := m.SourceCount(pods, "jobs_enqueue_failed", 4); err != nil {
		t.Fatal(err)
	}
	want := `
# HELP opslevel_runner_jobs_duration Seconds from the start of a job until its result is reported.
# TYPE opslevel_runner_jobs_duration histogram
opslevel_runner_jobs_duration_bucket{runner="faktory",le="5"} 0
opslevel_runner_jobs_duration_bucket{runner="faktory",le="30"} 0
opslevel_runner_jobs_duration_bucket{runner="faktory",le="60"} 0
opslevel_runner_jobs_duration_bucket{runner="faktory",le="120"} 1
opslevel_runner_jobs_duration_bucket{runner="faktory",le="300"} 1
opslevel_runner_jobs_duration_bucket{runner="faktory",le="600"} 1
opslevel_runner_jobs_duration_bucket{runner="faktory",le="900"} 1
opslevel_runner_jobs_duration_bucket{runner="faktory",le="1200"} 1
opslevel_runner_jobs_duration_bucket{runner="faktory",le="+Inf"} 1
opslevel_runner_jobs_duration_sum{runner="faktory"} 100
opslevel_runner_jobs_duration_count{runner="faktory"} 1
# HELP opslevel_runner_jobs_enqueue_failed Counted by the source plugin.
# TYPE opslevel_runner_jobs_enqueue_failed counter
opslevel_runner_jobs_enqueue_failed{runner="faktory"} 4
# HELP opslevel_runner_jobs_finished Jobs that are over, by outcome.
# TYPE opslevel_runner_jobs_finished counter
opslevel_runner_jobs_finished{outcome="failed",runner="faktory"} 1
# HELP opslevel_runner_jobs_processing Jobs that are being worked on.
# TYPE opslevel_runner_jobs_processing gauge
opslevel_runner_jobs_processing{runner="faktory"} 1
# HELP opslevel_runner_jobs_started Jobs that were started.
# TYPE opslevel_runner_jobs_started counter
opslevel_runner_jobs_started{runner="faktory"} 2
`
	err := testutil.GatherAndCompare(m.Registry(), strings.NewReader(want), "opslevel_runner_jobs_started", "opslevel_runner_jobs_finished",
		"opslevel_runner_jobs_processing", "opslevel_runner_jobs_duration", "opslevel_runner_jobs_enqueue_failed")
	if err != nil {
		t.Error(err)
	}
}

// TestDocsTellOfAllMetrics holds the table of docs/operations.md against what there is.
func TestDocsTellOfAllMetrics(t *testing.T) {
	text, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (?:counter|gauge|histogram) \\|([^|]*)\\|").FindAllStringSubmatch(string(text), -1) {
		told["opslevel_runner_"+m[1]] = true
	}
	families, err := everything(t).Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		name := f.GetName()
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		if !told[name] {
			t.Errorf("%s is not in docs/operations.md", name)
		}
		delete(told, name)
		for _, label := range f.GetMetric()[0].GetLabel() {
			row := regexp.MustCompile("(?m)^\\| `" + strings.TrimPrefix(name, "opslevel_runner_") + "` \\|.*`" + label.GetName() + "`").Match(text)
			if !row {
				t.Errorf("%s: its label %s is not in docs/operations.md", name, label.GetName())
			}
		}
	}
	for name := range told {
		t.Errorf("%s is in docs/operations.md, and does not exist", name)
	}
}

func TestPhases(t *testing.T) {
	m := NewMetrics(Options{Namespace: "x"})
	first, second := m.Phase(pods), m.Phase(pods)
	first.Set("pending", "ImagePull")
	second.Set("pending", "ImagePull")
	first.Set("running", "")
	compare := func(want string) {
		t.Helper()
		if want != "" {
			want = "# HELP x_pods Pods of jobs, by phase and by what they wait for.\n# TYPE x_pods gauge\n" + want
		}
		if err := testutil.GatherAndCompare(m.Registry(), strings.NewReader(want), "x_pods"); err != nil {
			t.Error(err)
		}
	}
	compare("x_pods{phase=\"pending\",pipeline=\"default\",reason=\"ImagePull\"} 1\nx_pods{phase=\"running\",pipeline=\"default\",reason=\"\"} 1\n")
	second.Close()
	compare("x_pods{phase=\"running\",pipeline=\"default\",reason=\"\"} 1\n")
	first.Close()
	first.Close()
	compare("")
	if g := m.Phase(Pipeline{Executor: "local"}); g != nil {
		t.Error("a job on this machine has a pod")
	}
}

func TestSourceCounters(t *testing.T) {
	m := NewMetrics(Options{Namespace: "x"})
	for i := range maxSourceCounters {
		if err := m.SourceCount(pods, fmt.Sprint("counter_", i), 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"one_more", "Upper", "", "a-b", strings.Repeat("x", 64)} {
		if err := m.SourceCount(pods, name, 1); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	if err := m.SourceCount(pods, "counter_0", 1); err != nil {
		t.Error(err)
	}
	if err := NewMetrics(Options{Namespace: "x"}).SourceCount(pods, "jobs_started", 1); err == nil {
		t.Error("a counter of core's own was taken")
	}
}

// TestNobodyListens: core need not ask whether there are metrics.
func TestNobodyListens(t *testing.T) {
	var m *Metrics
	m.Watch(pods)
	m.Concurrency(1)
	m.Draining(true)
	m.SourceConnected(pods, true)
	m.Offer(pods, "")
	m.JobStarted(pods)
	m.JobFinished(pods, JobEnd{})
	m.Slots(pods, 1, 1)
	m.StageIn(pods, "", 1, 1)
	m.StageOut(pods, "", 1, 1)
	m.Delivered(pods, 1, 1, 1)
	m.DeliveryRetry(pods, "")
	m.LinesLost(pods, 1)
	m.ReportLost(pods)
	m.PluginUp("", "", true)
	m.PluginRestarted("", "")
	m.Phase(pods).Set("", "")
	m.Phase(pods).Close()
	var h *Health
	h.Declare("")
	h.Set("", errors.New("x"))
	h.Check("", 0, nil)
	if err := errors.Join(m.SourceCount(pods, "x", 1), h.Ready(t.Context())); err != nil {
		t.Error(err)
	}
}
