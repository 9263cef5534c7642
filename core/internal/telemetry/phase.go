package telemetry

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// maxPlaces bounds the series of pods that are there at one time.
const maxPlaces = 200

// place is where a job stands: the labels of a series of pods.
type place struct{ pipeline, phase, reason string }

// phases counts the jobs in each place. A series is there as long as a job is in its place, so that reasons of long ago
// do not pile up.
type phases struct {
	gauge *prometheus.GaugeVec

	mu   sync.Mutex
	jobs map[place]int
}

func newPhases(k maker) *phases {
	return &phases{
		gauge: k.gauge("pods", "Pods of jobs that run now, by phase and by what they wait for.", "pipeline", "phase", "reason"),
		jobs:  map[place]int{},
	}
}

// enter adds a job to a place and returns the place that it got, which is another one when there are too many.
func (f *phases) enter(p place) place {
	if f.jobs[p] == 0 && len(f.jobs) >= maxPlaces {
		p.reason = other
	}
	f.jobs[p]++
	f.gauge.WithLabelValues(p.pipeline, p.phase, p.reason).Set(float64(f.jobs[p]))
	return p
}

func (f *phases) leave(p place) {
	f.jobs[p]--
	if f.jobs[p] == 0 {
		delete(f.jobs, p)
		f.gauge.DeleteLabelValues(p.pipeline, p.phase, p.reason)
		return
	}
	f.gauge.WithLabelValues(p.pipeline, p.phase, p.reason).Set(float64(f.jobs[p]))
}

// PhaseGauge is one job's place in the metric pods. It is safe for concurrent use; a nil one does nothing.
type PhaseGauge struct {
	phases   *phases
	pipeline string

	// The fields below belong to phases.mu.
	at     place
	within bool
	closed bool
}

// Phase returns the place of one job, which is nowhere until Set. It has to be closed. Nil for a job that runs in no pod.
func (m *Metrics) Phase(p Pipeline) *PhaseGauge {
	if m == nil || !p.inPods() {
		return nil
	}
	return &PhaseGauge{phases: m.jobs.phases, pipeline: label(p.Name)}
}

// Set moves the job to another place. After Close it does nothing.
func (g *PhaseGauge) Set(phase, reason string) {
	if g == nil {
		return
	}
	next := place{pipeline: g.pipeline, phase: label(phase), reason: label(reason)}
	g.phases.mu.Lock()
	defer g.phases.mu.Unlock()
	if g.closed || g.within && g.at == next {
		return
	}
	if g.within {
		g.phases.leave(g.at)
	}
	g.at, g.within = g.phases.enter(next), true
}

// Close takes the job out; a second one does nothing.
func (g *PhaseGauge) Close() {
	if g == nil {
		return
	}
	g.phases.mu.Lock()
	defer g.phases.mu.Unlock()
	if g.within {
		g.phases.leave(g.at)
	}
	g.within, g.closed = false, true
}
