package telemetry

import "github.com/prometheus/client_golang/prometheus"

// slotMetrics tell how many jobs the runner has room for, and whether it gets any.
type slotMetrics struct {
	concurrency, draining    prometheus.Gauge
	inUse, credit, connected *prometheus.GaugeVec
}

func newSlotMetrics(k maker) slotMetrics {
	return slotMetrics{
		concurrency: k.gauge("concurrency", "Jobs that may run at once, in all pipelines.").WithLabelValues(),
		draining:    k.gauge("draining", "1 when the runner takes no more jobs because it is being stopped.").WithLabelValues(),
		inUse:       k.gauge("slots_in_use", "Slots that jobs have taken.", "pipeline"),
		credit:      k.gauge("source_credit", "Jobs that the source may still hand out.", "pipeline"),
		connected:   k.gauge("source_connected", "1 when the source can reach its remote system.", "pipeline", "source"),
	}
}

func (s slotMetrics) watch(p Pipeline) {
	name := label(p.Name)
	s.inUse.WithLabelValues(name)
	s.credit.WithLabelValues(name)
	s.connected.WithLabelValues(name, label(p.Source))
}

// Slots says how many jobs of a pipeline run, and how many more its source may hand out.
func (m *Metrics) Slots(p Pipeline, running, credit int) {
	if m == nil {
		return
	}
	m.Watch(p)
	m.slots.inUse.WithLabelValues(label(p.Name)).Set(float64(running))
	m.slots.credit.WithLabelValues(label(p.Name)).Set(float64(credit))
}

// Concurrency says how many jobs may run at once.
func (m *Metrics) Concurrency(n int) {
	if m != nil {
		m.slots.concurrency.Set(float64(n))
	}
}

// Draining says whether the runner takes no more jobs because it is being stopped.
func (m *Metrics) Draining(on bool) {
	if m != nil {
		m.slots.draining.Set(truth(on))
	}
}

// SourceConnected says whether the source of a pipeline can reach its remote system.
func (m *Metrics) SourceConnected(p Pipeline, on bool) {
	if m == nil {
		return
	}
	m.Watch(p)
	m.slots.connected.WithLabelValues(label(p.Name), label(p.Source)).Set(truth(on))
}

func truth(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
