package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// fakeSource is a source whose jobs and faults are the test's. It keeps the protocol: it offers only against credit.
type fakeSource struct {
	pluginv1.UnimplementedSourceServer
	t      testing.TB
	client pluginv1.SourceClient

	mu sync.Mutex
	// queue are jobs to be offered. With endless the source stays after them, else it asks to be drained.
	queue   []*pluginv1.JobsResponse_Offer
	endless bool
	// held keeps a claim open for ever.
	held bool
	// appendErr and reportErr are what the next calls answer.
	appendErr, reportErr []error
	// refuses says that what these answer is for good.
	refuses bool
	refuse  *pluginv1.AppendLogsResponse
	// progressed, unless nil, is called when a call has worked, or an offer was taken.
	progressed func()
	// appending, unless nil, gives each call of AppendLogs its turn.
	appending chan struct{}

	// resume answers Resume; nil: it knows all jobs.
	resume func(*pluginv1.ResumeRequest) (*pluginv1.ResumeResponse, error)

	resumes  []*pluginv1.ResumeRequest
	hellos   []*pluginv1.JobsRequest_Hello
	releases []*pluginv1.JobsRequest_Release
	renewals int
	// slots is the latest credit.
	slots   uint32
	logs    map[string][]string
	reports map[string]*pluginv1.ReportRequest
	appends []*pluginv1.AppendLogsRequest
	changed chan struct{}
	// stream is the present one; broken ends it.
	stream pluginv1.Source_JobsServer
	broken chan struct{}
}

func newFakeSource(t testing.TB) *fakeSource {
	f := &fakeSource{
		t: t, logs: map[string][]string{}, reports: map[string]*pluginv1.ReportRequest{},
		changed: make(chan struct{}, 1), broken: make(chan struct{}),
	}
	f.client = serveSource(t, f)
	return f
}

// serveSource serves a source, and returns a client of it.
func serveSource(t testing.TB, source pluginv1.SourceServer) pluginv1.SourceClient {
	t.Helper()
	server := grpc.NewServer()
	pluginv1.RegisterSourceServer(server, source)
	listener := bufconn.Listen(1 << 20)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	conn, err := grpc.NewClient("passthrough:///source", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		<-served
	})
	return pluginv1.NewSourceClient(conn)
}

func (f *fakeSource) Connect(context.Context) (SourceConnection, error) { return f, nil }
func (f *fakeSource) Client() pluginv1.SourceClient                     { return f.client }

func (f *fakeSource) Progress() {
	if f.progressed != nil {
		f.progressed()
	}
}

func (f *fakeSource) Explain(_ context.Context, call string, err error) error {
	if s := status.Convert(err); s.Code() == codes.FailedPrecondition || f.refuses && call != "Jobs" {
		return &RefusedError{Message: s.Message()}
	}
	return fmt.Errorf("%s: %w", call, err)
}

// add queues jobs by their ids.
func (f *fakeSource) add(ids ...string) {
	for _, id := range ids {
		f.offer(&pluginv1.JobsResponse_Offer{Job: &pluginv1.Job{
			Key: &pluginv1.JobKey{Id: id, Attempt: 1}, Image: "x", Commands: []string{"true"}, Handle: []byte("handle of " + id),
		}})
	}
}

func (f *fakeSource) offer(o *pluginv1.JobsResponse_Offer) {
	f.mu.Lock()
	f.queue = append(f.queue, o)
	f.mu.Unlock()
	f.wake()
}

func (f *fakeSource) wake() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// say sends a message on the present stream.
func (f *fakeSource) say(m *pluginv1.JobsResponse) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.stream.Send(m); err != nil {
		f.t.Error(err)
	}
}

// breakStream ends the present stream with an error.
func (f *fakeSource) breakStream() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.broken)
	f.broken = make(chan struct{})
}

func (f *fakeSource) Jobs(stream pluginv1.Source_JobsServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.hellos = append(f.hellos, first.GetHello())
	f.stream = stream
	broken := f.broken
	f.mu.Unlock()
	requests := make(chan *pluginv1.JobsRequest)
	go func() {
		defer close(requests)
		for {
			r, err := stream.Recv()
			if err != nil {
				return
			}
			select {
			case requests <- r:
			case <-stream.Context().Done():
				return
			}
		}
	}()
	var made, allowed, number uint64
	drained := false
	for {
		f.mu.Lock()
		for len(f.queue) > 0 && made < allowed && !f.held {
			o := f.queue[0]
			f.queue = f.queue[1:]
			made++
			_ = stream.Send(&pluginv1.JobsResponse{Message: &pluginv1.JobsResponse_Offer_{Offer: o}})
		}
		if len(f.queue) == 0 && !f.endless && !drained {
			drained = true
			_ = stream.Send(&pluginv1.JobsResponse{Message: &pluginv1.JobsResponse_Drain_{Drain: &pluginv1.JobsResponse_Drain{Message: "no more"}}})
		}
		f.mu.Unlock()
		select {
		case r, more := <-requests:
			if !more {
				return nil
			}
			switch m := r.Message.(type) {
			case *pluginv1.JobsRequest_Credit_:
				allowed, number = m.Credit.GetOffersSeen()+uint64(m.Credit.GetSlots()), m.Credit.GetNumber()
				f.mu.Lock()
				f.slots = m.Credit.GetSlots()
				open := uint32(0)
				if f.held {
					open = 1
				}
				_ = stream.Send(&pluginv1.JobsResponse{Message: &pluginv1.JobsResponse_Claims_{
					Claims: &pluginv1.JobsResponse_Claims{Credit: number, OffersMade: made, Open: open},
				}})
				f.mu.Unlock()
			case *pluginv1.JobsRequest_Release_:
				f.mu.Lock()
				f.releases = append(f.releases, m.Release)
				f.mu.Unlock()
			case *pluginv1.JobsRequest_Renew_:
				f.mu.Lock()
				f.renewals++
				f.mu.Unlock()
			}
		case <-f.changed:
		case <-broken:
			return status.Error(codes.Aborted, "the test breaks the stream")
		}
	}
}

func (f *fakeSource) AppendLogs(ctx context.Context, r *pluginv1.AppendLogsRequest) (*pluginv1.AppendLogsResponse, error) {
	if f.appending != nil {
		select {
		case <-f.appending:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.appends = append(f.appends, r)
	if len(f.appendErr) > 0 {
		err := f.appendErr[0]
		f.appendErr = f.appendErr[1:]
		if err != nil {
			return nil, err
		}
	}
	lines, start := r.GetLines(), uint32(0)
	for _, end := range r.GetEnds() {
		lines = append(lines, r.GetData()[start:end])
		start = end
	}
	for _, l := range lines {
		f.logs[r.GetJob().GetId()] = append(f.logs[r.GetJob().GetId()], string(l))
	}
	answer := &pluginv1.AppendLogsResponse{}
	if f.refuse != nil {
		answer, f.refuse = f.refuse, nil
	}
	return answer, nil
}

func (f *fakeSource) Report(_ context.Context, r *pluginv1.ReportRequest) (*pluginv1.ReportResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.reportErr) > 0 {
		err := f.reportErr[0]
		f.reportErr = f.reportErr[1:]
		return nil, err
	}
	if f.reports[r.GetJob().GetId()] != nil {
		f.t.Errorf("job %s is reported twice", r.GetJob().GetId())
	}
	f.reports[r.GetJob().GetId()] = r
	return &pluginv1.ReportResponse{}, nil
}

func (f *fakeSource) Resume(_ context.Context, r *pluginv1.ResumeRequest) (*pluginv1.ResumeResponse, error) {
	f.mu.Lock()
	f.resumes = append(f.resumes, r)
	answer := f.resume
	f.mu.Unlock()
	if answer == nil {
		return &pluginv1.ResumeResponse{Known: true}, nil
	}
	return answer(r)
}

// executors starts each job by a script of its own.
type executors struct {
	mu      sync.Mutex
	scripts map[string]*script
	// running and most count jobs.
	running, most int
	started       chan string
}

func newExecutors() *executors {
	return &executors{scripts: map[string]*script{}, started: make(chan string, 1000)}
}

// first sets what becomes of job 1; one without a script is a success with one line.
func (e *executors) first(s *script) *executors {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scripts["1"] = s
	return e
}

func (e *executors) Start(ctx context.Context, j *job.Job) (executor.Run, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.scripts[j.ID]
	if s == nil {
		s = &script{lines: []string{"line of " + j.ID}, result: succeeded}
		s.result.Records = 1
		e.scripts[j.ID] = s
	}
	if s.panics {
		panic("a test's panic")
	}
	e.running++
	e.most = max(e.most, e.running)
	run, err := s.Start(ctx, j)
	if e.started != nil {
		e.started <- j.ID
	}
	if err != nil {
		return nil, err
	}
	return counted{run, e}, nil
}

// counted counts a run as running until it has its result.
type counted struct {
	executor.Run
	executors *executors
}

func (c counted) Result(ctx context.Context) (executor.Result, error) {
	c.executors.mu.Lock()
	c.executors.running--
	c.executors.mu.Unlock()
	return c.Run.Result(ctx)
}

// untold are the statuses of job 1 that nobody has taken.
func (e *executors) untold() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.scripts["1"].run.statuses)
}

// end ends job 1.
func (e *executors) end() {
	e.mu.Lock()
	run := e.scripts["1"].run
	e.mu.Unlock()
	run.end()
}

// newService returns a service of one pipeline.
func newService(f *fakeSource, e *executors) *Service {
	return &Service{
		Runner: "test", Concurrency: 3, DrainTimeout: time.Minute, Logger: hclog.NewNullLogger(),
		Pipelines: []Pipeline{{
			Name: "p", Source: "fake", Kind: "local", Connector: f, Executor: e,
			MaxBytes: 1000, MaxInterval: 10 * time.Millisecond, GiveUp: time.Minute, Grace: grace, Lifetime: time.Hour,
		}},
	}
}

// serve runs a service to its end, or to that of ctx.
func serve(t *testing.T, ctx context.Context, s *Service) {
	t.Helper()
	if left := serveAndLeave(t, ctx, s); left > 0 {
		t.Errorf("%d jobs are left", left)
	}
}

// serveAndLeave is serve for a service that may leave jobs; it returns how many.
func serveAndLeave(t *testing.T, ctx context.Context, s *Service) int {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	select {
	case err := <-done:
		var left *LeftError
		if errors.As(err, &left) {
			return left.Jobs
		}
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the service does not end")
	}
	return 0
}

func deadlineIn(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(time.Now().Add(d)) }
