package pluginhost

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// Connection is one process of a plugin and the gRPC connection to it. It is safe for concurrent use.
//
// When the process dies, calls on Conn fail at once, with a gRPC status that tells nothing; a moment later Done is
// closed and Err tells what happened. Explain waits for that. When the process lives on, the caller decides whether to
// Condemn it.
type Connection struct {
	title      string
	generation int
	conn       *grpc.ClientConn
	since      time.Time
	redact     func([]byte) []byte

	// Of a process that we have started; nil for one that a developer runs.
	child  *child
	voice  *voice
	client *plugin.Client
	dir    string // go-plugin's directory for the socket

	done      chan struct{}
	err       *Error // set before done is closed
	progress  atomic.Bool
	condemned atomic.Pointer[Error] // why we have ended it ourselves
	closeOnce sync.Once
	closed    chan struct{} // closed when nothing of it is left

	configuring sync.Mutex
	configured  bool
	diagnostics []*pluginv1.Diagnostic
}

// Conn is the connection for gRPC clients. It belongs to the host: the caller does not close it.
func (c *Connection) Conn() grpc.ClientConnInterface { return c.conn }

// Generation counts the processes of a plugin, from 1.
func (c *Connection) Generation() int { return c.generation }

// Done is closed when the process is gone and all that it wrote has been read.
func (c *Connection) Done() <-chan struct{} { return c.done }

// Err returns how the process ended, an *Error; nil as long as it lives.
func (c *Connection) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Progress says that the process has done real work: a result has come. When a process ends that has made progress,
// the count of ends in a row starts anew, and the next process is started at once. Without this, the host can't tell
// a plugin that was killed from outside, in the middle of its work and for the tenth time, from one that dies of its
// own over and over. The caller has to see to it that one job on which a plugin always dies does not go on for ever.
func (c *Connection) Progress() { c.progress.Store(true) }

// Condemn kills the process because it hangs or misbehaves; reason becomes part of Err. The plugin is then restarted
// like one that has died. Only the first reason counts. A process that a developer runs is not killed but let go of.
func (c *Connection) Condemn(reason error) {
	c.condemn(&Error{Plugin: c.title, Reason: Misbehaves, Detail: "was killed by core", Err: reason})
}

func (c *Connection) condemn(why *Error) {
	c.condemned.CompareAndSwap(nil, why)
	if c.child != nil {
		c.child.kill()
		return
	}
	_ = c.conn.Close() // watchReattached sees it
}

// watchChild waits for the end of the process and says how it was.
func (c *Connection) watchChild() {
	<-c.child.gone
	c.voice.close()
	c.finish(&Error{Plugin: c.title, Reason: Ended, Detail: c.child.how()})
	c.cleanUp()
}

// watchReattached waits for the end of a connection to a process that is not ours.
func (c *Connection) watchReattached() {
	ready := false
	for !ready || c.conn.GetState() == connectivity.Ready {
		state := c.conn.GetState()
		if state == connectivity.TransientFailure || state == connectivity.Shutdown {
			break
		}
		ready = ready || state == connectivity.Ready
		c.conn.WaitForStateChange(context.Background(), state) // Shutdown, at the latest, is a change
	}
	c.finish(&Error{
		Plugin: c.title, Reason: Ended, Detail: "runs elsewhere and is no longer there",
		Advice: "Start it again with --debug and use the address that it prints.",
	})
	_ = c.conn.Close()
	close(c.closed)
}

// finish sets how the process ended. What we did to it ourselves counts more than what it looks like.
func (c *Connection) finish(how *Error) {
	if why := c.condemned.Load(); why != nil {
		how = why
	}
	if c.voice != nil && how.Reason != Closed {
		how.Output = c.voice.last()
	}
	c.err = how
	close(c.done)
}

// cleanUp has go-plugin close what it holds. It may hang, rarely; nobody waits for it without a deadline.
func (c *Connection) cleanUp() {
	c.closeOnce.Do(func() {
		go func() {
			defer close(c.closed)
			c.client.Kill()
			_ = os.RemoveAll(c.dir)
		}()
	})
}

// stop ends the process: Drain and Shutdown by ctx, and then as gently as time allows. It returns when the process is
// gone and cleaned up after; the error is for what is left behind.
func (c *Connection) stop(ctx context.Context, limits Limits) error {
	c.condemned.CompareAndSwap(nil, errClosed(c.title))
	if c.child == nil {
		_ = c.conn.Close()
		<-c.closed
		return nil
	}
	c.sayGoodbye(ctx, limits.Stop)
	// Nothing is left to be done: the end of its input, and go-plugin's own call, end the process.
	_ = c.child.lifeline.Close()
	c.cleanUp()
	if !c.awaitGone(ctx, limits.Grace) {
		if ctx.Err() == nil {
			c.child.signal(syscall.SIGTERM)
			c.awaitGone(ctx, limits.Grace)
		}
		c.child.kill()
	}
	timer := time.NewTimer(killTime)
	defer timer.Stop()
	select {
	case <-c.closed:
		return nil
	case <-timer.C:
		return &Error{Plugin: c.title, Reason: Hangs, Detail: "was killed and is still not gone"}
	}
}

// killTime is how long we wait for a process that was killed, and for go-plugin to let go of it.
const killTime = 3 * time.Second

// sayGoodbye calls Drain and Shutdown. What they answer changes nothing: the process ends in any case.
func (c *Connection) sayGoodbye(ctx context.Context, limit time.Duration) {
	// A quarter of what the caller has left is kept for a process that must be killed.
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)*3/4)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	client := pluginv1.NewPluginClient(c.conn)
	if _, err := client.Drain(ctx, &pluginv1.DrainRequest{}); err == nil || !broken(err) {
		_, _ = client.Shutdown(ctx, &pluginv1.ShutdownRequest{})
	}
}

// awaitGone waits for the process to end, and reports whether it did.
func (c *Connection) awaitGone(ctx context.Context, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c.child.gone:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// Explain makes the error of a call or stream on Conn into an *Error that tells why it failed. It waits up to a second
// for the end of the process, which is the usual cause and shows a moment later. ctx is that of the call; call names
// it for people. An error that is the plugin's own answer does not end the process; see Condemn.
func (c *Connection) Explain(ctx context.Context, call string, err error) error {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	if ctx.Err() == nil {
		select {
		case <-c.done:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if ended := c.Err(); ended != nil {
		return ended
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Error{Plugin: c.title, Reason: Hangs, Detail: "did not answer to " + call + " in time"}
	}
	if ctx.Err() != nil {
		return &Error{Plugin: c.title, Reason: Closed, Detail: "was not waited for in " + call, Err: ctx.Err()}
	}
	return &Error{Plugin: c.title, Reason: Misbehaves, Detail: "answered to " + call + " with an error", Err: c.cleanStatus(err)}
}
