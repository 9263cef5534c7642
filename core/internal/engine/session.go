package engine

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/podrunner/runner/core/internal/job"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// closeStreamTimeout bounds the end of a stream that core has closed.
const closeStreamTimeout = 5 * time.Second

// session is an open stream.
type session struct {
	*intake
	conn     SourceConnection
	stream   pluginv1.Source_JobsClient
	outlet   *outlet
	messages chan *pluginv1.JobsResponse
	broken   chan error
	// renewed is when leases were last renewed.
	renewed time.Time
}

// receive hands on what the source says.
func (s *session) receive(ctx context.Context) {
	for {
		m, err := s.stream.Recv()
		if err != nil {
			s.broken <- err
			return
		}
		select {
		case s.messages <- m:
		case <-ctx.Done():
			s.broken <- ctx.Err()
			return
		}
	}
}

// run owns the stream and its outlet: everything that is sent is sent here.
func (s *session) run(ctx context.Context) error {
	renew := time.NewTimer(time.Hour)
	defer renew.Stop()
	for {
		if err := s.send(); errors.As(err, new(*unreadError)) {
			return err
		} else if err != nil {
			return s.conn.Explain(ctx, "Jobs", err)
		}
		if s.finished(true) {
			return s.close()
		}
		if wait, due := s.lease(); due {
			renew.Reset(max(0, time.Until(s.renewed.Add(wait)))) // other events do not put it off
		}
		var late <-chan time.Time
		if wait := s.claimsWait(); wait > 0 {
			late = time.After(wait)
		}
		select {
		case m := <-s.messages:
			s.handle(m)
		case err := <-s.broken:
			if errors.Is(err, io.EOF) {
				return errors.New("the source has ended the stream Jobs")
			}
			return s.conn.Explain(ctx, "Jobs", err)
		case <-s.changed:
		case <-late:
		case <-renew.C:
			s.renew()
		}
	}
}

// claimsWait is how long the source's claims are still waited for while draining; 0: they are not.
func (s *session) claimsWait() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.drained {
		return 0
	}
	return max(0, time.Until(s.deadline))
}

// send sends what is due.
func (s *session) send() error {
	s.mu.Lock()
	out := s.outbox
	s.outbox = nil
	s.mu.Unlock()
	// What is said of jobs comes first: a source that gets a Credit knows what has become of its offers.
	for _, m := range out {
		if err := s.outlet.send(m); err != nil {
			return s.sendError(err)
		}
	}
	credit := s.lane.credit()
	running, granted := s.lane.state()
	s.serving.Metrics.Slots(s.pipeline.labels(), running, granted)
	if credit == nil {
		return nil
	}
	if err := s.outlet.send(&pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Credit_{Credit: credit}}); err != nil {
		return s.sendError(err)
	}
	return nil
}

// sendError is the stream's own error: Send only says that there is one.
func (s *session) sendError(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	select {
	case err = <-s.broken:
	case <-time.After(closeStreamTimeout):
	}
	return err
}

// close ends the stream in order.
func (s *session) close() error {
	_ = s.stream.CloseSend() // what is broken is closed
	timer := time.NewTimer(closeStreamTimeout)
	defer timer.Stop()
	for {
		select {
		case m := <-s.messages:
			s.handle(m)
		case <-s.broken: //nolint:errcheck // it is over either way
			return nil
		case <-timer.C:
			s.logger.Warn("the source did not end the stream Jobs in time")
			return nil
		}
	}
}

func (s *session) handle(m *pluginv1.JobsResponse) {
	switch m := m.Message.(type) {
	case *pluginv1.JobsResponse_Offer_:
		s.offer(offerOf(m.Offer))
	case *pluginv1.JobsResponse_Claims_:
		s.lane.claims(m.Claims)
	case *pluginv1.JobsResponse_Cancel_:
		s.cancel(m.Cancel)
	case *pluginv1.JobsResponse_Status_:
		s.status(m.Status.GetConnected(), m.Status.GetMessage())
	case *pluginv1.JobsResponse_Drain_:
		s.logger.Info("the source asks for no more jobs to be taken", "message", m.Drain.GetMessage())
		s.drain()
	case *pluginv1.JobsResponse_Count_:
		if err := s.serving.Metrics.SourceCount(s.pipeline.labels(), m.Count.GetName(), m.Count.GetAdd()); err != nil {
			s.logger.Warn("a counter of the source is not kept", "error", err)
		}
	}
}

// offer answers an offer, and begins its job.
func (s *session) offer(o *offer) {
	labels := s.pipeline.labels()
	if wrong := o.wrong(); wrong != "" {
		s.lane.offered(false)
		s.serving.Metrics.Offer(labels, "released")
		s.logger.Error("the source has offered something that is no job", "job", o.job.ID, "error", wrong)
		s.release(o, pluginv1.Disposition_DISPOSITION_RETURN, "the runner can't take the job: "+wrong)
		return
	}
	s.mu.Lock()
	running, adopting := s.jobs[o.job.ID], s.adopting == o.job.ID
	s.offered = o.job.ID
	s.mu.Unlock()
	defer s.unoffer()
	if adopting {
		s.lane.offered(false)
		s.serving.Metrics.Offer(labels, "duplicate")
		s.logger.Info("the source has offered a job that is just being taken over; it goes on", "job", o.job.ID, "attempt", o.job.Attempt)
		s.release(o, pluginv1.Disposition_DISPOSITION_DUPLICATE, "the job runs already, and is just being taken over")
		return
	}
	if running != nil {
		s.lane.offered(false)
		s.serving.Metrics.Offer(labels, "duplicate")
		s.logger.Warn("the source has offered a job that runs already; it does not run twice",
			"job", o.job.ID, "attempt", o.job.Attempt, "running_attempt", running.job.Attempt)
		s.release(o, pluginv1.Disposition_DISPOSITION_DUPLICATE, "the job runs already")
		return
	}
	if !s.lane.offered(true) {
		s.serving.Metrics.Offer(labels, "released")
		s.logger.Error("the source has offered a job without credit", "job", o.job.ID)
		s.release(o, pluginv1.Disposition_DISPOSITION_RETURN, "the runner has no slot for the job")
		return
	}
	s.serving.Metrics.Offer(labels, "accepted")
	s.conn.Progress()
	t := newTask(s.intake, o)
	s.mu.Lock()
	s.jobs[o.job.ID] = t
	s.outbox = append(s.outbox, &pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Accept_{Accept: &pluginv1.JobsRequest_Accept{Job: o.key()}}})
	s.mu.Unlock()
	s.tasks.Go(t.run)
}

// unoffer says that an offer has been answered.
func (s *session) unoffer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offered = ""
}

func (s *session) cancel(m *pluginv1.JobsResponse_Cancel) {
	s.mu.Lock()
	t := s.jobs[m.GetJob().GetId()]
	s.mu.Unlock()
	if t == nil || t.job.Attempt != int(m.GetJob().GetAttempt()) {
		return // it is over by now
	}
	message := "the source has canceled the job"
	if m.GetMessage() != "" {
		message += ": " + m.GetMessage()
	}
	t.logger.Info("the source cancels the job", "message", m.GetMessage())
	t.end(&End{Outcome: job.Canceled, Reason: job.ReasonCanceled, Message: message})
}

// lease returns how long the next Renew can wait: a third of the shortest lease, so that one may be late.
func (s *session) lease() (wait time.Duration, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.jobs {
		if t.lease > 0 && (!due || t.lease/3 < wait) {
			wait, due = t.lease/3, true
		}
	}
	return wait, due
}

func (s *session) renew() {
	s.renewed = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []*pluginv1.JobKey
	for _, t := range s.jobs {
		if t.lease > 0 {
			keys = append(keys, t.key())
		}
	}
	if len(keys) > 0 {
		s.outbox = append(s.outbox, &pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Renew_{Renew: &pluginv1.JobsRequest_Renew{Jobs: keys}}})
	}
}
