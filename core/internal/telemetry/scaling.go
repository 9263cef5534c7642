package telemetry

import "github.com/prometheus/client_golang/prometheus"

// ScalingSteps are the parts of scaling that can fail on their own.
var ScalingSteps = []string{"elect", "recommend", "scale", "deletion_cost"}

// scalingMetrics are those of a runner that scales. Without scaling there is no series of them.
type scalingMetrics struct {
	leader, recommended, replicas *prometheus.GaugeVec
	writes, errors                *prometheus.CounterVec
}

func newScalingMetrics(k maker) scalingMetrics {
	return scalingMetrics{
		leader:      k.gauge("scaling_leader", "1 when this runner is the one that scales the Deployment."),
		recommended: k.gauge("scaling_recommended_replicas", "Runners that the sources wish for, before min_replicas and max_replicas; of the leader alone."),
		replicas:    k.gauge("scaling_replicas", "Runners that the Deployment asks for; of the leader alone."),
		writes:      k.counter("scaling_writes_total", "Changes of the Deployment's number of replicas."),
		errors:      k.counter("scaling_errors_total", "Steps of scaling that have failed.", "step"),
	}
}

// Scaling says whether this runner is the one that scales. The first call makes the series; the numbers of a leader go
// with its leadership, as nobody sees to it then that they are right.
func (m *Metrics) Scaling(leader bool) {
	if m == nil {
		return
	}
	s := m.scaling
	s.leader.WithLabelValues().Set(truth(leader))
	s.writes.WithLabelValues()
	for _, step := range ScalingSteps {
		s.errors.WithLabelValues(step)
	}
	if !leader {
		s.recommended.Reset()
		s.replicas.Reset()
	}
}

// Replicas says how many runners the Deployment asks for.
func (m *Metrics) Replicas(n int) {
	if m != nil {
		m.scaling.replicas.WithLabelValues().Set(number(n))
	}
}

// RecommendedReplicas says how many runners the sources wish for.
func (m *Metrics) RecommendedReplicas(n int) {
	if m != nil {
		m.scaling.recommended.WithLabelValues().Set(number(n))
	}
}

// Scaled counts a change of the Deployment.
func (m *Metrics) Scaled() {
	if m != nil {
		m.scaling.writes.WithLabelValues().Inc()
	}
}

// ScalingFailed counts a step of scaling that has failed, one of ScalingSteps.
func (m *Metrics) ScalingFailed(step string) {
	if m != nil {
		m.scaling.errors.WithLabelValues(label(step)).Inc()
	}
}
