package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/record"
	"github.com/podrunner/runner/core/internal/spool"
)

// place is where Next is. Nobody waits while they hold its lock: an Ack makes the room that a job, and so Next, waits for.
type place struct {
	mu   sync.Mutex
	at   int    // the step that is read
	base uint64 // records of the steps before
	// hole are records that were not read because they are kept no longer; base counts them, too.
	hole executor.Hole
	// delivered is what has been acknowledged, progress what Note has told; noting says that both will be noted on the pod.
	delivered uint64
	progress  *executor.Progress
	noting    bool
	// noted is when that was done last, unnoted counts bytes read since then.
	noted   time.Time
	unnoted int64
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
		r.passHole(s)
		batch, err := s.follower.Next(both)
		s.evidence.Read = s.follower.Tally()
		switch {
		case err == nil:
			if !s.evidence.Ran {
				s.evidence.Ran = true
				r.meet(s.name)
			}
			r.hurryNote(spool.BatchBytes(batch))
			return s.untorn(batch), nil
		case errors.As(err, new(*spool.ReleasedError)) && r.takeUp(s):
		case errors.Is(err, io.EOF):
			s.evidence.Ran = true
			exit, ok := s.follower.Exit()
			if !ok { // an end is no evidence of a good one
				return nil, r.endLog()
			}
			s.evidence.Exit = &exit
			if s.evidence.Partial { // it may have been taken up behind its end
				s.evidence.Read.Records = min(s.evidence.Read.Records, exit.Records)
			}
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

// meet takes note that the helper has been heard: a step runs, or has run.
func (r *run) meet(step string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.met, r.printed[step] = true, true
}

// takeUp has a step that another process has read, and whose first records are kept no longer, read from where that one has
// delivered it to. It returns false when that is not known, or was tried.
func (r *run) takeUp(s *stepRun) bool {
	r.mu.Lock()
	noted := r.noted
	r.mu.Unlock()
	r.place.mu.Lock()
	defer r.place.mu.Unlock()
	if s.evidence.Partial || s.evidence.Read.Records > 0 || noted.Records <= r.place.base {
		return false
	}
	r.place.hole = executor.Hole{After: r.place.base, Records: noted.Records - r.place.base, At: noted.At}
	s.takeUp(r.place.hole.Records)
	return true
}

// passHole has a step read behind the hole, when that reaches into it from the step before.
func (r *run) passHole(s *stepRun) {
	if end := r.place.hole.After + r.place.hole.Records; !s.evidence.Partial && end > r.place.base {
		s.takeUp(end - r.place.base)
	}
}

// takeUp has the step read behind its first records.
func (s *stepRun) takeUp(behind uint64) {
	s.evidence.Partial = true
	s.follower.From(behind)
}

// untorn returns a batch without the texts of an outcome file of which the beginning is missing: what was a part of a value
// must not be taken for a variable. Empty lines mean nothing there, and the records still count.
func (s *stepRun) untorn(batch *record.Batch) *record.Batch {
	if !s.begun {
		s.begun = true
		s.torn = s.evidence.Partial && record.Outcome.In(batch.Flags[:1])
	}
	if !s.torn {
		return batch
	}
	empty := *batch
	empty.Data, empty.Ends, empty.Flags = nil, make([]uint32, batch.Len()), bytes.Repeat([]byte{byte(record.Outcome)}, batch.Len())
	return &empty
}

// Missing implements executor.Lasting.
func (r *run) Missing() executor.Hole {
	r.place.mu.Lock()
	defer r.place.mu.Unlock()
	return r.place.hole
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
	n = p.hole.Number(n)
	p.delivered = max(p.delivered, n)
	if n >= p.base { // what is delivered together may be of several steps
		for _, s := range r.steps[:p.at] {
			r.client.Ack(s.name, s.evidence.Read.Records)
		}
	}
	if p.at < len(r.steps) && n > p.base {
		r.client.Ack(r.steps[p.at].name, n-p.base)
	}
	r.note()
}

// Note implements executor.Lasting.
func (r *run) Note(progress executor.Progress) {
	r.place.mu.Lock()
	defer r.place.mu.Unlock()
	progress.Records = r.place.hole.Number(progress.Records)
	r.place.progress = &progress
	r.note()
}

// note has what has been delivered noted on the pod. The caller holds the lock.
func (r *run) note() {
	if !r.place.noting {
		r.place.noting = true
		r.start(r.noteDelivered)
	}
}

const (
	// noteSoonest and noteLatest bound the time between two notes of what has been delivered. What is not noted is delivered
	// again by a runner that takes the job over.
	noteSoonest = time.Second
	noteLatest  = 10 * time.Second
	// noteShare is the part of the calls that the API server is to get at most (qps) which notes may make up.
	noteShare = 4
)

// noteInterval is how often one run notes what has been delivered, when many run and all of them do.
func (e *Executor) noteInterval() time.Duration {
	all := time.Duration(e.pods.runs()*noteShare) * time.Second / time.Duration(e.opts.Settings.QPS)
	return min(max(all, noteSoonest), noteLatest)
}

// hurryNote takes note of bytes of the spool that were read. The helper keeps a part of the spool that core needs no longer; an eighth of
// it is a reason to note soon what has been delivered, so that what the helper forgets has been noted.
func (r *run) hurryNote(bytes int) {
	r.place.mu.Lock()
	r.place.unnoted += int64(bytes)
	hurry := r.place.unnoted > r.e.opts.Settings.SpoolSize/keptPart/8
	r.place.mu.Unlock()
	if hurry {
		select {
		case r.hurry <- struct{}{}:
		default:
		}
	}
}

// noteDelivered notes on the pod what has been delivered by then.
func (r *run) noteDelivered() {
	r.place.mu.Lock()
	last := r.place.noted
	r.place.mu.Unlock()
	timer := time.NewTimer(time.Until(last.Add(noteSoonest)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.life.Done():
		return
	}
	timer.Reset(time.Until(last.Add(r.e.noteInterval())))
	select {
	case <-timer.C:
	case <-r.hurry:
	case <-r.life.Done():
		return
	}
	// One note at a time: an older one must not come after a newer one, or what was delivered in between is delivered again.
	r.noteTurn.Lock()
	defer r.noteTurn.Unlock()
	r.place.mu.Lock()
	r.place.noting, r.place.unnoted, r.place.noted = false, 0, time.Now()
	r.place.mu.Unlock()
	ctx, cancel := context.WithTimeout(r.life, callTimeout)
	defer cancel()
	err := r.change(ctx, r.progress())
	if err != nil && r.life.Err() == nil {
		r.e.opts.Logger.Debug("what has been delivered could not be noted on the pod", "pod", r.objects.name, "error", err)
	}
}

// progress is what there is to be noted on the pod of the delivery.
func (r *run) progress() map[string]string {
	r.place.mu.Lock()
	defer r.place.mu.Unlock()
	annotations := map[string]string{annotationDelivered: strconv.FormatUint(r.place.delivered, 10)}
	if r.place.progress != nil {
		text, _ := json.Marshal(r.place.progress) // numbers alone
		annotations[annotationProgress] = string(text)
	}
	return annotations
}
