package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podrunner/runner/core/internal/agent/agentv1"
	"github.com/podrunner/runner/core/internal/record"
	"github.com/podrunner/runner/core/internal/spool"
)

// ErrSkipped says that a step was not run.
var ErrSkipped = errors.New("the step was not run")

// Follower reads the output of one step, over as many connections as it takes. It is for one goroutine at a time.
type Follower struct {
	client *Client
	step   string
	tally  spool.Tally
	stream grpc.ServerStreamingClient[agentv1.TailResponse]
	// hangUp ends the stream; wait is the back-off before the next one.
	hangUp context.CancelFunc
	wait   time.Duration
	exit   *spool.Exit
	ending *Ending
	err    error
}

// Follow reads a step from its first record on.
func (c *Client) Follow(step string) *Follower { return &Follower{client: c, step: step} }

// Next returns the next records. A connection that is lost is made anew, and the records go on where they were. Behind the
// last record the error is io.EOF when there is an exit record, spool.ErrNoExit when there is none and the step is over,
// and ErrSkipped when it was not run; these are final. When ctx ends it is ctx's cause.
func (f *Follower) Next(ctx context.Context) (*record.Batch, error) {
	if f.err != nil {
		return nil, f.err
	}
	defer context.AfterFunc(ctx, func() { f.end() })()
	for {
		m, err := f.receive(ctx)
		switch {
		case err == nil && m.GetEnd() != nil:
			f.err = f.finish(m.GetEnd())
			return nil, f.err
		case err == nil:
			batch, err := f.take(m.GetRecords())
			if err == nil {
				f.wait = 0
				return batch, nil
			}
			f.client.setError(err)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case f.client.life.Err() != nil:
			return nil, errors.New("the client is closed")
		case final(err):
			f.err = f.reason(err)
			return nil, f.err
		}
		f.close()
		if err := sleep(ctx, f.wait); err != nil {
			return nil, err
		}
		f.wait = max(firstWait, min(2*f.wait, lastWait))
	}
}

// end makes a Next that waits return.
func (f *Follower) end() {
	f.client.mu.Lock()
	defer f.client.mu.Unlock()
	if f.hangUp != nil {
		f.hangUp()
	}
}

func (f *Follower) close() {
	f.end()
	f.stream = nil
}

// receive returns the next message, of a new stream if there is none.
func (f *Follower) receive(ctx context.Context) (*agentv1.TailResponse, error) {
	if f.stream == nil {
		life, hangUp := context.WithCancel(f.client.life)
		f.client.mu.Lock()
		f.hangUp = hangUp
		f.client.mu.Unlock()
		if ctx.Err() != nil { // it may have ended before it could hang up
			hangUp()
			return nil, context.Cause(ctx)
		}
		stream, err := f.client.api.Tail(life, &agentv1.TailRequest{Step: f.step, From: f.tally.Records + 1})
		if err != nil {
			return nil, err
		}
		f.stream = stream
	}
	return f.stream.Recv()
}

// take makes a batch of a message, and counts it.
func (f *Follower) take(m *agentv1.Records) (*record.Batch, error) {
	if m.GetFirst() != f.tally.Records+1 {
		return nil, fmt.Errorf("the helper sent record %d in the place of %d", m.GetFirst(), f.tally.Records+1)
	}
	batch, err := unpack(f.step, m)
	if err != nil {
		return nil, err
	}
	f.tally.AddBatch(batch)
	return batch, nil
}

// finish takes the end of the step.
func (f *Follower) finish(end *agentv1.End) error {
	f.close()
	f.ending = endingOf(end.GetEnding())
	switch {
	case len(end.GetExit()) > 0:
		var exit spool.Exit
		if err := json.Unmarshal(end.GetExit(), &exit); err != nil {
			return fmt.Errorf("read the exit record of step %q: %w", f.step, err)
		}
		f.exit = &exit
		return io.EOF
	case end.GetSkipped():
		return ErrSkipped
	}
	return spool.ErrNoExit
}

func (f *Follower) reason(err error) error {
	if status.Code(err) == codes.OutOfRange {
		return fmt.Errorf("the log of step %q can't be read from record %d on: %s", f.step, f.tally.Records+1, status.Convert(err).Message())
	}
	return fmt.Errorf("read the log of step %q: %w", f.step, err)
}

// Exit returns the exit record, once Next has returned io.EOF.
func (f *Follower) Exit() (spool.Exit, bool) {
	if f.exit == nil {
		return spool.Exit{}, false
	}
	return *f.exit, true
}

// Ending returns why the job is ended before its time, as the helper knew at the end of this step; nil when it is not, or
// Next has not come to the end.
func (f *Follower) Ending() *Ending { return f.ending }

// Tally returns that of all records that Next has returned.
func (f *Follower) Tally() spool.Tally { return f.tally }

// setError takes note of why the connection is of no use.
func (c *Client) setError(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialErr = err
}
