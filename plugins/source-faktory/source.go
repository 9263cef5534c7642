package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/podrunner/runner/plugins/source-faktory/internal/faktory"
	"github.com/podrunner/runner/sdk"
)

var (
	_ sdk.JobSource = (*source)(nil)
	_ sdk.Resumer   = (*source)(nil)
	_ io.Closer     = (*source)(nil)
)

// Counters of follow-up jobs that could not be pushed. Each try counts.
const (
	countFailed      = "jobs_enqueue_failed"
	countBatchFailed = "jobs_enqueue_batch_failed"
)

// spareConnections are those for the fetches and the heartbeat, beside one for each running job.
const spareConnections = 2

// heartbeat is how often a server wants to hear of a worker; after 60 s without it has forgotten the worker.
const heartbeat = 15 * time.Second

// source takes jobs from a Faktory server.
type source struct {
	config *config
	pool   *faktory.Pool
	memory *memory
	beat   time.Duration

	// fetching holds a value while a job is fetched, or pushed that is to be fetched only later.
	fetching chan struct{}

	// intake is that of the open stream, nil when there is none. There is more than one for moments only.
	intake atomic.Pointer[sdk.Intake]

	mu sync.Mutex
	// state is what the server wants of this worker; stopping is closed when that is to take no more jobs.
	state    faktory.State
	stopping chan struct{}
	// noBatches: the server has no batches, and this has been said.
	noBatches bool
}

func connect(_ context.Context, _ string, c config) (*source, error) {
	return newSource(&c), nil
}

func newSource(c *config) *source {
	worker := faktory.Worker{WID: newWID(), Labels: c.Labels}
	return &source{
		config:   c,
		pool:     faktory.NewPool(c.server, worker, 1+spareConnections),
		memory:   newMemory(),
		beat:     heartbeat,
		stopping: make(chan struct{}),
		fetching: make(chan struct{}, 1),
	}
}

// newWID makes the name of a worker, as Faktory's own library does.
func newWID() string { return strconv.FormatInt(rand.Int64(), 32) }

// Take implements sdk.JobSource. It lasts as long as the stream, that is, until the last job is over: so the server hears
// of this worker as long as it has jobs.
func (s *source) Take(ctx context.Context, in *sdk.Intake) error {
	s.intake.Store(in)
	defer s.intake.CompareAndSwap(in, nil)
	in.Count(countFailed, 0)
	in.Count(countBatchFailed, 0)
	s.pool.Limit(max(in.Concurrency(), 1) + spareConnections)
	link := &link{intake: in}
	beaten := make(chan struct{})
	go func() {
		defer close(beaten)
		s.beatUntil(ctx, link)
	}()
	s.fetchUntil(ctx, in, link)
	<-ctx.Done()
	<-beaten
	return nil
}

// Close implements io.Closer.
func (s *source) Close() error { return s.pool.Close() }

// forgetAfter is how long after the end of its reservation a job is of interest: by then Faktory has handed it out again, as
// a rule, and whoever got it has found its pod.
const forgetAfter = 24 * time.Hour

// Resume implements sdk.Resumer. A server takes the end of a job from any worker, so there is nothing to do as long as
// the job's reservation holds. When it does not, the server hands the job out again, and what has become of it so far is for
// whoever gets it then: that it can't be gone on with now is an error, since it is not unknown.
func (s *source) Resume(_ context.Context, job sdk.JobKey, data []byte) (sdk.Offer, bool, error) {
	h, err := decodeHandle(data)
	if err != nil {
		return sdk.Offer{}, false, err
	}
	switch over := time.Since(h.Reserved); {
	case over >= forgetAfter:
		return sdk.Offer{}, false, nil
	case over >= 0:
		return sdk.Offer{}, false, fmt.Errorf("the reservation of the job %s ended at %s; it is gone on with when Faktory hands it out again",
			h.JID, h.Reserved.UTC().Format(time.RFC3339))
	}
	s.memory.with(h, job.ID, func(*running) {})
	return sdk.Offer{Deadline: h.Reserved.Add(-maxMargin)}, true, nil
}

// count adds to a counter, when there is somebody who counts.
func (s *source) count(name string) {
	if in := s.intake.Load(); in != nil {
		in.Count(name, 1)
	}
}

// isType reports whether jobs of a type are taken.
func (s *source) isType(name string) bool { return slices.Contains(s.config.JobTypes, name) }

// link tells core whether the server can be reached, when that changes.
type link struct {
	intake *sdk.Intake
	// drained: core has been told that the server wants this worker to end.
	drained bool

	mu sync.Mutex
	// up counts once known is true.
	known, up bool
}

// report takes the outcome of a command.
func (l *link) report(err error) {
	if _, refused := faktory.Refused(err); err == nil || refused {
		l.set(true, "")
		return
	}
	l.set(false, err.Error())
}

func (l *link) set(up bool, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known && l.up == up {
		return
	}
	l.known, l.up = true, up
	if up {
		l.intake.Connected()
		return
	}
	l.intake.Disconnected(message)
}
