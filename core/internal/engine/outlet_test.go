package engine

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// deafSource is a source that takes streams and reads none.
type deafSource struct {
	pluginv1.UnimplementedSourceServer
}

func (deafSource) Jobs(stream grpc.BidiStreamingServer[pluginv1.JobsRequest, pluginv1.JobsResponse]) error {
	<-stream.Context().Done()
	return nil
}

// TestSourceThatDoesNotRead: it is not waited for, and the error says what is wrong.
func TestSourceThatDoesNotRead(t *testing.T) {
	client := serveSource(t, deafSource{})
	limited, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ctx, end := context.WithCancelCause(limited)
	defer end(nil)
	stream, err := client.Jobs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	out := &outlet{stream: stream, ctx: ctx, end: end, timeout: 200 * time.Millisecond}
	large := &pluginv1.JobsRequest{Message: &pluginv1.JobsRequest_Release_{Release: &pluginv1.JobsRequest_Release{Handle: make([]byte, 1<<20)}}}
	for range 1000 {
		if err = out.send(large); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "has not read the stream Jobs for 200ms") {
		t.Errorf("the error is %v", err)
	}
}
