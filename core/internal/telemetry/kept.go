package telemetry

import "github.com/prometheus/client_golang/prometheus"

// keptMetrics are those of opslevel-runner. Their names, labels and buckets are its own, against Prometheus' rules: no
// unit, and counters without "_total". Its label `runner` was the runner's id, or "faktory"; here it is the source.
type keptMetrics struct {
	started, finished               *prometheus.CounterVec
	processing                      *prometheus.GaugeVec
	duration                        *prometheus.HistogramVec
	enqueueFailed, enqueueBatchFail *prometheus.CounterVec
}

func newKeptMetrics(k maker) keptMetrics {
	return keptMetrics{
		started:    k.counter("jobs_started", "Jobs that were started.", "runner"),
		finished:   k.counter("jobs_finished", "Jobs that have ended, by outcome.", "runner", "outcome"),
		processing: k.gauge("jobs_processing", "Jobs that run now.", "runner"),
		duration: k.histogram("jobs_duration", "Seconds from a job's start until its result was reported.",
			[]float64{5, 30, 60, 120, 300, 600, 900, 1200}, "runner"),
		enqueueFailed:    k.counter("jobs_enqueue_failed", "Jobs that the source could not put into its queue.", "runner"),
		enqueueBatchFail: k.counter("jobs_enqueue_batch_failed", "Jobs of a batch that the source could not put into its queue.", "runner"),
	}
}

func (k keptMetrics) watch(p Pipeline) {
	runner := label(p.Source)
	for _, vec := range []*prometheus.CounterVec{k.started, k.enqueueFailed, k.enqueueBatchFail} {
		vec.WithLabelValues(runner)
	}
	for _, outcome := range []string{"success", "failed"} {
		k.finished.WithLabelValues(runner, outcome)
	}
	k.processing.WithLabelValues(runner)
	k.duration.WithLabelValues(runner)
}
