package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

const (
	// connectTimeout bounds the wait for a source's process that is being restarted.
	connectTimeout = 30 * time.Second
	// claimsTimeout is how long, while draining, a source may take to say that no offer will come any more: it may be
	// waiting for an answer of its remote system.
	claimsTimeout = 10 * time.Second
)

// errSourceGone says that a source could not be asked for the state of things.
var errSourceGone = errors.New("the source does not answer")

// intake takes the jobs of one source: it holds the stream Jobs open, and knows the jobs that run.
type intake struct {
	serving  *serving
	pipeline *Pipeline
	lane     *lane
	logger   hclog.Logger

	// changed wakes the goroutine that owns the stream.
	changed chan struct{}
	tasks   sync.WaitGroup
	// taking ends with undrained, when no more jobs are taken.
	taking    context.Context //nolint:containedctx // others end it
	undrained context.CancelFunc

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
	// adopting is the id of a job that is being taken over; empty for none.
	adopting string
	// offered is the id of a job that is offered and not among jobs yet.
	offered string
	// known and up are what the source has said last of its remote system.
	known, up bool
}

func newIntake(v *serving, p *Pipeline, slots *slots) *intake {
	in := &intake{
		serving: v, pipeline: p, logger: v.Logger.With("pipeline", p.Name, "source", p.Source),
		changed: make(chan struct{}, 1), jobs: map[string]*task{}, connected: make(chan struct{}),
	}
	in.taking, in.undrained = context.WithCancel(context.Background())
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
	in.undrained()
	in.wake()
}

// run takes jobs until the intake is drained and the last job is over.
func (in *intake) run() {
	defer in.tasks.Wait()
	defer in.undrained()
	in.tasks.Go(in.adopt)
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

// finished reports whether there is nothing left to do. A job that is being taken over may become one that runs, and needs the
// stream for its lease. With a stream, the source may still have an offer on its way.
func (in *intake) finished(stream bool) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.drained || len(in.jobs) > 0 || in.adopting != "" {
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
	news := !in.known || in.up != up
	in.known, in.up = true, up
	in.mu.Unlock()
	if up {
		in.hope()
	}
	switch {
	case up && news:
		in.logger.Info("the source is connected")
	case news:
		in.logger.Warn("the source is not connected; it is tried again", "error", why)
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
	ctx, end := context.WithCancelCause(context.Background())
	defer end(nil)
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
	out := &outlet{stream: stream, ctx: ctx, end: end, timeout: sendTimeout}
	if err := out.send(&pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Hello_{Hello: hello}}); err != nil {
		return conn.Explain(ctx, "Jobs", err)
	}
	s := &session{intake: in, conn: conn, stream: stream, outlet: out, messages: make(chan *pluginv1.JobsResponse), broken: make(chan error, 1), renewed: time.Now()}
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
