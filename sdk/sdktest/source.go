package sdktest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/podrunner/runner/sdk"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// SourceOptions say how a test runs a job source.
type SourceOptions struct {
	// Config is the plugin's `config {}`, as in [Job].
	Config map[string]any
	// Concurrency is how many jobs core runs at once; 0: 1.
	Concurrency int
	// Running are the jobs that core says it runs already.
	Running []sdk.JobKey
	// Manual leaves the credit to the test: there is none before [SourceRun.Grant]. Otherwise there is one for each of
	// Concurrency that is not in use.
	Manual bool
}

// SourceRun is a job source that runs, in the test's own process or in one of its own, over real gRPC, with the test in
// core's place. Its methods are safe for concurrent use, but those that fail the test ([SourceRun.Offer] and the others
// that wait, Drain, Kill, Shutdown, Again) are for the test's own goroutine. They wait for a minute at most.
type SourceRun struct {
	t           testing.TB
	conn        *grpc.ClientConn
	concurrency int
	manual      bool
	client      pluginv1.SourceClient
	plugin      pluginv1.PluginClient
	stream      grpc.BidiStreamingClient[pluginv1.JobsRequest, pluginv1.JobsResponse]
	cancel      context.CancelFunc
	received    chan struct{}
	// process is that of SourceProcess, else nil.
	process *process

	mu sync.Mutex
	// changed is closed and made anew whenever something below has changed.
	changed chan struct{}
	offers  []sdk.Offer
	// seen counts the offers of the stream, used the jobs that core has.
	seen   uint64
	used   int
	credit uint32
	// draining: no more jobs are taken.
	draining bool
	number   uint64
	claims   *pluginv1.JobsResponse_Claims
	cancels  []sdk.JobKey
	// status is nil until the source has said something.
	status   *SourceStatus
	counters map[string]uint64
	drained  *string
	err      error
	ended    bool
}

// SourceStatus is what a source last said of its remote system.
type SourceStatus struct {
	Connected bool
	// Message says why it is not connected.
	Message string
}

// Source starts a job source and opens its stream of jobs, which is closed at the end of the test. It fails the test at once
// when the plugin refuses the configuration.
func Source(t testing.TB, plugin sdk.Plugin, options SourceOptions) *SourceRun {
	t.Helper()
	return openSource(t, serve(t, plugin, options.Config), options)
}

// SourceProcess is Source with the plugin's program as a process of its own, started as core starts it. Of the Binary only
// Path and Env count: the configuration is that of the options. The process ends with the test.
func SourceProcess(t testing.TB, b Binary, options SourceOptions) *SourceRun {
	t.Helper()
	p, err := start(b)
	if err != nil {
		t.Fatalf("sdktest.SourceProcess: %v", err)
	}
	t.Cleanup(func() {
		p.stop()
		t.Logf("the plugin's standard error ends with:\n%s", p.runner.tail.String())
	})
	if err := p.configure(t.Context(), configJSON(t, options.Config)); err != nil {
		t.Fatalf("sdktest.SourceProcess: %v", err)
	}
	r := openSource(t, p.conn, options)
	r.process = p
	return r
}

// Kill ends the process of [SourceProcess] as a crash does, and with it the stream.
func (r *SourceRun) Kill() {
	r.t.Helper()
	if r.process == nil {
		r.t.Fatal("sdktest.Source: the plugin runs in the test's own process; Kill is for SourceProcess")
	}
	r.process.kill()
	r.Break()
}

// Shutdown ends the stream, and then the plugin, as core does in the end. The error is that of the plugin's Close, if it has
// one.
func (r *SourceRun) Shutdown() error {
	r.t.Helper()
	r.Close()
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	_, err := r.plugin.Shutdown(ctx, &pluginv1.ShutdownRequest{})
	return err
}

// Close ends the stream as core does when its last job is over, and waits for the source's part of it.
func (r *SourceRun) Close() {
	r.mu.Lock()
	_ = r.stream.CloseSend()
	r.mu.Unlock()
	select {
	case <-r.received:
	case <-time.After(runTimeout):
		r.t.Errorf("sdktest.Source: the stream is still open %s after core has closed it; Take returns when its context ends", runTimeout)
	}
	r.cancel()
	<-r.received
}

// Break breaks the stream off, as when core dies.
func (r *SourceRun) Break() {
	r.cancel()
	<-r.received
}

// Again opens another stream to the same plugin after Break, as core does when a stream has broken.
func (r *SourceRun) Again(options SourceOptions) *SourceRun {
	r.t.Helper()
	again := openSource(r.t, r.conn, options)
	again.process = r.process
	return again
}

// Grant gives credit for a number of jobs, in place of the credit before.
func (r *SourceRun) Grant(slots int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.credit = uint32(max(slots, 0)) //nolint:gosec // a test's number
	r.sendCredit()
}

// Drain tells the plugin to take no more jobs, as core does first when it is to end.
func (r *SourceRun) Drain() {
	r.t.Helper()
	r.mu.Lock()
	r.credit, r.draining = 0, true
	r.sendCredit()
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	if _, err := r.plugin.Drain(ctx, &pluginv1.DrainRequest{}); err != nil {
		r.t.Fatalf("sdktest.Source: Drain: %v", err)
	}
}

// Offer waits for the next job that the source offers. It uses up a slot until Report or Release.
func (r *SourceRun) Offer() sdk.Offer {
	r.t.Helper()
	var offer sdk.Offer
	r.wait("offer", func() bool {
		if len(r.offers) == 0 {
			return false
		}
		offer, r.offers = r.offers[0], r.offers[1:]
		return true
	})
	return offer
}

// NoOffer fails the test when the source offers a job within some time.
func (r *SourceRun) NoOffer(within time.Duration) {
	r.t.Helper()
	if r.await(within, func() bool { return len(r.offers) > 0 }) {
		r.t.Fatalf("sdktest.Source: the source offers job %s", r.offers[0].Key.ID)
	}
}

// Release says that core does not run a job, and frees its slot. duplicate and message are as in [sdk.Release]. It does not
// wait for the source's part of it.
func (r *SourceRun) Release(offer sdk.Offer, duplicate bool, message string) {
	disposition := pluginv1.Disposition_DISPOSITION_RETURN
	if duplicate {
		disposition = pluginv1.Disposition_DISPOSITION_DUPLICATE
	}
	r.send(&pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Release_{Release: &pluginv1.JobsRequest_Release{
		Job: protoKey(offer.Key), Disposition: disposition, Message: message, Handle: offer.Handle,
	}}})
	r.free()
}

// AppendLogs gives lines of a job to the source, in one piece, as core does. It is one call: core would make one that fails
// again, and here that is the test's affair. The error is a status of gRPC. The same goes for Report, Resume and Scale.
func (r *SourceRun) AppendLogs(ctx context.Context, logs sdk.Logs) ([]sdk.RefusedLines, error) {
	request := &pluginv1.AppendLogsRequest{
		Job: protoKey(logs.Job), Handle: logs.Handle, FirstLine: logs.FirstLine,
	}
	for _, line := range logs.Lines {
		request.Data = append(request.Data, line...)
		request.Ends = append(request.Ends, uint32(len(request.Data))) //nolint:gosec // a test's lines
	}
	if !logs.SentAt.IsZero() {
		request.SentAt = timestamppb.New(logs.SentAt)
	}
	answer, err := r.client.AppendLogs(ctx, request)
	if err != nil {
		return nil, err
	}
	var refused []sdk.RefusedLines
	for _, x := range answer.GetRefused() {
		refused = append(refused, sdk.RefusedLines{FirstLine: x.GetFirstLine(), Count: x.GetCount(), Message: x.GetMessage()})
	}
	return refused, nil
}

// Report gives a job's result to the source. When the source has taken it, the job's slot is free again.
func (r *SourceRun) Report(ctx context.Context, report sdk.Report) error {
	request := &pluginv1.ReportRequest{
		Job: protoKey(report.Job), Handle: report.Handle, Infrastructure: report.Infrastructure,
		Result: protoOf(sdk.End{
			Outcome: report.Outcome, Reason: report.Reason, Message: report.Message, ExitCode: report.ExitCode, Variables: report.Variables,
		}),
	}
	if !report.StartedAt.IsZero() {
		request.StartedAt = timestamppb.New(report.StartedAt)
	}
	if !report.FinishedAt.IsZero() {
		request.FinishedAt = timestamppb.New(report.FinishedAt)
	}
	if _, err := r.client.Report(ctx, request); err != nil {
		return err
	}
	r.free()
	return nil
}

// Resume gives the source a job that another runner had taken. Of the offer there are Key, Handle, Lease and Deadline.
func (r *SourceRun) Resume(ctx context.Context, key sdk.JobKey, handle []byte) (offer sdk.Offer, known bool, err error) {
	answer, err := r.client.Resume(ctx, &pluginv1.ResumeRequest{Job: protoKey(key), Handle: handle})
	if err != nil {
		return sdk.Offer{}, false, err
	}
	offer = sdk.Offer{Key: key, Handle: handle, Lease: answer.GetLease().AsDuration()}
	if t := answer.GetDeadline(); t != nil {
		offer.Deadline = t.AsTime()
	}
	return offer, answer.GetKnown(), nil
}

// Scale asks the source how many runners there should be, as the runner that scales does.
func (r *SourceRun) Scale(ctx context.Context, current, concurrency int) (replicas int, err error) {
	answer, err := r.client.Scale(ctx, &pluginv1.ScaleRequest{
		CurrentReplicas: uint32(max(current, 0)), Concurrency: uint32(max(concurrency, 0)), //nolint:gosec // a test's numbers
	})
	return int(answer.GetRecommendedReplicas()), err
}

// Status waits until the last thing that the source has said of its remote system is that it is connected, or not.
func (r *SourceRun) Status(connected bool) SourceStatus {
	r.t.Helper()
	var status SourceStatus
	r.wait("such status", func() bool {
		if r.status == nil || r.status.Connected != connected {
			return false
		}
		status = *r.status
		return true
	})
	return status
}

// Drained waits until the source has asked for the end of the runner, and returns its message.
func (r *SourceRun) Drained() string {
	r.t.Helper()
	r.wait("Drain", func() bool { return r.drained != nil })
	r.mu.Lock()
	defer r.mu.Unlock()
	return *r.drained
}

// Canceled waits until the source has asked core to end a job.
func (r *SourceRun) Canceled(key sdk.JobKey) {
	r.t.Helper()
	r.wait("Cancel", func() bool { return slices.Contains(r.cancels, key) })
}

// Counters are the source's counters so far, a copy.
func (r *SourceRun) Counters() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counters)
}

// OpenClaims is how many jobs the source is about to take, as it last said.
func (r *SourceRun) OpenClaims() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int(r.claims.GetOpen())
}

// Err is how the stream has ended, nil while it is open and when it ended well.
func (r *SourceRun) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
