package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	httpspdy "k8s.io/apimachinery/pkg/util/httpstream/spdy"
	tunnel "k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/transport/websocket"
)

// portForward connects through the API server and the kubelet: WebSocket where the server has it, else SPDY.
type portForward struct {
	config *rest.Config
	// oldServer is set once the server has refused WebSocket and taken SPDY.
	oldServer atomic.Bool
}

func newPortForward(a *access) *portForward { return &portForward{config: a.config} }

// ready: the kubelet forwards as soon as the pod's network is there, long before it tells the pod's address.
func (f *portForward) ready(pod *corev1.Pod) bool { return pod.Spec.NodeName != "" }

// forwardTimeout bounds a connection attempt: the dialers below would wait for an answer for as long as there is a connection.
const forwardTimeout = 20 * time.Second

// dial makes a connection of its own for each call: streams that share one would be cut together.
func (f *portForward) dial(ctx context.Context, pod *corev1.Pod, port int) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	// The dialers heed deadlines, but not at once that a context ends. What they bring too late is closed.
	go func() {
		ctx, cancel := context.WithTimeout(ctx, forwardTimeout)
		defer cancel()
		conn, err := f.open(ctx, pod)
		if err != nil {
			done <- result{err: err}
			return
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		c, err := forwardStream(conn, port)
		if !stop() && err == nil {
			err = errors.Join(context.Cause(ctx), c.Close())
		}
		done <- result{c, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, r.err
		}
		return r.conn, nil
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil {
				_ = r.conn.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

func (f *portForward) open(ctx context.Context, pod *corev1.Pod) (httpstream.Connection, error) {
	target, err := f.url(pod)
	if err != nil {
		return nil, err
	}
	if !f.oldServer.Load() {
		conn, err := f.openWebSocket(ctx, target)
		if err == nil || !httpstream.IsUpgradeFailure(err) && !httpstream.IsHTTPSProxyError(err) {
			return conn, err
		}
	}
	transport, upgrader, err := spdy.RoundTripperFor(f.config)
	if err != nil {
		return nil, fmt.Errorf("prepare a port-forward: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("prepare a port-forward: %w", err)
	}
	conn, _, err := spdy.Negotiate(upgrader, &http.Client{Transport: transport}, request, portforward.PortForwardProtocolV1Name)
	if err == nil {
		f.oldServer.Store(true)
	}
	return conn, err
}

// openWebSocket does what the dialer of package portforward does, which knows no context.
func (f *portForward) openWebSocket(ctx context.Context, target *url.URL) (httpstream.Connection, error) {
	transport, holder, err := websocket.RoundTripperFor(f.config)
	if err != nil {
		return nil, fmt.Errorf("prepare a port-forward: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("prepare a port-forward: %w", err)
	}
	conn, err := websocket.Negotiate(transport, holder, request, tunnel.WebsocketsSPDYTunnelingPortForwardV1)
	if err != nil {
		return nil, err
	}
	return httpspdy.NewClientConnectionWithPings(portforward.NewTunnelingConnection("client", conn), portforward.PingPeriod)
}

func (f *portForward) url(pod *corev1.Pod) (*url.URL, error) {
	base, _, err := rest.DefaultServerUrlFor(f.config)
	if err != nil {
		return nil, fmt.Errorf("prepare a port-forward: %w", err)
	}
	return base.JoinPath("api", "v1", "namespaces", pod.Namespace, "pods", pod.Name, "portforward"), nil
}

// forwardStream makes the pair of streams that a forwarded connection has. The one for errors comes first, and says at most
// one thing.
func forwardStream(conn httpstream.Connection, port int) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	errs, err := conn.CreateStream(headers)
	if err == nil {
		err = errs.Close() // nothing is written to it
	}
	var data httpstream.Stream
	if err == nil {
		headers.Set(corev1.StreamType, corev1.StreamTypeData)
		data, err = conn.CreateStream(headers)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a stream of the port-forward: %w", err), conn.Close())
	}
	c := &forwarded{Stream: data, conn: conn, refused: make(chan struct{})}
	go c.watch(errs)
	return c, nil
}

// maxRefusal bounds what the other end says of an error.
const maxRefusal = 4 << 10

// forwarded is a forwarded connection. It has no deadlines; those who use it close it.
type forwarded struct {
	httpstream.Stream
	conn httpstream.Connection
	// refused is closed when the stream for errors has ended; refusal is what it said, nil for nothing.
	refused chan struct{}
	refusal error
}

// watch reads the stream for errors. It ends with the connection at the latest.
func (c *forwarded) watch(errs io.Reader) {
	text, err := io.ReadAll(io.LimitReader(errs, maxRefusal))
	if err == nil && len(text) > 0 {
		c.refusal = errors.New(strings.TrimSpace(string(text)))
	}
	close(c.refused) // before the connection ends: whoever reads from it is to be told why
	if c.refusal != nil {
		_ = c.conn.Close()
	}
}

// Read implements net.Conn. An end that has a reason is told with it.
func (c *forwarded) Read(b []byte) (int, error) {
	n, err := c.Stream.Read(b)
	if err != nil {
		select {
		case <-c.refused:
			if c.refusal != nil {
				err = c.refusal
			}
		default:
		}
	}
	return n, err
}

// Close implements net.Conn.
func (c *forwarded) Close() error { return c.conn.Close() }

// LocalAddr and RemoteAddr implement net.Conn; there is nothing to tell.
func (c *forwarded) LocalAddr() net.Addr { return forwardAddr{} }

// RemoteAddr implements net.Conn.
func (c *forwarded) RemoteAddr() net.Addr { return forwardAddr{} }

// SetDeadline implements net.Conn in name only.
func (c *forwarded) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn in name only.
func (c *forwarded) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn in name only.
func (c *forwarded) SetWriteDeadline(time.Time) error { return nil }

type forwardAddr struct{}

func (forwardAddr) Network() string { return "port-forward" }
func (forwardAddr) String() string  { return "port-forward" }
