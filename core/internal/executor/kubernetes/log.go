package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/record"
	"github.com/podrunner/runner/core/internal/spool"
)

// place is where Next is. Nobody waits while they hold its lock: an Ack makes the room that a job, and so Next, waits for.
type place struct {
	mu   sync.Mutex
	at   int    // the step that is read
	base uint64 // records of the steps before
	// delivered is what has been acknowledged; noting says that it will be noted on the pod.
	delivered uint64
	noting    bool
}

// Next implements executor.Run. The end of a log that has no exit record is the end, too: Result tells the rest.
func (r *run) Next(ctx context.Context) (*record.Batch, error) {
	select {
	case <-r.ready:
	case <-r.over:
		// Where there is something to read it is read, until drained ends.
		select {
		case <-r.ready:
		default:
			return nil, io.EOF
		}
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the job's pod: %w", context.Cause(ctx))
	}
	r.reading.Lock()
	defer r.reading.Unlock()
	both, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(r.drained, func() { cancel(context.Cause(r.drained)) })
	defer stop()
	for r.place.at < len(r.steps) {
		s := r.steps[r.place.at]
		batch, err := s.follower.Next(both)
		s.evidence.Read = s.follower.Tally()
		switch {
		case err == nil:
			s.evidence.Ran = true
			return batch, nil
		case errors.Is(err, io.EOF):
			s.evidence.Ran = true
			exit, ok := s.follower.Exit()
			if !ok { // an end is no evidence of a good one
				return nil, r.endLog()
			}
			s.evidence.Exit = &exit
			r.nextStep(s.evidence.Read.Records)
		case errors.Is(err, agent.ErrSkipped):
			r.nextStep(0)
		case errors.Is(err, spool.ErrNoExit):
			s.evidence.Ran = true
			return nil, r.endLog()
		case ctx.Err() != nil:
			return nil, fmt.Errorf("read the log of step %q: %w", s.name, context.Cause(ctx))
		case r.drained.Err() != nil:
			s.evidence.Ran = s.evidence.Ran || s.evidence.Read.Records > 0
			return nil, r.endLog()
		default:
			s.evidence.Ran = true // as far as is known
			_ = r.endLog()        // Result is not to wait for more
			return nil, fmt.Errorf("read the log of step %q: %w", s.name, err)
		}
	}
	return nil, r.endLog()
}

// endLog says that the log has been read as far as it goes.
func (r *run) endLog() error {
	select {
	case <-r.logged:
	default:
		close(r.logged)
	}
	return io.EOF
}

// nextStep goes on to the next step after one of so many records.
func (r *run) nextStep(records uint64) {
	r.place.mu.Lock()
	defer r.place.mu.Unlock()
	r.place.base += records
	r.place.at++
}

// Ack implements executor.Run.
func (r *run) Ack(n uint64) {
	select {
	case <-r.ready:
	default:
		return // nothing has been read
	}
	r.place.mu.Lock()
	defer r.place.mu.Unlock()
	p := &r.place
	p.delivered = max(p.delivered, n)
	switch {
	case p.at < len(r.steps) && n > p.base:
		r.client.Ack(r.steps[p.at].name, n-p.base)
	case p.at > 0 && n == p.base:
		last := r.steps[p.at-1]
		r.client.Ack(last.name, last.evidence.Read.Records)
	}
	if !p.noting {
		p.noting = true
		r.start(r.noteDelivered)
	}
}

// noteInterval is how often, at most, what has been delivered is noted on the pod: often enough for a runner that takes the
// job over, rarely enough for the API server when a thousand jobs run.
const noteInterval = 10 * time.Second

// noteDelivered notes on the pod what has been delivered by then.
func (r *run) noteDelivered() {
	timer := time.NewTimer(noteInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.life.Done():
		return
	}
	r.place.mu.Lock()
	n := r.place.delivered
	r.place.noting = false
	r.place.mu.Unlock()
	ctx, cancel := context.WithTimeout(r.life, callTimeout)
	defer cancel()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"%d"}}}`, annotationDelivered, n)
	_, err := r.e.client.CoreV1().Pods(r.e.namespace).Patch(ctx, r.objects.name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil && r.life.Err() == nil {
		r.e.opts.Logger.Debug("what has been delivered could not be noted on the pod", "pod", r.objects.name, "error", err)
	}
}
