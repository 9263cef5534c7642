package telemetry

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

var update = flag.Bool("update", false, "write the golden files anew")

// page is the documentation.
const page = "../../../docs/operations.md"

var faktory = Pipeline{Name: "default", Source: "faktory", Executor: "kubernetes"}

// exercise counts something in each metric.
func exercise(m *Metrics, p Pipeline) {
	m.Concurrency(3)
	m.Draining(false)
	m.SourceConnected(p, true)
	m.Slots(p, 1, 2)
	m.Offer(p, "accepted")
	m.JobStarted(p)
	m.JobStarted(p)
	m.Phase(p).Set("pending", "ImagePull")
	m.Phase(p).Set("running", "")
	m.StageOut(p, "job", 2, 20)
	m.StageIn(p, "deliver", 2, 20)
	m.Delivered(p, 2, 20, 50*time.Millisecond)
	m.DeliveryRetry(p, "append")
	m.LinesLost(p, 1)
	m.ReportLost(p)
	m.PluginUp("processor", "sanitize", true)
	m.PluginRestarted("processor", "sanitize")
	m.JobFinished(p, JobEnd{
		Outcome: "success", Pending: 2 * time.Second, Running: 8 * time.Second, Total: 10 * time.Second, Started: true,
	})
	m.JobFinished(p, JobEnd{Outcome: "unstarted", Reason: "image_pull", Pending: time.Minute, Total: time.Minute})
	m.Scaling(true)
	m.Replicas(2)
	m.RecommendedReplicas(3)
	m.Scaled()
	m.ScalingFailed("scale")
	_ = m.SourceCount(p, "jobs_enqueue_failed", 4)
	_ = m.SourceCount(p, "jobs_enqueue_batch_failed", 5)
}

// keptProblems is what Prometheus' rules have against the names of opslevel-runner.
var keptProblems = map[string]string{
	"opslevel_runner_jobs_started":              `counter metrics should have "_total" suffix`,
	"opslevel_runner_jobs_finished":             `counter metrics should have "_total" suffix`,
	"opslevel_runner_jobs_enqueue_failed":       `counter metrics should have "_total" suffix`,
	"opslevel_runner_jobs_enqueue_batch_failed": `counter metrics should have "_total" suffix`,
}

func TestLint(t *testing.T) {
	m := NewMetrics(Options{Version: "1.2.3"})
	exercise(m, faktory)
	if err := m.SourceCount(faktory, "jobs_fetched_total", 1); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(m.Registry())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range problems {
		got[p.Metric] = p.Text
	}
	if d := cmp.Diff(keptProblems, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// own are the runner's own metrics, in the order of their names.
func own(t *testing.T, m *Metrics) []*dto.MetricFamily {
	t.Helper()
	all, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(f *dto.MetricFamily) bool { return !strings.HasPrefix(f.GetName(), DefaultNamespace+"_") })
}

// TestNames compares each metric's name, type, labels, buckets and help with what they were: dashboards rest on them.
func TestNames(t *testing.T) {
	m := NewMetrics(Options{Version: "1.2.3"})
	exercise(m, faktory)
	var b strings.Builder
	for _, f := range own(t, m) {
		fmt.Fprintf(&b, "%s %s {%s}", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels(f), ","))
		if h := f.GetMetric()[0].GetHistogram(); h != nil {
			for _, bucket := range h.GetBucket() {
				fmt.Fprintf(&b, " %g", bucket.GetUpperBound())
			}
		}
		fmt.Fprintf(&b, "\n\t%s\n", f.GetHelp())
	}
	path := filepath.Join("testdata", "metrics.txt")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("-want +got, run with -update when it is right:\n%s", d)
	}
}

func labels(f *dto.MetricFamily) []string {
	var out []string
	for _, pair := range f.GetMetric()[0].GetLabel() {
		out = append(out, pair.GetName())
	}
	return out
}

// TestDocs compares the table of metrics in docs/operations.md with the metrics there are: none missing, none too many,
// with their types and labels.
func TestDocs(t *testing.T) {
	m := NewMetrics(Options{Version: "1.2.3"})
	exercise(m, faktory)
	want := map[string]string{}
	for _, f := range own(t, m) {
		names := labels(f)
		for i, name := range names {
			names[i] = "`" + name + "`"
		}
		want[strings.TrimPrefix(f.GetName(), DefaultNamespace+"_")] = strings.ToLower(f.GetType().String()) + " | " + strings.Join(names, ", ")
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (counter|gauge|histogram) \\| ?(.*?) ?\\| (.+) \\|$")
	got := map[string]string{}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range row.FindAllStringSubmatch(string(text), -1) {
		if got[match[1]] != "" {
			t.Errorf("%s is described twice", match[1])
		}
		names := strings.Split(match[3], ", ")
		slices.Sort(names)
		got[match[1]] = match[2] + " | " + strings.Join(names, ", ")
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("docs/operations.md (-want +got):\n%s", d)
	}
}

// TestDocsQueries looks for queries in the documentation that name a metric that does not exist.
func TestDocsQueries(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	m := NewMetrics(Options{Version: "1.2.3"})
	exercise(m, faktory)
	known := map[string]bool{}
	for _, f := range own(t, m) {
		known[f.GetName()] = true
		if f.GetType() == dto.MetricType_HISTOGRAM {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				known[f.GetName()+suffix] = true
			}
		}
	}
	queries := regexp.MustCompile(DefaultNamespace+"_[a-z_]+").FindAllString(string(text), -1)
	if len(queries) < 8 {
		t.Errorf("found %d names in queries", len(queries))
	}
	for _, name := range queries {
		if !known[name] {
			t.Errorf("docs/operations.md names %s, which does not exist", name)
		}
	}
}

// TestValues is the whole of what two jobs and their pipeline leave behind.
func TestValues(t *testing.T) {
	m := NewMetrics(Options{})
	exercise(m, faktory)
	want := `
# HELP opslevel_runner_delivered_bytes_total Bytes of logs that the source has taken.
# TYPE opslevel_runner_delivered_bytes_total counter
opslevel_runner_delivered_bytes_total{pipeline="default"} 20
# HELP opslevel_runner_delivery_retries_total Calls to the source that were made again, by call.
# TYPE opslevel_runner_delivery_retries_total counter
opslevel_runner_delivery_retries_total{call="append",pipeline="default"} 1
opslevel_runner_delivery_retries_total{call="report",pipeline="default"} 0
# HELP opslevel_runner_job_results_total Jobs that have ended, by outcome and reason.
# TYPE opslevel_runner_job_results_total counter
opslevel_runner_job_results_total{outcome="success",pipeline="default",reason=""} 1
opslevel_runner_job_results_total{outcome="unstarted",pipeline="default",reason="image_pull"} 1
# HELP opslevel_runner_jobs_enqueue_batch_failed Jobs of a batch that the source could not put into its queue.
# TYPE opslevel_runner_jobs_enqueue_batch_failed counter
opslevel_runner_jobs_enqueue_batch_failed{runner="faktory"} 5
# HELP opslevel_runner_jobs_enqueue_failed Jobs that the source could not put into its queue.
# TYPE opslevel_runner_jobs_enqueue_failed counter
opslevel_runner_jobs_enqueue_failed{runner="faktory"} 4
# HELP opslevel_runner_jobs_finished Jobs that have ended, by outcome.
# TYPE opslevel_runner_jobs_finished counter
opslevel_runner_jobs_finished{outcome="failed",runner="faktory"} 0
opslevel_runner_jobs_finished{outcome="success",runner="faktory"} 1
opslevel_runner_jobs_finished{outcome="unstarted",runner="faktory"} 1
# HELP opslevel_runner_jobs_processing Jobs that run now.
# TYPE opslevel_runner_jobs_processing gauge
opslevel_runner_jobs_processing{runner="faktory"} 0
# HELP opslevel_runner_jobs_started Jobs that were started.
# TYPE opslevel_runner_jobs_started counter
opslevel_runner_jobs_started{runner="faktory"} 2
# HELP opslevel_runner_pods Pods of jobs that run now, by phase and by what they wait for.
# TYPE opslevel_runner_pods gauge
opslevel_runner_pods{phase="pending",pipeline="default",reason="ImagePull"} 1
opslevel_runner_pods{phase="running",pipeline="default",reason=""} 1
# HELP opslevel_runner_log_records_total Records of logs that have come into a stage, or out of it.
# TYPE opslevel_runner_log_records_total counter
opslevel_runner_log_records_total{direction="in",pipeline="default",stage="deliver"} 2
opslevel_runner_log_records_total{direction="out",pipeline="default",stage="job"} 2
`
	names := []string{
		"delivered_bytes_total", "delivery_retries_total", "job_results_total", "jobs_enqueue_batch_failed", "jobs_enqueue_failed",
		"jobs_finished", "jobs_processing", "jobs_started", "log_records_total", "pods",
	}
	for i := range names {
		names[i] = DefaultNamespace + "_" + names[i]
	}
	if err := testutil.GatherAndCompare(m.Registry(), strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

// TestStartIsOfStartedJobs: the time for which a job waited that never ran says nothing of how long pods take.
func TestStartIsOfStartedJobs(t *testing.T) {
	m := NewMetrics(Options{})
	exercise(m, faktory)
	for _, f := range own(t, m) {
		want := map[string]uint64{"jobs_duration": 2, "pod_start_duration_seconds": 1}
		if n, ok := want[strings.TrimPrefix(f.GetName(), DefaultNamespace+"_")]; ok {
			if got := f.GetMetric()[0].GetHistogram().GetSampleCount(); got != n {
				t.Errorf("%s has seen %d jobs, want %d", f.GetName(), got, n)
			}
		}
	}
}

// TestIntroduced: what a pipeline counts is there at 0 once anything is known of it.
func TestIntroduced(t *testing.T) {
	m := NewMetrics(Options{})
	m.Watch(faktory)
	for _, name := range []string{"jobs_started", "jobs_processing", "jobs_enqueue_failed", "lines_lost_total", "slots_in_use", "source_connected"} {
		n, err := testutil.GatherAndCount(m.Registry(), DefaultNamespace+"_"+name)
		if err != nil || n != 1 {
			t.Errorf("%s has %d series: %v", name, n, err)
		}
	}
}

func TestNamespace(t *testing.T) {
	m := NewMetrics(Options{Namespace: "jobs"})
	m.JobStarted(faktory)
	if n, err := testutil.GatherAndCount(m.Registry(), "jobs_jobs_started"); err != nil || n != 1 {
		t.Errorf("got %d series: %v", n, err)
	}
}

// TestNil calls everything on nothing.
func TestNil(t *testing.T) {
	var m *Metrics
	exercise(m, faktory)
	m.StageOut(faktory, "job", 1, 1)
	m.Phase(faktory).Close()
	if m.Registry() != nil {
		t.Error("there is a registry")
	}
}

// TestConcurrent counts from many goroutines; the race detector watches.
func TestConcurrent(t *testing.T) {
	m := NewMetrics(Options{})
	h := NewHealth()
	h.Check("cluster", 0, func(context.Context) error { return nil })
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				p := Pipeline{Name: fmt.Sprint("p", j%3), Source: "faktory", Executor: "kubernetes"}
				exercise(m, p)
				g := m.Phase(p)
				g.Set("pending", fmt.Sprint("reason", i))
				g.Close()
				h.Set("cluster", h.Ready(t.Context()))
				_ = m.SourceCount(p, fmt.Sprint("c", j), 1)
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			if _, err := m.Registry().Gather(); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
}

// TestBounds brings more of everything than there may be, and what may not be a label.
func TestBounds(t *testing.T) {
	m := NewMetrics(Options{})
	for i := range 1000 {
		m.JobFinished(faktory, JobEnd{Outcome: "failed", Reason: fmt.Sprint("reason ", i)})
		m.Phase(faktory).Set("pending", fmt.Sprint("reason ", i))
	}
	m.JobFinished(faktory, JobEnd{Outcome: "\xff", Reason: strings.Repeat("é", 200)})
	m.Delivered(faktory, -1, -1, -time.Second)
	for name, most := range map[string]int{"job_results_total": maxResults + 1, "jobs_finished": 3, "pods": maxPlaces + 1} {
		n, err := testutil.GatherAndCount(m.Registry(), DefaultNamespace+"_"+name)
		if err != nil || n > most {
			t.Errorf("%s has %d series, more than %d: %v", name, n, most, err)
		}
	}
}

func TestPhase(t *testing.T) {
	m := NewMetrics(Options{})
	pods := func(want ...string) {
		t.Helper()
		all := ""
		for _, line := range want {
			all += DefaultNamespace + "_pods" + line + "\n"
		}
		if all != "" {
			all = "# HELP opslevel_runner_pods Pods of jobs that run now, by phase and by what they wait for.\n# TYPE opslevel_runner_pods gauge\n" + all
		}
		if err := testutil.GatherAndCompare(m.Registry(), strings.NewReader(all), DefaultNamespace+"_pods"); err != nil {
			t.Error(err)
		}
	}
	a, b := m.Phase(faktory), m.Phase(faktory)
	pods()
	a.Set("pending", "ImagePull")
	a.Set("pending", "ImagePull")
	b.Set("pending", "ImagePull")
	pods(`{phase="pending",pipeline="default",reason="ImagePull"} 2`)
	a.Set("running", "")
	pods(`{phase="pending",pipeline="default",reason="ImagePull"} 1`, `{phase="running",pipeline="default",reason=""} 1`)
	b.Close()
	b.Close()
	b.Set("running", "")
	pods(`{phase="running",pipeline="default",reason=""} 1`)
	a.Close()
	pods()
}

// TestPluginUp has a plugin that is used twice, of which one process ends and comes back.
func TestPluginUp(t *testing.T) {
	m := NewMetrics(Options{})
	for i, c := range []struct {
		up   bool
		want float64
	}{{true, 1}, {true, 1}, {false, 0}, {false, 0}, {true, 0}, {true, 1}, {false, 0}, {true, 1}, {false, 0}, {false, 0}, {false, 0}} {
		m.PluginUp("processor", "prefix", c.up)
		if got := testutil.ToFloat64(m.plugins.up.WithLabelValues("processor", "prefix")); got != c.want {
			t.Errorf("turn %d: %g, want %g", i+1, got, c.want)
		}
	}
}

// TestLocal: a job on this machine has no pod.
func TestLocal(t *testing.T) {
	m := NewMetrics(Options{})
	exercise(m, Pipeline{Name: "default", Source: "faktory", Executor: "local"})
	for _, name := range []string{"pods", "pod_start_duration_seconds"} {
		if n, err := testutil.GatherAndCount(m.Registry(), DefaultNamespace+"_"+name); err != nil || n != 0 {
			t.Errorf("%s has %d series: %v", name, n, err)
		}
	}
}

func TestSourceCount(t *testing.T) {
	m := NewMetrics(Options{})
	for _, c := range []struct {
		name string
		want string
	}{
		{"jobs_enqueue_failed", ""},
		{"fetched_total", ""},
		{"fetched_total", ""},
		{"Fetched", `the source's counter "Fetched" is not counted: it is made of 1 to 63 lower-case letters, digits and underscores, a letter first`},
		{"Fetched", ""},
		{"", `the source's counter "" is not counted: it is made of 1 to 63 lower-case letters, digits and underscores, a letter first`},
		{"pods", `the source's counter "pods" is not counted: it is the name of a metric of the runner's own`},
		{"jobs_started", `the source's counter "jobs_started" is not counted: it is the name of a metric of the runner's own`},
		{"jobs_duration_count", `the source's counter "jobs_duration_count" is not counted: _bucket, _count and _sum are how the series of a histogram end; a counter's name ends with _total`},
	} {
		err := m.SourceCount(faktory, c.name, 2)
		if got := message(err); got != c.want {
			t.Errorf("%q: got %q, want %q", c.name, got, c.want)
		}
	}
	if got := testutil.ToFloat64(m.sources.counters["fetched_total"].WithLabelValues("faktory")); got != 4 {
		t.Errorf("counted %g, want 4", got)
	}
	told := 0
	for i := range 1000 {
		if m.SourceCount(faktory, fmt.Sprint("more", i), 1) != nil {
			told++
		}
	}
	if n := len(m.sources.counters); n != maxSourceCounters || told == 0 || told > maxRefusals {
		t.Errorf("there are %d counters, and %d errors", n, told)
	}
	if _, err := m.Registry().Gather(); err != nil {
		t.Error(err)
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestStageAllocations guards that a batch costs nothing.
func TestStageAllocations(t *testing.T) {
	m := NewMetrics(Options{})
	m.StageIn(faktory, "sanitize", 1, 1)
	if got := testing.AllocsPerRun(100, func() { m.StageIn(faktory, "sanitize", 250, 25_000) }); got > 0 {
		t.Errorf("a batch costs %g allocations", got)
	}
}

func BenchmarkStage(b *testing.B) {
	m := NewMetrics(Options{})
	b.ReportAllocs()
	for b.Loop() {
		m.StageIn(faktory, "sanitize", 250, 25_000)
	}
}

var errGone = errors.New("connection refused")
