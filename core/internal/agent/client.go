package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/podrunner/runner/core/internal/agent/agentv1"
)

const (
	// firstWait and lastWait bound the back-off of connections and of calls.
	firstWait = 50 * time.Millisecond
	lastWait  = 2 * time.Second
	// connectTime bounds one attempt to connect, the handshake included.
	connectTime = 20 * time.Second
	// bufferBytes is the size of a connection's buffers: a batch fits.
	bufferBytes = 32 << 10
)

// Client is core's end. It connects whenever it has no connection, and tries what has failed again, for as long as it lives.
// Its methods are safe for concurrent use, but for Close, which is the last one to be called.
type Client struct {
	conn *grpc.ClientConn
	api  agentv1.AgentClient
	link *link
	acks *acks
	// life ends with Close; watches are the goroutines of Watch.
	life    context.Context
	end     context.CancelFunc
	watches sync.WaitGroup
}

// NewClient makes a client whose connections dial makes. dial may wait until there is something to connect to.
func NewClient(keys Keys, dial func(context.Context) (net.Conn, error)) (*Client, error) {
	tls, err := keys.tls()
	if err != nil {
		return nil, err
	}
	c := &Client{link: &link{dial: dial, lost: make(chan struct{}, 1)}}
	c.conn, err = grpc.NewClient("passthrough:///pod",
		grpc.WithTransportCredentials(linkCredentials{credentials.NewTLS(tls), c.link}),
		grpc.WithContextDialer(c.link.connect),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstWait, Multiplier: 1.6, Jitter: 0.2, MaxDelay: lastWait},
			MinConnectTimeout: connectTime,
		}),
		grpc.WithIdleTimeout(0), // a job may be quiet for hours
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		grpc.WithReadBufferSize(bufferBytes), grpc.WithWriteBufferSize(bufferBytes),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingInterval, Timeout: pingTimeout, PermitWithoutStream: true}),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
	)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	c.api = agentv1.NewAgentClient(c.conn)
	c.life, c.end = context.WithCancel(context.Background())
	c.acks = newAcks(c)
	c.conn.Connect()
	return c, nil
}

// Connect has the client try at once to connect, if it has no connection.
func (c *Client) Connect() {
	c.conn.ResetConnectBackoff()
	c.conn.Connect()
}

// LastError returns why there is no connection; nil when there is one, or none has been tried.
func (c *Client) LastError() error {
	if c.conn.GetState() == connectivity.Ready {
		return nil
	}
	return c.link.lastError()
}

// Lost returns a channel that gets a value after one connection, or attempt to connect, has failed, or several have.
func (c *Client) Lost() <-chan struct{} { return c.link.lost }

// Cancel ends the job: TERM, and KILL after grace. It tries until the helper has taken it, or ctx ends.
func (c *Client) Cancel(ctx context.Context, grace time.Duration) error {
	err := c.try(ctx, func(ctx context.Context) (bool, error) {
		_, err := c.api.Cancel(ctx, &agentv1.CancelRequest{GraceNs: int64(grace)})
		return false, err
	})
	if err != nil {
		return fmt.Errorf("have the helper end the job: %w", err)
	}
	return nil
}

// Ack says that the records of a step up to through are needed no longer. It does not wait. It is sent within a fraction of a
// second, and at once when it is the last one of the step or when a good deal has gathered. What is not sent when the client
// is closed is sent then, if there is a connection.
func (c *Client) Ack(step string, through uint64) { c.acks.add(step, through) }

// Watch returns the states of the steps, until ctx ends or the client is closed; then it closes the channel. A reader that is
// slow misses some, never the last one.
func (c *Client) Watch(ctx context.Context) <-chan State {
	states := make(chan State, 1)
	c.watches.Go(func() {
		defer close(states)
		_ = c.try(ctx, func(ctx context.Context) (came bool, err error) {
			stream, err := c.api.Status(ctx, &agentv1.StatusRequest{})
			for err == nil {
				var m *agentv1.State
				if m, err = stream.Recv(); err == nil {
					came = true
					put(states, stateOf(m))
				}
			}
			return came, err
		})
	})
	return states
}

// put puts a state into the channel, in the place of one that nobody has taken.
func put(states chan State, s State) {
	select {
	case <-states:
	default:
	}
	states <- s
}

// try calls until there is no error, or one that stays, or ctx ends, or the client is closed. A call that has got somewhere
// before it failed is made again at once.
func (c *Client) try(ctx context.Context, call func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		somewhere, err := call(ctx)
		if err == nil || final(err) {
			return err
		}
		if somewhere {
			wait = firstWait
		}
		if err := sleep(ctx, wait); err != nil {
			return errors.Join(err, c.LastError())
		}
	}
}

// final tells whether an error stays when the call is made again.
func final(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.Unimplemented, codes.FailedPrecondition, codes.DataLoss:
		return true
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends all calls. The last acknowledgements are sent before, if there is a connection. A second call does nothing.
func (c *Client) Close() error {
	select {
	case <-c.life.Done():
		return nil
	default:
	}
	c.acks.flush()
	c.end()
	c.acks.wait()
	c.watches.Wait()
	if err := c.conn.Close(); err != nil {
		return fmt.Errorf("close the connection to the helper: %w", err)
	}
	return nil
}
