package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxResults bounds the pairs of outcome and reason of a pipeline. The documented reasons are some forty; a
// processor may bring more.
const maxResults = 100

// startBuckets reach from a pod whose image is there to the longest start_timeout that makes sense.
var startBuckets = []float64{0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600}

// jobMetrics are those of single jobs, beside the kept ones.
type jobMetrics struct {
	results, offers, adopted, left *prometheus.CounterVec
	start                          *prometheus.HistogramVec
	phases                         *phases

	mu sync.Mutex
	// seen are the results that have a series.
	seen map[string]map[[2]string]bool
}

// The outcomes that mean something here.
const (
	outcomeSuccess  = "success"
	outcomeCanceled = "canceled"
)

// failed reports whether somebody has to look at a job with an outcome: one that was canceled was meant to end.
func failed(outcome string) bool { return outcome != outcomeSuccess && outcome != outcomeCanceled }

// JobEnd is how a job has ended.
type JobEnd struct {
	Outcome, Reason string
	// Message says why, without the job's sensitive values. It goes into no metric, as the next two.
	Message string
	// ExitCode is that of the step that decided, nil when there is none.
	ExitCode *int
	// Records is the number of records that the job wrote.
	Records uint64
	// Pending is the time until the job's first step ran, Running from there to the end of the last, Total all of it.
	Pending, Running, Total time.Duration
	// Started: a step ran. Without it, Pending and Running mean nothing.
	Started bool
}

func newJobMetrics(k maker) *jobMetrics {
	return &jobMetrics{
		results: k.counter("job_results_total", "Jobs that have ended, by outcome and reason.", "pipeline", "outcome", "reason"),
		offers:  k.counter("job_offers_total", "Jobs that the source has offered, by what it was answered.", "pipeline", "answer"),
		adopted: k.counter("jobs_adopted_total", "Jobs of runners that are gone that this one has taken over, by what the source said of them.", "pipeline", "answer"),
		left:    k.counter("jobs_left_total", "Jobs in pods that this runner has left to another one, by why.", "pipeline", "why"),
		start:   k.histogram("pod_start_duration_seconds", "Time from a job's start until its first step ran, of jobs in pods.", startBuckets, "pipeline"),
		phases:  newPhases(k),
		seen:    map[string]map[[2]string]bool{},
	}
}

func (j *jobMetrics) watch(p Pipeline) {
	if p.inPods() {
		j.start.WithLabelValues(label(p.Name))
		for _, answer := range []string{"resumed", "unknown"} {
			j.adopted.WithLabelValues(label(p.Name), answer)
		}
		for _, why := range []string{"undelivered", "taken"} {
			j.left.WithLabelValues(label(p.Name), why)
		}
	}
}

// JobStarted counts a job that begins to run.
func (m *Metrics) JobStarted(p Pipeline) {
	if m == nil {
		return
	}
	m.Watch(p)
	m.kept.started.WithLabelValues(label(p.Source)).Inc()
	m.kept.processing.WithLabelValues(label(p.Source)).Inc()
}

// JobFinished counts the end of a job that JobStarted has counted.
func (m *Metrics) JobFinished(p Pipeline, end JobEnd) {
	if m == nil {
		return
	}
	m.Watch(p)
	source, name := label(p.Source), label(p.Name)
	outcome, reason := m.jobs.result(name, label(end.Outcome), label(end.Reason))
	m.kept.processing.WithLabelValues(source).Dec()
	m.kept.finished.WithLabelValues(source, outcome).Inc()
	m.kept.duration.WithLabelValues(source).Observe(end.Total.Seconds())
	m.jobs.results.WithLabelValues(name, outcome, reason).Inc()
	if end.Started && p.inPods() {
		m.jobs.start.WithLabelValues(name).Observe(end.Pending.Seconds())
	}
}

// result returns the labels of a result, within the bound.
func (j *jobMetrics) result(pipeline, outcome, reason string) (string, string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	seen := j.seen[pipeline]
	if seen == nil {
		seen = map[[2]string]bool{}
		j.seen[pipeline] = seen
	}
	pair := [2]string{outcome, reason}
	if !seen[pair] && len(seen) >= maxResults {
		return other, other
	}
	seen[pair] = true
	return outcome, reason
}

// Offer counts a job that the source has offered; the answer is "accepted", "duplicate" or "released".
func (m *Metrics) Offer(p Pipeline, answer string) {
	if m == nil {
		return
	}
	m.Watch(p)
	m.jobs.offers.WithLabelValues(label(p.Name), label(answer)).Inc()
}

// JobAdopted counts a job whose runner is gone and that this one has taken over; the answer of the source is "resumed", or
// "unknown" when it does not know the job any more.
func (m *Metrics) JobAdopted(p Pipeline, answer string) {
	if m == nil {
		return
	}
	m.Watch(p)
	m.jobs.adopted.WithLabelValues(label(p.Name), label(answer)).Inc()
}

// JobLeft counts a job that JobStarted has counted and that is not reported by this runner: why is "undelivered" when the
// source has not taken its log or its result, and "taken" when another runner has taken it over.
func (m *Metrics) JobLeft(p Pipeline, why string) {
	if m == nil {
		return
	}
	m.Watch(p)
	m.kept.processing.WithLabelValues(label(p.Source)).Dec()
	m.jobs.left.WithLabelValues(label(p.Name), label(why)).Inc()
}
