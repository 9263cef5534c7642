package telemetry

import (
	"errors"
	"fmt"
	"regexp"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxSourceCounters bounds the counters that sources bring, beside the kept ones: each is a metric of its own.
	maxSourceCounters = 32
	// maxRefusals bounds the names that are remembered so that each is told of once.
	maxRefusals = 32
)

// counterName is what the name of a source's counter may be: a part of a metric's name.
var counterName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// seriesOfHistogram is a name that may be taken by a histogram's series. The registry does not see that; it would fail
// with each scrape.
var seriesOfHistogram = regexp.MustCompile(`_(bucket|count|sum)$`)

// sourceMetrics are the counters that sources bring.
type sourceMetrics struct {
	mu       sync.Mutex
	counters map[string]*prometheus.CounterVec
	refused  map[string]bool
}

func newSourceMetrics() *sourceMetrics {
	return &sourceMetrics{counters: map[string]*prometheus.CounterVec{}, refused: map[string]bool{}}
}

// SourceCount adds n to a counter of the pipeline's source. A counter that opslevel-runner had is that one; any other is
// made when it is first counted. An error says why a name is not taken, once for each name and for a few names only:
// it is for the log. Nothing is counted then.
func (m *Metrics) SourceCount(p Pipeline, name string, n uint64) error {
	if m == nil {
		return nil
	}
	m.Watch(p)
	vec, err := m.sourceCounter(name)
	if vec != nil {
		vec.WithLabelValues(label(p.Source)).Add(float64(n))
	}
	return err
}

// sourceCounter returns the counter of a name; nil when there is none, with an error when that is to be told.
func (m *Metrics) sourceCounter(name string) (*prometheus.CounterVec, error) {
	switch name {
	case "jobs_enqueue_failed":
		return m.kept.enqueueFailed, nil
	case "jobs_enqueue_batch_failed":
		return m.kept.enqueueBatchFail, nil
	}
	s := m.sources
	s.mu.Lock()
	defer s.mu.Unlock()
	if vec := s.counters[name]; vec != nil {
		return vec, nil
	}
	if !counterName.MatchString(name) {
		return nil, s.refuse(name, errors.New("it is made of 1 to 63 lower-case letters, digits and underscores, a letter first"))
	}
	if seriesOfHistogram.MatchString(name) {
		return nil, s.refuse(name, errors.New("_bucket, _count and _sum are how the series of a histogram end; a counter's name ends with _total"))
	}
	if len(s.counters) >= maxSourceCounters {
		return nil, s.refuse(name, fmt.Errorf("there are %d counters of sources already", maxSourceCounters))
	}
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: m.namespace, Name: name, Help: "A counter of the source's own."}, []string{"runner"})
	if err := m.registry.Register(vec); err != nil {
		return nil, s.refuse(name, errors.New("it is the name of a metric of the runner's own"))
	}
	s.counters[name] = vec
	return vec, nil
}

func (s *sourceMetrics) refuse(name string, why error) error {
	name = label(name)
	if s.refused[name] || len(s.refused) >= maxRefusals {
		return nil
	}
	s.refused[name] = true
	return fmt.Errorf("the source's counter %q is not counted: %w", name, why)
}
