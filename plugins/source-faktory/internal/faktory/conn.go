package faktory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/contribsys/faktory/client"
)

// Worker is what a connection says of the process behind it.
type Worker struct {
	// WID names a process that fetches jobs; it is empty for one that only pushes.
	WID    string
	Labels []string
}

// Conn is a connection to a server. It is used by one goroutine at a time.
type Conn struct {
	client *client.Client
	socket *socket
	server *Server
	// broken: an answer may still be on its way, or the connection is gone. It is not to be used again.
	broken bool
	// used is when the last command ended, generation that of the pool at the time of the HELLO.
	used       time.Time
	generation int
}

// socket keeps the deadlines of a connection from the client, which sets five seconds for everything, and answers that are too
// long: the client has room made for whatever length it is told.
type socket struct {
	net.Conn
	answers answers
}

// Read reads, and ends before the length of an answer that is too long.
func (s *socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if good, wrong := s.answers.pass(p[:n]); wrong != nil {
		return good, wrong
	}
	return n, err
}

func (*socket) SetReadDeadline(time.Time) error  { return nil }
func (*socket) SetWriteDeadline(time.Time) error { return nil }

// Dial gives the socket to the client.
func (s *socket) Dial(string, string) (net.Conn, error) { return s, nil }

// handshake is held while the client makes a HELLO, for it takes worker and labels from variables of its package.
var handshake sync.Mutex

// Dial connects and says HELLO.
func Dial(ctx context.Context, server *Server, worker Worker) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, server.DialTimeout)
	defer cancel()
	inner, err := (&net.Dialer{}).DialContext(ctx, "tcp", server.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to Faktory at %s: %w", server.Address, err)
	}
	if server.TLS != nil {
		secure := tls.Client(inner, server.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = inner.Close()
			return nil, fmt.Errorf("TLS with Faktory at %s: %w", server.Address, err)
		}
		inner = secure
	}
	s := &socket{Conn: inner}
	deadline, _ := ctx.Deadline()
	_ = inner.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { _ = inner.SetDeadline(past) })
	made, err := hello(s, server, worker)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = inner.Close()
		// Not wrapped: a server that does not let anybody in has not refused a command.
		return nil, fmt.Errorf("handshake with Faktory at %s: %v", server.Address, err) //nolint:errorlint // see above
	}
	return &Conn{client: made, socket: s, server: server, used: time.Now()}, nil
}

func hello(s *socket, server *Server, worker Worker) (_ *client.Client, err error) {
	handshake.Lock()
	defer handshake.Unlock()
	defer noAnswer(&err)
	client.RandomProcessWid, client.Labels = worker.WID, worker.Labels
	return client.DialWithDialer(&client.Server{Username: server.User}, server.Password, s)
}

// noAnswer, deferred, makes an error of a panic of the client, which takes a line that is none of Faktory's for one.
func noAnswer(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("what answers does not speak Faktory's protocol (%v)", p)
	}
}

// past is a deadline that ends what is waiting.
var past = time.Unix(1, 0)

// do sends one command and returns the answer, empty for none. The command has no line end in it.
func (c *Conn) do(ctx context.Context, timeout time.Duration, command string) (string, error) {
	_ = c.socket.SetDeadline(time.Now().Add(timeout))
	stop := context.AfterFunc(ctx, func() { _ = c.socket.SetDeadline(past) })
	answer, err := c.generic(command)
	if !stop() {
		c.broken = true
	}
	c.used = time.Now()
	if err == nil {
		return answer, nil
	}
	if _, refused := Refused(err); !refused {
		c.broken = true
		if ctx.Err() != nil {
			err = ctx.Err()
		}
	}
	return "", err
}

func (c *Conn) generic(command string) (answer string, err error) {
	defer noAnswer(&err)
	return c.client.Generic(command)
}

// Refused reports whether the server has answered with an error, and its text. Such a command had no effect, and the
// connection can be used on.
func Refused(err error) (text string, ok bool) {
	var refusal *client.ProtocolError
	if !errors.As(err, &refusal) {
		return "", false
	}
	return refusal.Error(), true
}

// idleProbe is how long a connection that has lain idle is looked at before it is used: a closed one says so at once.
const idleProbe = time.Millisecond

// stale reports whether the server has closed the connection meanwhile. Without that look, a command that is sent into
// a closed connection fails and leaves open whether it had an effect.
func (c *Conn) stale() bool {
	if c.broken {
		return true
	}
	if time.Since(c.used) < time.Second {
		return false
	}
	_ = c.socket.SetDeadline(time.Now().Add(idleProbe))
	var one [1]byte
	n, err := c.socket.Read(one[:])
	var timeout net.Error
	return n > 0 || !errors.As(err, &timeout) || !timeout.Timeout()
}

// Close ends the connection.
func (c *Conn) Close() error {
	if c.broken {
		return c.socket.Close()
	}
	_ = c.socket.SetDeadline(time.Now().Add(c.server.CommandTimeout))
	return c.client.Close()
}
