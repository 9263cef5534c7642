package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lagBuckets reach from a source in the next room to one that was gone for an hour.
var lagBuckets = []float64{0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600}

// The calls that a source may be asked again.
const (
	callAppend = "append"
	callReport = "report"
)

// deliveryMetrics are those of what goes back to the source.
type deliveryMetrics struct {
	lines, bytes, retries, lostLines, lostReports *prometheus.CounterVec
	lag                                           *prometheus.HistogramVec
}

func newDeliveryMetrics(k maker) deliveryMetrics {
	return deliveryMetrics{
		lines:       k.counter("delivered_lines_total", "Lines of logs that the source has taken.", "pipeline"),
		bytes:       k.counter("delivered_bytes_total", "Bytes of logs that the source has taken.", "pipeline"),
		retries:     k.counter("delivery_retries_total", "Calls to the source that were made again, by call.", "pipeline", "call"),
		lostLines:   k.counter("lines_lost_total", "Lines that the source has refused, or that were given up.", "pipeline"),
		lostReports: k.counter("reports_lost_total", "Results that could not be reported.", "pipeline"),
		lag: k.histogram("delivery_lag_seconds", "Time from when a chunk of a log was closed until the source had it.",
			lagBuckets, "pipeline"),
	}
}

func (d deliveryMetrics) watch(p Pipeline) {
	name := label(p.Name)
	for _, vec := range []*prometheus.CounterVec{d.lines, d.bytes, d.lostLines, d.lostReports} {
		vec.WithLabelValues(name)
	}
	for _, call := range []string{callAppend, callReport} {
		d.retries.WithLabelValues(name, call)
	}
	d.lag.WithLabelValues(name)
}

// Delivered counts a chunk of a log that the source has taken; lag is the time since the chunk was closed.
func (m *Metrics) Delivered(p Pipeline, lines, bytes int, lag time.Duration) {
	if m == nil {
		return
	}
	m.Watch(p)
	name := label(p.Name)
	m.delivery.lines.WithLabelValues(name).Add(number(lines))
	m.delivery.bytes.WithLabelValues(name).Add(number(bytes))
	m.delivery.lag.WithLabelValues(name).Observe(max(lag, 0).Seconds())
}

// DeliveryRetry counts a call to the source that is made again; the call is "append" or "report".
func (m *Metrics) DeliveryRetry(p Pipeline, call string) {
	if m == nil {
		return
	}
	m.Watch(p)
	m.delivery.retries.WithLabelValues(label(p.Name), label(call)).Inc()
}

// LinesLost counts lines that the source has refused, or that were given up.
func (m *Metrics) LinesLost(p Pipeline, n int) {
	if m == nil {
		return
	}
	m.Watch(p)
	m.delivery.lostLines.WithLabelValues(label(p.Name)).Add(number(n))
}

// ReportLost counts a result that could not be reported.
func (m *Metrics) ReportLost(p Pipeline) {
	if m == nil {
		return
	}
	m.Watch(p)
	m.delivery.lostReports.WithLabelValues(label(p.Name)).Inc()
}
