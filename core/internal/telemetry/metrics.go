// Package telemetry is what a runner tells of itself to those who operate it: metrics for Prometheus, whether it is
// alive and ready, a trace of each job for OpenTelemetry, and reports of what has gone wrong for Sentry. It passes on what
// others tell it of, and knows neither jobs nor plugins nor clusters.
//
// Whoever works with a *Metrics, *Traces or *Reports may have none: each method of a nil one does nothing. No label carries anything that
// grows with the number of jobs, and what comes from outside (reasons, the counters of a source) is bounded here.
package telemetry

import (
	"runtime"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// DefaultNamespace is that of opslevel-runner, whose dashboards and alerts go on as they are.
const DefaultNamespace = "opslevel_runner"

// Options of Metrics.
type Options struct {
	// Namespace begins the name of each metric of the runner's own; empty: DefaultNamespace.
	Namespace string
	// Version is that of core.
	Version string
}

// Metrics are those of one runner, in a registry of their own. They are safe for concurrent use.
type Metrics struct {
	namespace string
	registry  *prometheus.Registry

	kept     keptMetrics
	jobs     *jobMetrics
	slots    slotMetrics
	delivery deliveryMetrics
	stages   *stageMetrics
	plugins  *pluginMetrics
	sources  *sourceMetrics
	scaling  scalingMetrics

	mu sync.RWMutex
	// known are the pipelines whose series are there, though nothing has been counted yet.
	known map[Pipeline]bool
}

// Pipeline is where a job comes from and how it runs.
type Pipeline struct{ Name, Source, Executor string }

// NewMetrics makes the metrics, with those of Go, of the process and of the build.
func NewMetrics(options Options) *Metrics {
	if options.Namespace == "" {
		options.Namespace = DefaultNamespace
	}
	m := &Metrics{namespace: options.Namespace, registry: prometheus.NewRegistry(), known: map[Pipeline]bool{}}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	k := maker{namespace: options.Namespace, registry: m.registry}
	k.gauge("build_info", "Which core runs; always 1.", "version", "goversion").
		WithLabelValues(label(options.Version), runtime.Version()).Set(1)
	m.kept = newKeptMetrics(k)
	m.jobs = newJobMetrics(k)
	m.slots = newSlotMetrics(k)
	m.delivery = newDeliveryMetrics(k)
	m.stages = newStageMetrics(k)
	m.plugins = newPluginMetrics(k)
	m.sources = newSourceMetrics()
	m.scaling = newScalingMetrics(k)
	return m
}

// Registry is where the metrics are gathered; nil when there are none.
func (m *Metrics) Registry() *prometheus.Registry {
	if m == nil {
		return nil
	}
	return m.registry
}

// inPods reports whether the pipeline's jobs run in pods.
func (p Pipeline) inPods() bool { return p.Executor == "kubernetes" }

// Watch makes the series of a pipeline at 0: a rate cannot see the step from nothing to 1. Whatever is counted first for a
// pipeline does it, too.
func (m *Metrics) Watch(p Pipeline) {
	if m == nil {
		return
	}
	m.mu.RLock()
	known := m.known[p]
	m.mu.RUnlock()
	if known {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[p] = true
	m.kept.watch(p)
	m.jobs.watch(p)
	m.slots.watch(p)
	m.delivery.watch(p)
}

// maker makes metrics and registers them. It panics when two have one name: that is a mistake in this package.
type maker struct {
	namespace string
	registry  *prometheus.Registry
}

func (k maker) counter(name, help string, labels ...string) *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: k.namespace, Name: name, Help: help}, labels)
	k.registry.MustRegister(vec)
	return vec
}

func (k maker) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: k.namespace, Name: name, Help: help}, labels)
	k.registry.MustRegister(vec)
	return vec
}

func (k maker) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: k.namespace, Name: name, Help: help, Buckets: buckets}, labels)
	k.registry.MustRegister(vec)
	return vec
}
