// Package telemetry is what an operator sees of a runner beside its log: metrics for Prometheus, health, and the server
// that shows them. It knows nothing of plugins and pods; whoever has something to tell calls a method.
package telemetry

import (
	"fmt"
	"regexp"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Options of Metrics.
type Options struct {
	// Namespace stands before the names of all metrics but those of Go and the process.
	Namespace string
	// Version is core's.
	Version string
}

// Pipeline names a pipeline in labels.
type Pipeline struct {
	Name, Source, Executor string
}

// JobEnd is what a job has come to.
type JobEnd struct {
	Outcome, Reason string
	// Pending is the time until the first step ran, Running that of the steps, Total all until the report.
	Pending, Running, Total time.Duration
	// Started says that a step ran.
	Started bool
}

// Metrics are the metrics of a runner. All methods are safe for concurrent use, and do nothing on nil.
type Metrics struct {
	namespace string
	registry  *prometheus.Registry

	// OpsLevel Runner has these six, with these names, labels and buckets; dashboards know them. Its label `runner` is
	// the name of the source here. Two of them are counters of the source plugin; see SourceCount.
	jobsStarted, jobsFinished *prometheus.CounterVec
	jobsProcessing            *prometheus.GaugeVec
	jobsDuration              *prometheus.HistogramVec

	results, offers             *prometheus.CounterVec
	pods                        *prometheus.GaugeVec
	podStart                    *prometheus.HistogramVec
	running, credit, connected  *prometheus.GaugeVec
	concurrency, draining       prometheus.Gauge
	records, bytes              *prometheus.CounterVec
	delivered, deliveredBytes   *prometheus.CounterVec
	lag                         *prometheus.HistogramVec
	retries, linesLost, reports *prometheus.CounterVec
	restarts                    *prometheus.CounterVec
	up                          *prometheus.GaugeVec

	mu sync.Mutex
	// sourceCounters are those of source plugins, by name.
	sourceCounters map[string]*prometheus.CounterVec
	// phases counts the jobs of a series of pods, so that one that is empty can go.
	phases map[phase]int
}

// phase is a series of pods.
type phase struct{ pipeline, phase, reason string }

// NewMetrics makes the metrics, with those of Go, the process and the build.
func NewMetrics(o Options) *Metrics {
	m := &Metrics{
		namespace: o.Namespace, registry: prometheus.NewRegistry(),
		sourceCounters: map[string]*prometheus.CounterVec{}, phases: map[phase]int{},
	}
	m.seed()
	m.jobs()
	m.log()
	m.parts()
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.gauge("build_info", "The version of core; always 1.", "version", "goversion").WithLabelValues(o.Version, runtime.Version()).Set(1)
	return m
}

// seed makes the metrics that OpsLevel Runner has, too.
func (m *Metrics) seed() {
	m.jobsStarted = m.counter("jobs_started", "Jobs that were started.", "runner")
	m.jobsFinished = m.counter("jobs_finished", "Jobs that are over, by outcome.", "runner", "outcome")
	m.jobsProcessing = m.gauge("jobs_processing", "Jobs that are being worked on.", "runner")
	m.jobsDuration = m.histogram("jobs_duration", "Seconds from the start of a job until its result is reported.",
		[]float64{5, 30, 60, 120, 300, 600, 900, 1200}, "runner")
}

// jobs makes the metrics of jobs and slots.
func (m *Metrics) jobs() {
	m.results = m.counter("job_results_total", "Jobs that are over, by outcome and reason.", "pipeline", "outcome", "reason")
	m.offers = m.counter("job_offers_total", "Jobs that sources have offered, by what core has made of the offer: accepted, duplicate, released.", "pipeline", "answer")
	m.pods = m.gauge("pods", "Pods of jobs, by phase and by what they wait for.", "pipeline", "phase", "reason")
	m.podStart = m.histogram("pod_start_duration_seconds", "Time from the start of a job until its first step ran, of jobs in pods.",
		[]float64{0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300}, "pipeline")
	m.running = m.gauge("slots_in_use", "Slots that jobs have taken.", "pipeline")
	m.credit = m.gauge("source_credit", "Jobs that the source may still offer at present.", "pipeline")
	m.concurrency = m.single("concurrency", "Jobs that may run at once.")
	m.draining = m.single("draining", "1 when the runner takes no more jobs because it was told to stop.")
	m.connected = m.gauge("source_connected", "1 when the source reaches its remote system.", "pipeline", "source")
}

// log makes the metrics of jobs' logs.
func (m *Metrics) log() {
	m.records = m.counter("log_records_total", "Records of jobs' logs that went into and out of a stage of a pipeline.", "pipeline", "stage", "direction")
	m.bytes = m.counter("log_bytes_total", "Bytes of the texts of these records.", "pipeline", "stage", "direction")
	m.delivered = m.counter("delivered_lines_total", "Lines that a source has taken.", "pipeline")
	m.deliveredBytes = m.counter("delivered_bytes_total", "Bytes of the lines that a source has taken.", "pipeline")
	m.lag = m.histogram("delivery_lag_seconds", "Time from when a batch of lines was ready until the source had it.",
		[]float64{0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 1800}, "pipeline")
	m.retries = m.counter("delivery_retries_total", "Calls of a source that failed, and were made again.", "pipeline", "call")
	m.linesLost = m.counter("lines_lost_total", "Lines that a source has refused, or has not taken for too long.", "pipeline")
	m.reports = m.counter("reports_lost_total", "Results that a source has not taken for too long.", "pipeline")
}

// parts makes the metrics of plugins.
func (m *Metrics) parts() {
	m.restarts = m.counter("plugin_restarts_total", "Processes of plugins that were replaced.", "kind", "plugin")
	m.up = m.gauge("plugin_up", "1 when the plugin has a process.", "kind", "plugin")
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: m.namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: m.namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) single(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: m.namespace, Name: name, Help: help})
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: m.namespace, Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(h)
	return h
}

// Registry has all the metrics.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Watch makes the series of a pipeline that are there before anything has happened, so that a rate has a beginning.
func (m *Metrics) Watch(p Pipeline) {
	if m == nil {
		return
	}
	m.jobsStarted.WithLabelValues(p.Source)
	m.jobsFinished.WithLabelValues(p.Source, "success")
	m.jobsFinished.WithLabelValues(p.Source, "failed")
	m.jobsProcessing.WithLabelValues(p.Source)
	m.jobsDuration.WithLabelValues(p.Source)
	m.linesLost.WithLabelValues(p.Name)
	m.reports.WithLabelValues(p.Name)
	m.retries.WithLabelValues(p.Name, "append")
	m.retries.WithLabelValues(p.Name, "report")
	m.delivered.WithLabelValues(p.Name)
	m.running.WithLabelValues(p.Name)
	m.credit.WithLabelValues(p.Name)
	m.connected.WithLabelValues(p.Name, p.Source)
}

// JobStarted counts a job that core has accepted.
func (m *Metrics) JobStarted(p Pipeline) {
	if m == nil {
		return
	}
	m.jobsStarted.WithLabelValues(p.Source).Inc()
	m.jobsProcessing.WithLabelValues(p.Source).Inc()
}

// JobFinished counts a job that is over, once for each JobStarted.
func (m *Metrics) JobFinished(p Pipeline, end JobEnd) {
	if m == nil {
		return
	}
	m.jobsProcessing.WithLabelValues(p.Source).Dec()
	m.jobsFinished.WithLabelValues(p.Source, end.Outcome).Inc()
	m.jobsDuration.WithLabelValues(p.Source).Observe(end.Total.Seconds())
	m.results.WithLabelValues(p.Name, end.Outcome, end.Reason).Inc()
	if end.Started && p.inPods() {
		m.podStart.WithLabelValues(p.Name).Observe(end.Pending.Seconds())
	}
}

func (p Pipeline) inPods() bool { return p.Executor == "kubernetes" }

// Offer counts an offer by its answer.
func (m *Metrics) Offer(p Pipeline, answer string) {
	if m != nil {
		m.offers.WithLabelValues(p.Name, answer).Inc()
	}
}

// Slots tells how many jobs of a pipeline run, and how many its source may still offer.
func (m *Metrics) Slots(p Pipeline, running, credit int) {
	if m != nil {
		m.running.WithLabelValues(p.Name).Set(float64(running))
		m.credit.WithLabelValues(p.Name).Set(float64(credit))
	}
}

// Concurrency tells how many jobs may run at once.
func (m *Metrics) Concurrency(n int) {
	if m != nil {
		m.concurrency.Set(float64(n))
	}
}

// Draining tells whether the runner takes no more jobs.
func (m *Metrics) Draining(on bool) {
	if m != nil {
		m.draining.Set(number(on))
	}
}

// SourceConnected tells whether a source reaches its remote system.
func (m *Metrics) SourceConnected(p Pipeline, on bool) {
	if m != nil {
		m.connected.WithLabelValues(p.Name, p.Source).Set(number(on))
	}
}

func number(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// Delivered counts lines that a source has taken; lag is the time since they were ready.
func (m *Metrics) Delivered(p Pipeline, lines, bytes int, lag time.Duration) {
	if m != nil {
		m.delivered.WithLabelValues(p.Name).Add(float64(lines))
		m.deliveredBytes.WithLabelValues(p.Name).Add(float64(bytes))
		m.lag.WithLabelValues(p.Name).Observe(lag.Seconds())
	}
}

// DeliveryRetry counts a failed call of a source: "append" or "report".
func (m *Metrics) DeliveryRetry(p Pipeline, call string) {
	if m != nil {
		m.retries.WithLabelValues(p.Name, call).Inc()
	}
}

// LinesLost counts lines that the source does not have and never will.
func (m *Metrics) LinesLost(p Pipeline, n int) {
	if m != nil {
		m.linesLost.WithLabelValues(p.Name).Add(float64(n))
	}
}

// ReportLost counts a result that the source does not have.
func (m *Metrics) ReportLost(p Pipeline) {
	if m != nil {
		m.reports.WithLabelValues(p.Name).Inc()
	}
}

// StageIn counts what goes into a stage: a processor's name, or "deliver".
func (m *Metrics) StageIn(p Pipeline, stage string, records, bytes int) {
	m.stage(p, stage, "in", records, bytes)
}

// StageOut counts what comes out of a stage: a processor's name, or "job" for what is read of the job's output.
func (m *Metrics) StageOut(p Pipeline, stage string, records, bytes int) {
	m.stage(p, stage, "out", records, bytes)
}

func (m *Metrics) stage(p Pipeline, stage, direction string, records, bytes int) {
	if m != nil {
		m.records.WithLabelValues(p.Name, stage, direction).Add(float64(records))
		m.bytes.WithLabelValues(p.Name, stage, direction).Add(float64(bytes))
	}
}

// PluginRestarted counts a process that was replaced.
func (m *Metrics) PluginRestarted(kind, name string) {
	if m != nil {
		m.restarts.WithLabelValues(kind, name).Inc()
	}
}

// PluginUp tells whether a plugin has a process.
func (m *Metrics) PluginUp(kind, name string, up bool) {
	if m != nil {
		m.up.WithLabelValues(kind, name).Set(number(up))
	}
}

// A source plugin may bring counters of its own, up to this many, under names such as these.
const maxSourceCounters = 32

var counterName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// SourceCount adds to a counter of the source plugin's own. The error says why there is none of that name.
func (m *Metrics) SourceCount(p Pipeline, name string, n uint64) error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.sourceCounters[name]
	switch {
	case c != nil:
	case !counterName.MatchString(name):
		return fmt.Errorf("the counter's name %q is not made of lower-case letters, digits and underscores", name)
	case len(m.sourceCounters) == maxSourceCounters:
		return fmt.Errorf("the counter %s is one more than the %d that sources may have", name, maxSourceCounters)
	default:
		c = prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: m.namespace, Name: name, Help: "Counted by the source plugin.",
		}, []string{"runner"})
		if err := m.registry.Register(c); err != nil {
			return fmt.Errorf("the counter %s: %w", name, err)
		}
		m.sourceCounters[name] = c
	}
	c.WithLabelValues(p.Source).Add(float64(n))
	return nil
}
