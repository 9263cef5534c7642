package agent

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/podrunner/runner/core/internal/agent/agentv1"
	"github.com/podrunner/runner/core/internal/record"
)

// refusing is a helper that does not take the first acknowledgement.
type refusing struct {
	agentv1.UnimplementedAgentServer
	code  codes.Code
	calls atomic.Int64
	taken chan *agentv1.AckRequest
}

func (r *refusing) Ack(_ context.Context, request *agentv1.AckRequest) (*agentv1.AckResponse, error) {
	if r.calls.Add(1) == 1 {
		return nil, status.Error(r.code, "the disk does not answer")
	}
	r.taken <- request
	return &agentv1.AckResponse{}, nil
}

// TestAckThatFails: an acknowledgement that was not taken is made again, though there is nothing new to say.
func TestAckThatFails(t *testing.T) {
	for _, code := range []codes.Code{codes.Internal, codes.Unavailable, codes.Unknown} {
		t.Run(code.String(), func(t *testing.T) {
			keys, err := NewKeys()
			if err != nil {
				t.Fatal(err)
			}
			tls, err := keys.tls()
			if err != nil {
				t.Fatal(err)
			}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			helper := &refusing{code: code, taken: make(chan *agentv1.AckRequest, 8)}
			server := grpc.NewServer(grpc.Creds(credentials.NewTLS(tls)))
			agentv1.RegisterAgentServer(server, helper)
			var served sync.WaitGroup
			served.Go(func() { _ = server.Serve(listener) })
			defer served.Wait()
			defer server.Stop()
			c, err := NewClient(keys, func(ctx context.Context) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close() //nolint:errcheck // the test is over
			c.Ack("job", 5)
			select {
			case r := <-helper.taken:
				if r.GetStep() != "job" || r.GetThrough() != 5 {
					t.Errorf("the acknowledgement is %v", r)
				}
			case <-time.After(10 * time.Second):
				t.Error("it is not made again")
			}
		})
	}
}

// TestEmptyLinesAreUrgent: lines without text fill a spool as well, and the job waits for the acknowledgement.
func TestEmptyLinesAreUrgent(t *testing.T) {
	a := &acks{some: make(chan struct{}, 1), urgent: make(chan struct{}, 1), steps: map[string]*stepAck{}}
	f := &Follower{client: &Client{acks: a}, step: "job"}
	for f.tally.Records*17 < ackBytes { // what the spool puts before each text
		lines := &agentv1.Records{First: f.tally.Records + 1, Ends: make([]uint32, record.MaxBatchLines), Flags: make([]byte, record.MaxBatchLines)}
		if _, err := f.take(lines); err != nil {
			t.Fatal(err)
		}
	}
	a.add("job", f.tally.Records)
	if len(a.urgent) == 0 {
		t.Errorf("%d empty lines are no reason to send at once", f.tally.Records)
	}
}
