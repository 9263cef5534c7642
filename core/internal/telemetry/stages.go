package telemetry

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// The values of the label `direction`.
const (
	in  = "in"
	out = "out"
)

// stageMetrics are those of the log on its way. Its counters are found once for each stage: they are asked for with each
// batch, and to find them by their labels costs more.
type stageMetrics struct {
	records, bytes *prometheus.CounterVec

	mu    sync.RWMutex
	known map[stageKey]stageCounters
}

// stageKey is one side of a stage.
type stageKey struct{ pipeline, stage, direction string }

type stageCounters struct{ records, bytes prometheus.Counter }

func newStageMetrics(k maker) *stageMetrics {
	return &stageMetrics{
		records: k.counter("log_records_total", "Records of logs that have come into a stage, or out of it.", "pipeline", "stage", "direction"),
		bytes:   k.counter("log_bytes_total", "Bytes of the texts of these records.", "pipeline", "stage", "direction"),
		known:   map[stageKey]stageCounters{},
	}
}

// of returns the counters of one side of a stage.
func (s *stageMetrics) of(key stageKey) stageCounters {
	s.mu.RLock()
	c, ok := s.known[key]
	s.mu.RUnlock()
	if ok {
		return c
	}
	labels := []string{label(key.pipeline), label(key.stage), key.direction}
	c = stageCounters{records: s.records.WithLabelValues(labels...), bytes: s.bytes.WithLabelValues(labels...)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[key] = c
	return c
}

// StageIn counts what has come into a stage: the name of a processor, or "deliver".
func (m *Metrics) StageIn(p Pipeline, stage string, records, bytes int) {
	if m != nil {
		m.stages.of(stageKey{p.Name, stage, in}).add(records, bytes)
	}
}

// StageOut counts what has come out of a stage: the name of a processor, or "job" for what the job has written. What
// comes out of "deliver" is what Delivered counts.
func (m *Metrics) StageOut(p Pipeline, stage string, records, bytes int) {
	if m != nil {
		m.stages.of(stageKey{p.Name, stage, out}).add(records, bytes)
	}
}

func (c stageCounters) add(records, bytes int) {
	c.records.Add(number(records))
	c.bytes.Add(number(bytes))
}
