package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
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

// errClientClosed says that the client of a follower has been closed.
var errClientClosed = errors.New("the client is closed")

// Follower reads the output of one step, over as many connections as it takes. It is for one goroutine at a time.
type Follower struct {
	client *Client
	step   string
	tally  spool.Tally
	stream grpc.ServerStreamingClient[agentv1.TailResponse]
	// hangUp ends the stream, also from another goroutine; hanging guards it.
	hangUp  context.CancelFunc
	hanging sync.Mutex
	// wait is the back-off before the next stream, turn that when somebody else has taken the step: records that come in between
	// do not shorten it, for they come to both, and each would take the step from the other at once.
	wait, turn time.Duration
	// garbled counts messages that could not be read, one after the other, since the first of them came.
	garbled int
	since   time.Time
	exit    *spool.Exit
	ending  *Ending
	err     error
}

// Follow reads a step from its first record on.
func (c *Client) Follow(step string) *Follower {
	return &Follower{client: c, step: step, hangUp: func() {}}
}

// From has the follower begin behind so many records, which are counted as read; their texts are in no checksum. It comes
// before the first Next, or after one that has returned a spool.ReleasedError.
func (f *Follower) From(behind uint64) {
	f.tally = spool.Tally{Records: behind}
	f.err = nil
}

// Next returns the next records. A connection that is lost is made anew, and the records go on where they were. Behind the
// last record the error is io.EOF when there is an exit record, spool.ErrNoExit when there is none and the step is over,
// ErrSkipped when it was not run, and a spool.ReleasedError when the next record has been acknowledged already; these are
// final, and so is the error when the helper's messages can't be read. When ctx ends it is ctx's cause.
func (f *Follower) Next(ctx context.Context) (*record.Batch, error) {
	if f.err != nil {
		return nil, f.err
	}
	defer context.AfterFunc(ctx, f.end)()
	for {
		batch, err := f.receive(ctx)
		switch {
		case err == nil:
			f.wait, f.garbled = 0, 0
			return batch, nil
		case f.err != nil:
			f.close()
			return nil, f.err
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case f.client.life.Err() != nil:
			return nil, errClientClosed
		case final(err):
			f.err = f.reason(err)
			f.close()
			return nil, f.err
		case garbled(err):
			if f.hopeless() {
				f.err = f.reason(fmt.Errorf("%w; that is so each time, so the helper in the pod is not of this version", err))
				f.close()
				return nil, f.err
			}
		case status.Code(err) == codes.Aborted:
			f.turn = max(firstWait, min(2*f.turn, lastWait))
			f.wait = f.turn
		default:
			f.garbled = 0
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
	f.hanging.Lock()
	defer f.hanging.Unlock()
	f.hangUp()
}

func (f *Follower) close() {
	f.end()
	f.stream = nil
}

// receive returns the records of the next message. When it is the End, it sets f.err and returns it.
func (f *Follower) receive(ctx context.Context) (*record.Batch, error) {
	if err := f.open(ctx); err != nil {
		return nil, err
	}
	m, err := f.stream.Recv()
	if err != nil {
		return nil, err
	}
	if end := m.GetEnd(); end != nil {
		f.err = f.finish(end)
		return nil, f.err
	}
	return f.take(m.GetRecords())
}

// open opens a stream, if there is none.
func (f *Follower) open(ctx context.Context) error {
	if f.stream != nil {
		return nil
	}
	life, hangUp := context.WithCancel(f.client.life)
	f.hanging.Lock()
	f.hangUp = hangUp
	f.hanging.Unlock()
	if ctx.Err() != nil { // it may have ended before there was something to hang up
		hangUp()
		return context.Cause(ctx)
	}
	stream, err := f.client.api.Tail(life, &agentv1.TailRequest{Step: f.step, From: f.tally.Records + 1})
	f.stream = stream
	return err
}

// maxGarbled is how many messages that can't be read, one after the other within garbledTime, are no chance any more.
const (
	maxGarbled  = 5
	garbledTime = time.Minute
)

// hopeless takes note of a message that can't be read, and tells whether no other one is to be hoped for.
func (f *Follower) hopeless() bool {
	if f.garbled == 0 || time.Since(f.since) > garbledTime { // a step may be quiet for days
		f.garbled, f.since = 0, time.Now()
	}
	f.garbled++
	return f.garbled == maxGarbled
}

// errGarbled says that a message is not the next batch.
var errGarbled = errors.New("a message of the helper can't be read")

// garbled tells whether a message has come and can't be read. gRPC has codes of its own for what it can't decode, and for what
// is too large.
func garbled(err error) bool {
	code := status.Code(err)
	return errors.Is(err, errGarbled) || code == codes.Internal || code == codes.ResourceExhausted
}

// take makes a batch of a message, and counts it. What is not the next batch is the fault of whoever is at the other end; the
// next one may do better.
func (f *Follower) take(m *agentv1.Records) (*record.Batch, error) {
	if m.GetFirst() != f.tally.Records+1 {
		return nil, fmt.Errorf("%w: it begins with record %d in the place of %d", errGarbled, m.GetFirst(), f.tally.Records+1)
	}
	batch, err := unpack(f.step, m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGarbled, err)
	}
	f.tally.AddBatch(batch)
	f.client.acks.received(f.step, batch.Len(), spool.BatchBytes(batch))
	return batch, nil
}

// finish takes the end of the step.
func (f *Follower) finish(end *agentv1.End) error {
	f.ending = endingOf(end.GetEnding())
	err := spool.ErrNoExit
	switch {
	case len(end.GetExit()) > 0:
		var exit spool.Exit
		if err := json.Unmarshal(end.GetExit(), &exit); err != nil {
			return fmt.Errorf("read the exit record of step %q: %w", f.step, err)
		}
		f.exit, err = &exit, io.EOF
	case end.GetSkipped():
		err = ErrSkipped
	}
	f.client.acks.ended(f.step)
	return err
}

func (f *Follower) reason(err error) error {
	if gone := released(err, f.tally.Records+1); gone != nil {
		err = gone
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
