package sdktest

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/podrunner/runner/sdk"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// openSource opens the stream of jobs of a plugin that is configured.
func openSource(t testing.TB, conn *grpc.ClientConn, options SourceOptions) *SourceRun {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &SourceRun{
		t: t, conn: conn, concurrency: max(options.Concurrency, 1), manual: options.Manual,
		client: pluginv1.NewSourceClient(conn), plugin: pluginv1.NewPluginClient(conn), cancel: cancel,
		received: make(chan struct{}), changed: make(chan struct{}), counters: map[string]uint64{},
	}
	var err error
	if r.stream, err = r.client.Jobs(ctx); err != nil {
		cancel()
		t.Fatalf("sdktest.Source: open the stream of jobs: %v", err)
	}
	hello := &pluginv1.JobsRequest_Hello{Runner: "sdktest", Concurrency: uint32(r.concurrency)} //nolint:gosec // a test's number
	for _, key := range options.Running {
		hello.Running = append(hello.Running, protoKey(key))
	}
	r.send(&pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Hello_{Hello: hello}})
	if !r.manual {
		r.Grant(r.concurrency)
	}
	go r.receive()
	t.Cleanup(func() { r.Close() })
	return r
}

// sendCredit tells the source of the credit. Callers hold mu.
func (r *SourceRun) sendCredit() {
	r.number++
	_ = r.stream.Send(&pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Credit_{
		Credit: &pluginv1.JobsRequest_Credit{Slots: r.credit, OffersSeen: r.seen, Number: r.number, Draining: r.draining},
	}})
}

func (r *SourceRun) send(request *pluginv1.JobsRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.stream.Send(request)
}

// free gives a job's slot back, and to the source.
func (r *SourceRun) free() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used = max(r.used-1, 0)
	if !r.manual && !r.draining {
		r.credit = uint32(max(r.concurrency-r.used, 0)) //nolint:gosec // a test's number
		r.sendCredit()
	}
}

// receive takes what the source says until the stream ends.
func (r *SourceRun) receive() {
	defer close(r.received)
	for {
		response, err := r.stream.Recv()
		r.mu.Lock()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				r.err = err
			}
			r.ended = true
		} else {
			r.take(response)
		}
		close(r.changed)
		r.changed = make(chan struct{})
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// take takes one message. Callers hold mu.
func (r *SourceRun) take(response *pluginv1.JobsResponse) {
	switch m := response.GetMessage().(type) {
	case *pluginv1.JobsResponse_Offer_:
		r.seen++
		if r.credit == 0 && r.claims.GetOpen() == 0 {
			r.t.Errorf("sdktest.Source: job %s is offered without credit", m.Offer.GetJob().GetKey().GetId())
		}
		r.credit -= min(r.credit, 1)
		r.used++
		r.offers = append(r.offers, sdkOffer(m.Offer))
		key := m.Offer.GetJob().GetKey()
		_ = r.stream.Send(&pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Accept_{Accept: &pluginv1.JobsRequest_Accept{Job: key}}})
		r.sendCredit()
	case *pluginv1.JobsResponse_Claims_:
		r.claims = m.Claims
	case *pluginv1.JobsResponse_Cancel_:
		r.cancels = append(r.cancels, sdk.JobKey{ID: m.Cancel.GetJob().GetId(), Attempt: int(m.Cancel.GetJob().GetAttempt())})
	case *pluginv1.JobsResponse_Status_:
		r.status = &SourceStatus{Connected: m.Status.GetConnected(), Message: m.Status.GetMessage()}
	case *pluginv1.JobsResponse_Count_:
		r.counters[m.Count.GetName()] += m.Count.GetAdd()
	case *pluginv1.JobsResponse_Drain_:
		message := m.Drain.GetMessage()
		r.drained = &message
	}
}

// wait is await, and fails the test when the time is over or the stream has ended.
func (r *SourceRun) wait(what string, met func() bool) {
	r.t.Helper()
	if !r.await(runTimeout, met) {
		r.t.Fatalf("sdktest.Source: no %s within %s; the stream's error is: %v", what, runTimeout, r.Err())
	}
}

// await waits until a condition holds, which is asked with mu held.
func (r *SourceRun) await(within time.Duration, met func() bool) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		r.mu.Lock()
		ok, ended, changed := met(), r.ended, r.changed
		r.mu.Unlock()
		if ok || ended {
			return ok
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		}
	}
}

func protoKey(key sdk.JobKey) *pluginv1.JobKey {
	return &pluginv1.JobKey{Id: key.ID, Attempt: uint32(max(key.Attempt, 1))} //nolint:gosec // a count of starts
}

func sdkOffer(o *pluginv1.JobsResponse_Offer) sdk.Offer {
	j := o.GetJob()
	offer := sdk.Offer{
		Key:    sdk.JobKey{ID: j.GetKey().GetId(), Attempt: int(j.GetKey().GetAttempt())},
		Number: j.GetNumber(), Image: j.GetImage(), Commands: j.GetCommands(),
		InitImage: j.GetInitImage(), InitCommands: j.GetInitCommands(), Labels: j.GetLabels(), Handle: j.GetHandle(),
		Lease: o.GetLease().AsDuration(),
	}
	if t := o.GetDeadline(); t != nil {
		offer.Deadline = t.AsTime()
	}
	for _, v := range j.GetVariables() {
		offer.Variables = append(offer.Variables, sdk.JobVariable{Key: v.GetKey(), Value: v.GetValue(), Sensitive: v.GetSensitive(), Scope: v.GetScope()})
	}
	for _, f := range j.GetFiles() {
		offer.Files = append(offer.Files, sdk.JobFile{Name: f.GetName(), Contents: f.GetContents()})
	}
	return offer
}
