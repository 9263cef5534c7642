package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/podrunner/runner/core/internal/agent/agentv1"
)

// talking is a helper whose Tail is a function.
type talking struct {
	agentv1.UnimplementedAgentServer
	calls atomic.Int64
	tail  func(from uint64, stream grpc.ServerStreamingServer[agentv1.TailResponse]) error
}

func (h *talking) Tail(r *agentv1.TailRequest, stream grpc.ServerStreamingServer[agentv1.TailResponse]) error {
	h.calls.Add(1)
	return h.tail(r.GetFrom(), stream)
}

// serveTail serves a helper and returns a client of it.
func serveTail(t *testing.T, h *talking) *Client {
	t.Helper()
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
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(tls)))
	agentv1.RegisterAgentServer(server, h)
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(served.Wait)
	t.Cleanup(server.Stop)
	c, err := NewClient(keys, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func oneRecord(number uint64) *agentv1.Records {
	return &agentv1.Records{First: number, Data: []byte("x"), Ends: []uint32{1}, Flags: []byte{0}}
}

func records(r *agentv1.Records) *agentv1.TailResponse {
	return &agentv1.TailResponse{Content: &agentv1.TailResponse_Records{Records: r}}
}

// TestMessagesThatCantBeRead: a helper of another version is not asked for ever. One that sends something wrong now and then
// is asked again.
func TestMessagesThatCantBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		send func(grpc.ServerStreamingServer[agentv1.TailResponse]) error
		want string
	}{
		"flags": {func(s grpc.ServerStreamingServer[agentv1.TailResponse]) error {
			r := oneRecord(2)
			r.Flags[0] = 0x80
			return s.Send(records(r))
		}, "0x80"},
		"number": {func(s grpc.ServerStreamingServer[agentv1.TailResponse]) error {
			return s.Send(records(oneRecord(7)))
		}, "record 7 in the place of 2"},
		"too large": {func(s grpc.ServerStreamingServer[agentv1.TailResponse]) error {
			r := oneRecord(2)
			r.Data = make([]byte, 2*maxMessage)
			return s.Send(records(r))
		}, "larger than max"},
		"no message": {func(s grpc.ServerStreamingServer[agentv1.TailResponse]) error {
			return s.SendMsg(&agentv1.AckRequest{Step: "\x0f"}) // where the records should be there is no message
		}, "unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &talking{tail: func(from uint64, s grpc.ServerStreamingServer[agentv1.TailResponse]) error {
				if from == 1 {
					return s.Send(records(oneRecord(1)))
				}
				return c.send(s)
			}}
			f := serveTail(t, h).Follow("job")
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if _, err := f.Next(ctx); err != nil {
				t.Fatal(err)
			}
			_, err := f.Next(ctx)
			if ctx.Err() != nil || err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "not of this version") {
				t.Fatalf("after %d calls: %v", h.calls.Load(), err)
			}
			if _, again := f.Next(ctx); !errors.Is(again, err) {
				t.Errorf("it goes on with %v", again)
			}
		})
	}
	t.Run("now and then", func(t *testing.T) {
		t.Parallel()
		var calls atomic.Int64
		f := serveTail(t, &talking{tail: func(from uint64, s grpc.ServerStreamingServer[agentv1.TailResponse]) error {
			if calls.Add(1)%2 == 0 {
				return s.Send(records(oneRecord(from + 5)))
			}
			return s.Send(records(oneRecord(from)))
		}}).Follow("job")
		for n := range 2 * maxGarbled {
			if _, err := f.Next(t.Context()); err != nil {
				t.Fatalf("record %d: %v", n+1, err)
			}
		}
	})
}

// TestTwoReadersWaitForEachOther: a step is not taken back at once from somebody who has taken it, though records come.
func TestTwoReadersWaitForEachOther(t *testing.T) {
	t.Parallel()
	f := serveTail(t, &talking{tail: func(from uint64, s grpc.ServerStreamingServer[agentv1.TailResponse]) error {
		if err := s.Send(records(oneRecord(from))); err != nil {
			return err
		}
		return whyHungUp(errReplaced)
	}}).Follow("job")
	started := time.Now()
	for range 6 {
		if _, err := f.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(started); took < time.Second {
		t.Errorf("the step was taken back five times within %s", took)
	}
}

// failing is a listener that fails some times before it has a connection.
type failing struct {
	net.Listener
	left int
	err  error
}

func (l *failing) Accept() (net.Conn, error) {
	if l.left--; l.left >= 0 {
		return nil, l.err
	}
	conn, _ := net.Pipe()
	return conn, nil
}
func (l *failing) Close() error { return nil }

// TestAcceptIsTriedAgain: for a moment there may be no file descriptor for the connection of a step.
func TestAcceptIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := &step{name: "job", connected: make(chan struct{}), listener: &failing{left: 3, err: &net.OpError{Op: "accept", Err: syscall.EMFILE}}}
	s.accept(t.Context(), log.New(io.Discard, "", 0))
	select {
	case <-s.connected:
		s.close()
	default:
		t.Error("it gave up")
	}
}

// TestAcceptEnds ends the attempts with the job.
func TestAcceptEnds(t *testing.T) {
	t.Parallel()
	life, end := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, end)
	var said bytes.Buffer
	for _, err := range []error{syscall.EMFILE, net.ErrClosed} {
		s := &step{name: "job", connected: make(chan struct{}), listener: &failing{left: 1 << 30, err: err}}
		s.accept(life, log.New(&said, "", 0))
	}
	if said.Len() > 0 {
		t.Errorf("it says %s", said.String())
	}
}
