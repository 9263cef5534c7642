package agent

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/connectivity"

	"github.com/podrunner/runner/core/internal/agent/agentv1"
)

const (
	// ackInterval is how often, as a rule, acknowledgements are sent at most.
	ackInterval = 250 * time.Millisecond
	// ackBytes of records that are needed no more are a reason to say so at once: a job that prints so much soon waits for
	// room. Core does not know how large the spool is; this is a good part of a small one, and some hundred calls a second
	// for a job that prints a hundred megabytes in it.
	ackBytes = 256 << 10
	// flushTime is what the last acknowledgements have when a client is closed.
	flushTime = 500 * time.Millisecond
)

// acks sends acknowledgements, the last one of each step, from one goroutine.
type acks struct {
	client *Client
	// some gets a value when there are some to send, urgent when they can't wait for ackInterval to be over.
	some, urgent chan struct{}
	// last is closed when there will be no more; done when the goroutine has ended.
	last, done chan struct{}
	lastOnce   sync.Once

	mu    sync.Mutex
	steps map[string]*stepAck
}

// stepAck is what a step has to be told.
type stepAck struct {
	// through is the last record that is needed no more, sent what the helper knows of that. end: the End has come; endSent
	// says that the helper knows.
	through, sent uint64
	end, endSent  bool
	// records and bytes count what has come, as it is in the spool.
	records, bytes uint64
}

func newAcks(c *Client) *acks {
	a := &acks{
		client: c, some: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		last: make(chan struct{}), done: make(chan struct{}), steps: map[string]*stepAck{},
	}
	go a.run()
	return a
}

// step returns a step. The caller holds the lock.
func (a *acks) step(name string) *stepAck {
	s := a.steps[name]
	if s == nil {
		s = &stepAck{}
		a.steps[name] = s
	}
	return s
}

// received takes note of records that have come.
func (a *acks) received(step string, records, bytes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.step(step)
	s.records += uint64(records)
	s.bytes += uint64(bytes)
}

// add has an acknowledgement sent.
func (a *acks) add(step string, through uint64) {
	a.mu.Lock()
	s := a.step(step)
	more := through > s.through
	if more {
		s.through = through
	}
	urgent := s.end && s.through >= s.records || s.unsent() >= ackBytes
	a.mu.Unlock()
	if more {
		a.notify(urgent)
	}
}

// unsent is about the number of bytes of the records of which the helper does not know that they are needed no more.
func (s *stepAck) unsent() uint64 {
	if s.records == 0 {
		return 0
	}
	return (s.through - s.sent) * (s.bytes / s.records)
}

// ended has the helper told that the End of a step has come.
func (a *acks) ended(step string) {
	a.mu.Lock()
	a.step(step).end = true
	a.mu.Unlock()
	a.notify(true)
}

func (a *acks) notify(urgent bool) {
	wake(a.some)
	if urgent {
		wake(a.urgent)
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (a *acks) run() {
	defer close(a.done)
	for {
		select {
		case <-a.some:
			a.send(a.client.life)
		case <-a.last:
			a.send(a.client.life)
			return
		case <-a.client.life.Done():
			return
		}
		a.pause()
	}
}

// pause lets acknowledgements gather.
func (a *acks) pause() {
	timer := time.NewTimer(ackInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.urgent:
	case <-a.last:
	case <-a.client.life.Done():
	}
}

// send sends what the helper does not know, as soon as there is a connection.
func (a *acks) send(ctx context.Context) {
	for _, r := range a.requests() {
		_, err := a.client.api.Ack(ctx, r)
		switch {
		case err == nil:
			a.know(r)
		case !final(err): // there may be no other: a job whose spool is full prints nothing until this one has come
			wake(a.some)
		}
	}
}

// requests returns what is to be sent.
func (a *acks) requests() []*agentv1.AckRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []*agentv1.AckRequest
	for name, s := range a.steps {
		if s.through > s.sent || s.end && !s.endSent {
			list = append(list, &agentv1.AckRequest{Step: name, Through: s.through, End: s.end})
		}
	}
	return list
}

// know takes note of what the helper knows.
func (a *acks) know(r *agentv1.AckRequest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.step(r.GetStep())
	s.sent, s.endSent = r.GetThrough(), r.GetEnd()
}

// flush sends what is pending, in a bounded time, if there is a connection. There are no more.
func (a *acks) flush() {
	a.lastOnce.Do(func() { close(a.last) })
	if a.client.conn.GetState() != connectivity.Ready {
		return
	}
	timer := time.NewTimer(flushTime)
	defer timer.Stop()
	select {
	case <-a.done:
	case <-timer.C:
	case <-a.client.life.Done():
	}
}

// wait waits for the end of the goroutine; the client's life has ended.
func (a *acks) wait() { <-a.done }
