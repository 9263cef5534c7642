package telemetry

// PhaseGauge is one job's place among the pods. Its methods are for one goroutine at a time, and do nothing on nil.
type PhaseGauge struct {
	metrics  *Metrics
	pipeline string
	at       *phase
}

// Phase returns a job's place; nil for a job that runs in no pod.
func (m *Metrics) Phase(p Pipeline) *PhaseGauge {
	if m == nil || !p.inPods() {
		return nil
	}
	return &PhaseGauge{metrics: m, pipeline: p.Name}
}

// Set moves the job to another phase, and to what it waits for there.
func (g *PhaseGauge) Set(name, reason string) {
	if g != nil {
		g.move(&phase{g.pipeline, name, reason})
	}
}

// Close takes the job out.
func (g *PhaseGauge) Close() {
	if g != nil {
		g.move(nil)
	}
}

// move takes the job from one series to another. A series with no job is removed: reasons come and go.
func (g *PhaseGauge) move(to *phase) {
	m := g.metrics
	m.mu.Lock()
	defer m.mu.Unlock()
	if from := g.at; from != nil {
		m.phases[*from]--
		if m.phases[*from] > 0 {
			m.pods.WithLabelValues(from.pipeline, from.phase, from.reason).Dec()
		} else {
			delete(m.phases, *from)
			m.pods.DeleteLabelValues(from.pipeline, from.phase, from.reason)
		}
	}
	if g.at = to; to != nil {
		m.phases[*to]++
		m.pods.WithLabelValues(to.pipeline, to.phase, to.reason).Inc()
	}
}
