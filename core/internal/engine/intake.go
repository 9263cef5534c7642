package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/podrunner/runner/core/internal/job"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

const (
	// connectTimeout bounds the wait for a source's process that is being restarted.
	connectTimeout = 30 * time.Second
	// claimsTimeout is how long, while draining, a source may take to say that no offer will come any more: it may be
	// waiting for an answer of its remote system.
	claimsTimeout = 10 * time.Second
	// closeStreamTimeout bounds the end of a stream that core has closed.
	closeStreamTimeout = 5 * time.Second
)

// intake takes the jobs of one source: it holds the stream Jobs open, and knows the jobs that run.
type intake struct {
	serving  *serving
	pipeline *Pipeline
	lane     *lane
	logger   hclog.Logger

	// changed wakes the goroutine that owns the stream.
	changed chan struct{}
	tasks   sync.WaitGroup

	mu sync.Mutex
	// jobs are those that run, by id.
	jobs map[string]*task
	// outbox is what is to be sent.
	outbox []*pluginv1.JobsRequest
	// drained is set when no more jobs are taken; deadline is when the source's claims are waited for no longer.
	drained  bool
	deadline time.Time
	// connected is closed, and made anew, whenever there is news that the source may work again.
	connected chan struct{}
	// up is what the source has said last of its remote system.
	up bool
}

func newIntake(v *serving, p *Pipeline, slots *slots) *intake {
	in := &intake{
		serving: v, pipeline: p, logger: v.Logger.With("pipeline", p.Name, "source", p.Source),
		changed: make(chan struct{}, 1), jobs: map[string]*task{}, connected: make(chan struct{}),
	}
	most := p.Concurrency
	if most == 0 {
		most = v.Concurrency
	}
	in.lane = slots.lane(most, in.wake)
	v.Health.Declare(in.healthName())
	v.Metrics.Watch(p.labels())
	return in
}

func (in *intake) healthName() string {
	return "source " + in.pipeline.Source + " of " + in.pipeline.Name
}

// wake has the stream's goroutine look at what has changed.
func (in *intake) wake() {
	select {
	case in.changed <- struct{}{}:
	default:
	}
}

// drain takes no more jobs.
func (in *intake) drain() {
	in.mu.Lock()
	if !in.drained {
		in.drained, in.deadline = true, time.Now().Add(claimsTimeout)
	}
	in.mu.Unlock()
	in.lane.drain()
	in.wake()
}

// run takes jobs until the intake is drained and the last job is over.
func (in *intake) run() {
	defer in.tasks.Wait()
	var wait backoff
	for !in.finished(false) {
		begun := time.Now()
		err := in.session()
		if in.finished(false) {
			return
		}
		in.lost(err)
		if time.Since(begun) > time.Minute {
			wait = backoff{}
		}
		if !in.pause(wait.next()) {
			return
		}
	}
}

// pause waits before the next stream; false when there is no need for one.
func (in *intake) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return true
		case <-in.changed:
			if in.finished(false) {
				return false
			}
		}
	}
}

// finished reports whether there is nothing left to do. With a stream, the source may still have an offer on its way.
func (in *intake) finished(stream bool) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.drained || len(in.jobs) > 0 {
		return false
	}
	return !stream || len(in.outbox) == 0 && (!in.lane.pending() || time.Now().After(in.deadline))
}

// lost tells of a stream that has ended before its time.
func (in *intake) lost(err error) {
	if err == nil {
		err = errSourceGone
	}
	in.logger.Error("lost the source; its jobs go on", "error", err, "jobs", len(in.running()))
	in.status(false, err.Error())
}

// status takes over whether the remote system can be reached.
func (in *intake) status(up bool, why string) {
	in.serving.Metrics.SourceConnected(in.pipeline.labels(), up)
	var err error
	if !up {
		err = errors.New(why)
	}
	in.serving.Health.Set(in.healthName(), err)
	in.mu.Lock()
	was := in.up
	in.up = up
	in.mu.Unlock()
	if up {
		in.hope()
	}
	switch {
	case up && !was:
		in.logger.Info("the source is connected")
	case !up && was:
		in.logger.Warn("the source is not connected", "error", why)
	}
}

// hope wakes those who wait to try again.
func (in *intake) hope() {
	in.mu.Lock()
	defer in.mu.Unlock()
	close(in.connected)
	in.connected = make(chan struct{})
}

// news is closed when there is reason to try again.
func (in *intake) news() <-chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.connected
}

// running returns the keys of the jobs that run.
func (in *intake) running() []*pluginv1.JobKey {
	in.mu.Lock()
	defer in.mu.Unlock()
	keys := make([]*pluginv1.JobKey, 0, len(in.jobs))
	for _, t := range in.jobs {
		keys = append(keys, t.key())
	}
	return keys
}

// session is one stream. nil: it was ended by core, since all is over.
func (in *intake) session() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	connecting, stop := context.WithTimeout(ctx, connectTimeout)
	defer stop()
	go func() { // what is over needs no process
		for in.pauseUntilChanged(connecting) {
			if in.finished(false) {
				stop()
				return
			}
		}
	}()
	conn, err := in.pipeline.Connector.Connect(connecting)
	stop()
	if err != nil {
		return err
	}
	stream, err := conn.Client().Jobs(ctx)
	if err != nil {
		return conn.Explain(ctx, "Jobs", err)
	}
	hello := &pluginv1.JobsRequest_Hello{Runner: in.serving.Runner, Concurrency: uint32(in.lane.most), Running: in.running()} //nolint:gosec // at most 1000
	if err := stream.Send(&pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Hello_{Hello: hello}}); err != nil {
		return conn.Explain(ctx, "Jobs", err)
	}
	s := &session{intake: in, conn: conn, stream: stream, messages: make(chan *pluginv1.JobsResponse), broken: make(chan error, 1)}
	go s.receive(ctx)
	in.lane.opened()
	defer in.lane.closed()
	in.hope()
	return s.run(ctx)
}

// pauseUntilChanged waits for a wake-up, and reports false when ctx has ended. The wake-up is given on, as the stream's
// goroutine has to see it, too.
func (in *intake) pauseUntilChanged(ctx context.Context) bool {
	select {
	case <-in.changed:
		return true
	case <-ctx.Done():
		in.wake()
		return false
	}
}

// session is an open stream.
type session struct {
	*intake
	conn     SourceConnection
	stream   pluginv1.Source_JobsClient
	messages chan *pluginv1.JobsResponse
	broken   chan error
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

// run owns the stream: everything that is sent is sent here.
func (s *session) run(ctx context.Context) error {
	renew := time.NewTimer(time.Hour)
	defer renew.Stop()
	for {
		if err := s.send(); err != nil {
			return s.conn.Explain(ctx, "Jobs", err)
		}
		if s.finished(true) {
			return s.close()
		}
		if wait, due := s.lease(); due {
			renew.Reset(wait)
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
		if err := s.stream.Send(m); err != nil {
			return s.sendError(err)
		}
	}
	credit := s.lane.credit()
	if credit == nil {
		return nil
	}
	running, granted := s.lane.state()
	s.serving.Metrics.Slots(s.pipeline.labels(), running, granted)
	if err := s.stream.Send(&pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Credit_{Credit: credit}}); err != nil {
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
	running := s.jobs[o.job.ID]
	s.mu.Unlock()
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

// release says that an offer leads to no job.
func (in *intake) release(o *offer, disposition pluginv1.Disposition, message string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.outbox = append(in.outbox, &pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Release_{Release: &pluginv1.JobsRequest_Release{
		Job: o.key(), Disposition: disposition, Message: message, Handle: o.handle,
	}}})
}

// over forgets a job.
func (in *intake) over(t *task) {
	in.mu.Lock()
	delete(in.jobs, t.job.ID)
	in.mu.Unlock()
	in.wake()
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

// call is one call of the source about a job, as often as it takes: until it works, until give says that it is given up,
// or ctx ends. It returns the last error.
func (in *intake) call(ctx context.Context, name string, try func(ctx context.Context, client pluginv1.SourceClient) error, failed func(error) (goOn bool)) error {
	var wait backoff
	for {
		news := in.news()
		err := in.callOnce(ctx, name, try)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w (last answer of the source: %w)", context.Cause(ctx), err)
		}
		if !failed(err) {
			return err
		}
		if !wait.wait(ctx, news) {
			return fmt.Errorf("%w (last answer of the source: %w)", context.Cause(ctx), err)
		}
	}
}

// callTimeout bounds one call of a source.
const callTimeout = 30 * time.Second

func (in *intake) callOnce(ctx context.Context, name string, try func(ctx context.Context, client pluginv1.SourceClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := in.pipeline.Connector.Connect(ctx)
	if err != nil {
		return err
	}
	if err := try(ctx, conn.Client()); err != nil {
		return conn.Explain(ctx, name, err)
	}
	conn.Progress()
	return nil
}
