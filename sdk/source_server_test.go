package sdk

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// handing is a source that offers what comes on jobs, and calls released.
type handing struct {
	jobs     chan Offer
	released func(Release)
}

func (h *handing) Take(ctx context.Context, in *Intake) error {
	for {
		claim, err := in.Claim(ctx)
		if err != nil {
			return nil //nolint:nilerr // the context has ended
		}
		select {
		case o := <-h.jobs:
			if err := claim.Offer(o); err != nil {
				return err
			}
		case <-ctx.Done():
			claim.Drop()
			return nil
		}
	}
}

func (h *handing) Released(_ context.Context, r Release) error {
	h.released(r)
	return nil
}

func (*handing) AppendLogs(context.Context, Logs) ([]RefusedLines, error) { return nil, nil }
func (*handing) Report(context.Context, Report) error                     { return nil }

// coreSide is core, as far as a source sees it.
type coreSide struct {
	t      *testing.T
	source pluginv1.SourceClient
	plugin pluginv1.PluginClient
}

func serveHanding(t *testing.T, h *handing) *coreSide {
	t.Helper()
	plugin := Plugin{Name: "handing", Source: Jobs(func(context.Context, string, struct{}) (*handing, error) { return h, nil })}
	server, err := newServer(plugin, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	grpcServer, listener := server.newGRPC(nil), bufconn.Listen(1<<20)
	server.register(grpcServer)
	done := make(chan error, 1)
	go func() { done <- grpcServer.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		grpcServer.Stop()
		<-done //nolint:errcheck // it was stopped
	})
	c := &coreSide{t, pluginv1.NewSourceClient(conn), pluginv1.NewPluginClient(conn)}
	if _, err := c.plugin.Configure(t.Context(), &pluginv1.ConfigureRequest{ConfigJson: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	return c
}

// coreStream is an open stream of jobs. It never says Accept by itself.
type coreStream struct {
	t *testing.T
	grpc.BidiStreamingClient[pluginv1.JobsRequest, pluginv1.JobsResponse]
	// end breaks the stream.
	end func()
	// credits and seen are those of the stream.
	credits, seen uint64
}

func (c *coreSide) open(running ...*pluginv1.JobKey) *coreStream {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	c.t.Cleanup(cancel)
	stream, err := c.source.Jobs(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	s := &coreStream{t: c.t, BidiStreamingClient: stream, end: cancel}
	s.say(&pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Hello_{Hello: &pluginv1.JobsRequest_Hello{Runner: "r", Concurrency: 3, Running: running}}})
	return s
}

func (s *coreStream) say(m *pluginv1.JobsRequest) {
	s.t.Helper()
	if err := s.Send(m); err != nil {
		s.t.Fatal(err)
	}
}

// grant grants credit, and returns the ids that are offered before the source answers.
func (s *coreStream) grant(slots uint32) (offered []string) {
	s.t.Helper()
	s.credits++
	s.say(&pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Credit_{Credit: &pluginv1.JobsRequest_Credit{
		Slots: slots, OffersSeen: s.seen, Number: s.credits,
	}}})
	for {
		m, err := s.Recv()
		if err != nil {
			s.t.Fatal(err)
		}
		if o := m.GetOffer(); o != nil {
			s.seen++
			offered = append(offered, o.GetJob().GetKey().GetId())
		}
		if claims := m.GetClaims(); claims != nil && claims.GetCredit() == s.credits {
			if claims.GetOffersMade() != s.seen {
				s.t.Errorf("the source counts %d offers, and there were %d", claims.GetOffersMade(), s.seen)
			}
			return offered
		}
	}
}

// offer waits for an offer.
func (s *coreStream) offer() string {
	s.t.Helper()
	for {
		m, err := s.Recv()
		if err != nil {
			s.t.Fatal(err)
		}
		if o := m.GetOffer(); o != nil {
			s.seen++
			return o.GetJob().GetKey().GetId()
		}
	}
}

func (s *coreStream) release(key *pluginv1.JobKey, d pluginv1.Disposition) {
	s.t.Helper()
	s.say(&pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Release_{Release: &pluginv1.JobsRequest_Release{Job: key, Disposition: d, Handle: []byte("h")}}})
}

func one(attempt uint32) *pluginv1.JobKey { return &pluginv1.JobKey{Id: "1", Attempt: attempt} }

func next(t *testing.T, releases <-chan Release) Release {
	t.Helper()
	select {
	case r := <-releases:
		return r
	case <-time.After(time.Minute):
		t.Fatal("the source is told of no release")
		return Release{}
	}
}

// TestAnOfferThatIsLost: of an offer that has not been answered when the stream breaks, core may not know. It is made again,
// unless core has the job, or has had it, and never more than once on a stream.
func TestAnOfferThatIsLost(t *testing.T) {
	never := func(t *testing.T) func(Release) { return func(r Release) { t.Errorf("released: %+v", r) } }
	// lose has a source whose offer of job 1 is on its way when the stream breaks.
	lose := func(t *testing.T, released func(Release), answer func(*coreSide, *coreStream)) *coreSide {
		t.Helper()
		h := &handing{jobs: make(chan Offer, 1), released: released}
		c := serveHanding(t, h)
		h.jobs <- Offer{Key: JobKey{ID: "1", Attempt: 1}, Handle: []byte("h")}
		s := c.open()
		s.grant(1)
		if id := s.offer(); id != "1" {
			t.Fatalf("job %s is offered", id)
		}
		if answer != nil {
			answer(c, s)
		}
		s.end()
		return c
	}
	report := func(c *coreSide, _ *coreStream) {
		if _, err := c.source.Report(t.Context(), &pluginv1.ReportRequest{Job: one(1), Result: &pluginv1.JobResult{Outcome: "success"}}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("core knows nothing of it", func(t *testing.T) {
		c := lose(t, never(t), nil)
		s := c.open()
		if got := s.grant(0); len(got) != 0 {
			t.Errorf("offered without credit: %v", got)
		}
		if got := s.grant(2); len(got) != 1 {
			t.Errorf("offered: %v", got)
		}
		if got := s.grant(2); len(got) != 0 {
			t.Errorf("offered once more: %v", got)
		}
		s.end() // once more
		if got := c.open().grant(2); len(got) != 1 {
			t.Errorf("offered on the third stream: %v", got)
		}
	})
	t.Run("core runs it", func(t *testing.T) {
		c := lose(t, never(t), nil)
		if got := c.open(one(1)).grant(2); len(got) != 0 {
			t.Errorf("offered: %v", got)
		}
		if got := c.open().grant(2); len(got) != 0 {
			t.Errorf("offered when it is over: %v", got)
		}
	})
	t.Run("core has reported it", func(t *testing.T) {
		c := lose(t, never(t), report)
		if got := c.open().grant(2); len(got) != 0 {
			t.Errorf("offered: %v", got)
		}
	})
	t.Run("core has sent its log", func(t *testing.T) {
		c := lose(t, never(t), func(c *coreSide, _ *coreStream) {
			if _, err := c.source.AppendLogs(t.Context(), &pluginv1.AppendLogsRequest{Job: one(1), FirstLine: 1, Lines: [][]byte{[]byte("a")}}); err != nil {
				t.Fatal(err)
			}
		})
		if got := c.open().grant(2); len(got) != 0 {
			t.Errorf("offered: %v", got)
		}
	})
	t.Run("core has accepted it", func(t *testing.T) {
		c := lose(t, never(t), func(_ *coreSide, s *coreStream) {
			s.say(&pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Accept_{Accept: &pluginv1.JobsRequest_Accept{Job: one(1)}}})
			s.grant(0) // the answer comes behind that
		})
		if got := c.open().grant(2); len(got) != 0 {
			t.Errorf("offered: %v", got)
		}
	})
	t.Run("core releases it on the next stream", func(t *testing.T) {
		releases := make(chan Release, 2)
		c := lose(t, func(r Release) { releases <- r }, nil)
		s := c.open()
		s.release(one(1), pluginv1.Disposition_DISPOSITION_RETURN)
		if got := s.grant(2); len(got) != 0 {
			t.Errorf("offered: %v", got)
		}
		if r := next(t, releases); r.Job.ID != "1" || r.Duplicate {
			t.Errorf("released: %+v", r)
		}
	})
	t.Run("another attempt has run", func(t *testing.T) {
		releases := make(chan Release, 2)
		c := lose(t, func(r Release) { releases <- r }, func(c *coreSide, _ *coreStream) {
			if _, err := c.source.Report(t.Context(), &pluginv1.ReportRequest{Job: one(2), Result: &pluginv1.JobResult{Outcome: "success"}}); err != nil {
				t.Fatal(err)
			}
		})
		if got := c.open().grant(2); len(got) != 0 {
			t.Errorf("offered: %v", got)
		}
		if r := next(t, releases); r.Job.Attempt != 1 || !r.Duplicate || string(r.Handle) != "h" {
			t.Errorf("released: %+v", r)
		}
	})
	t.Run("core takes no more jobs", func(t *testing.T) {
		releases := make(chan Release, 2)
		c := lose(t, func(r Release) { releases <- r }, nil)
		c.open().say(&pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Credit_{Credit: &pluginv1.JobsRequest_Credit{Number: 1, Draining: true}}})
		if r := next(t, releases); r.Job.ID != "1" || r.Duplicate {
			t.Errorf("released: %+v", r)
		}
	})
	t.Run("there is no other stream", func(t *testing.T) {
		releases := make(chan Release, 2)
		c := lose(t, func(r Release) { releases <- r }, nil)
		if _, err := c.plugin.Shutdown(t.Context(), &pluginv1.ShutdownRequest{}); err != nil {
			t.Fatal(err)
		}
		select {
		case r := <-releases:
			if r.Job.ID != "1" || r.Duplicate || string(r.Handle) != "h" {
				t.Errorf("released: %+v", r)
			}
		default:
			t.Error("the source is not told before it is closed")
		}
	})
}

// TestAnOfferOfAStreamThatWasBroken: a Take that is waited for may offer something when there is a new stream already. An
// answer that is read late, on the old one, is none to the offer on the new one.
func TestAnOfferOfAStreamThatWasBroken(t *testing.T) {
	var all offers
	old, now := all.opened(nil), all.opened(nil)
	key := JobKey{ID: "1", Attempt: 1}
	all.make(key, Offer{Deadline: time.Now().Add(time.Hour)}, nil, old)
	if all.again(old) != nil {
		t.Error("it is made twice on one stream")
	}
	if all.again(now) == nil || all.again(now) != nil {
		t.Error("it is not made once on the other")
	}
	if all.answered(key, old) {
		t.Error("an answer of the old stream counts")
	}
	if !all.answered(key, now) || len(all.all()) != 0 {
		t.Error("an answer does not count")
	}
	if !all.answered(key, now) {
		t.Error("an answer to what is not known does not count")
	}
	all.make(key, Offer{Deadline: time.Now().Add(-time.Second)}, nil, old)
	if list := all.useless(old, true); len(list) != 0 {
		t.Errorf("its own stream may still answer: %+v", list)
	}
	if list := all.useless(now, false); len(list) != 1 || list[0].Duplicate || list[0].Job != key {
		t.Errorf("what the remote system hands out again is offered: %+v", list)
	}
}

// TestReleasedHoldsNothingUp: not what core says next, and not the releases of other jobs. Those of one job keep their order,
// and the plugin's end waits for all.
func TestReleasedHoldsNothingUp(t *testing.T) {
	begun, goOn := make(chan Release, 3), make(chan struct{})
	over := 0
	h := &handing{jobs: make(chan Offer), released: func(r Release) {
		begun <- r
		if r.Job.ID == "1" {
			<-goOn
			over++ // one at a time
		}
	}}
	c := serveHanding(t, h)
	s := c.open()
	s.release(one(1), pluginv1.Disposition_DISPOSITION_RETURN)
	s.release(one(2), pluginv1.Disposition_DISPOSITION_DUPLICATE)
	s.release(&pluginv1.JobKey{Id: "2", Attempt: 1}, pluginv1.Disposition_DISPOSITION_RETURN)
	s.grant(1) // is answered
	got := map[string]bool{}
	for range 2 {
		r := next(t, begun)
		got[r.Job.ID] = true
	}
	if !got["1"] || !got["2"] {
		t.Errorf("begun: %v", got)
	}
	s.end()
	shut := make(chan error, 1)
	go func() {
		_, err := c.plugin.Shutdown(context.Background(), &pluginv1.ShutdownRequest{})
		shut <- err
	}()
	select {
	case err := <-shut:
		t.Errorf("the plugin is closed while a call is under way: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(goOn)
	if err := <-shut; err != nil {
		t.Error(err)
	}
	if r := next(t, begun); r.Job != (JobKey{ID: "1", Attempt: 2}) || over != 2 {
		t.Errorf("last is %v; %d are over", r.Job, over)
	}
}
