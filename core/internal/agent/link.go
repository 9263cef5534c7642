package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc/credentials"
)

// errClosed is told of a connection that was closed on this side, which nobody does without need.
var errClosed = errors.New("the helper does not answer any more, or has ended")

// link takes note of why there is no connection, which gRPC keeps to itself as long as there is hope.
type link struct {
	dial func(context.Context) (net.Conn, error)
	// lost gets a value after one failure or many.
	lost chan struct{}

	mu  sync.Mutex
	err error
}

// failed takes note of what the last connection, or attempt, has failed with.
func (l *link) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	select {
	case l.lost <- struct{}{}:
	default:
	}
}

func (l *link) lastError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// connect is the dialer of a gRPC channel.
func (l *link) connect(ctx context.Context, _ string) (net.Conn, error) {
	conn, err := l.dial(ctx)
	if err != nil {
		l.failed(err)
	}
	return conn, err
}

// linkCredentials are credentials that tell their link what they see.
type linkCredentials struct {
	credentials.TransportCredentials
	link *link
}

// ClientHandshake implements credentials.TransportCredentials.
func (c linkCredentials) ClientHandshake(ctx context.Context, name string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, name, raw)
	if err != nil {
		c.link.failed(fmt.Errorf("agree on a connection with the helper: %w", err))
		return nil, nil, err
	}
	return linkConn{conn, c.link}, info, nil
}

// Clone implements credentials.TransportCredentials.
func (c linkCredentials) Clone() credentials.TransportCredentials {
	return linkCredentials{c.TransportCredentials.Clone(), c.link}
}

// linkConn is a connection that tells its link how it ended. With TLS 1.3 a helper refuses a certificate only then.
type linkConn struct {
	net.Conn
	link *link
}

// Read implements net.Conn.
func (c linkConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	switch {
	case errors.Is(err, net.ErrClosed):
		c.link.failed(errClosed)
	case err != nil:
		c.link.failed(fmt.Errorf("read from the helper: %w", err))
	}
	return n, err
}
