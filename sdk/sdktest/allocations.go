package sdktest

import (
	"context"
	"testing"

	"github.com/podrunner/runner/sdk"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// Allocations returns how many allocations a batch of these lines costs in a processor, on average of many that come one
// after the other, beyond what one costs in a processor that does nothing. A line should cost none of its own: then a
// batch of hundreds costs about as much as one of a few. The lines have to fit into one batch, and to leave the processor
// in the state that they find it in. It must not be called by tests that run in parallel with others.
func Allocations(t testing.TB, plugin sdk.Plugin, job Job, lines ...Line) float64 {
	t.Helper()
	idle := sdk.Plugin{Name: "idle", Version: "1", Processor: sdk.Batches(func(context.Context, sdk.Job, struct{}) (*idleProcessor, error) {
		return &idleProcessor{}, nil
	})}
	return max(0, allocations(t, plugin, job, lines)-allocations(t, idle, Job{}, lines))
}

type idleProcessor struct{}

func (*idleProcessor) Batch(context.Context, *sdk.Batch) error { return nil }

// allocations returns how many a batch costs with the way to a processor and back.
func allocations(t testing.TB, plugin sdk.Plugin, job Job, lines []Line) float64 {
	t.Helper()
	s := scriptOf(plugin, job, lines, protocol.MaxBatchLines)
	if len(s.batches) != 1 {
		t.Fatalf("sdktest.Allocations: the lines make %d batches; give some that fit into one", len(s.batches))
	}
	ctx, cancel := context.WithTimeout(t.Context(), runTimeout)
	defer cancel()
	stream, err := pluginv1.NewProcessorClient(serve(t, plugin, job.Config)).Process(ctx)
	if err != nil {
		t.Fatalf("sdktest.Allocations: %v", broken("open the stream", err))
	}
	x := &exchange{script: s, progress: &progress{}, stream: stream}
	if err := x.open(); err != nil {
		t.Fatalf("sdktest.Allocations: %v", err)
	}
	batch := s.batches[0]
	request := &pluginv1.ProcessRequest{Message: &pluginv1.ProcessRequest_Batch{Batch: batch}}
	return testing.AllocsPerRun(50, func() {
		if err := stream.Send(request); err != nil {
			t.Fatalf("sdktest.Allocations: %v", broken("send a batch", err))
		}
		response, err := stream.Recv()
		if err != nil {
			t.Fatalf("sdktest.Allocations: %v", broken("wait for a Result", err))
		}
		if response.GetResult().GetAckThrough() != lastSeq(s.batches) {
			t.Fatalf("sdktest.Allocations: a batch is not acknowledged by itself")
		}
		batch.FirstSeq += uint64(len(batch.Ends))
	})
}
