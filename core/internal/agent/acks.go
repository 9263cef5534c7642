package agent

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/podrunner/runner/core/internal/agent/agentv1"
)

// acks sends acknowledgements, the last one of each step, from one goroutine.
type acks struct {
	client *Client
	some   chan struct{}
	// last is closed when there will be no more; done when the goroutine has ended.
	last, done chan struct{}
	lastOnce   sync.Once

	mu      sync.Mutex
	pending map[string]uint64
}

func newAcks(c *Client) *acks {
	a := &acks{
		client: c, some: make(chan struct{}, 1), last: make(chan struct{}), done: make(chan struct{}), pending: map[string]uint64{},
	}
	go a.run()
	return a
}

func (a *acks) add(step string, through uint64) {
	a.mu.Lock()
	a.pending[step] = max(a.pending[step], through)
	a.mu.Unlock()
	select {
	case a.some <- struct{}{}:
	default:
	}
}

func (a *acks) take() map[string]uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	taken := maps.Clone(a.pending)
	clear(a.pending)
	return taken
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
		timer := time.NewTimer(ackInterval)
		select {
		case <-timer.C:
		case <-a.last:
		case <-a.client.life.Done():
		}
		timer.Stop()
	}
}

// send sends what is pending. What can't be sent is needed no more: the helper has gone, or does not know the step.
func (a *acks) send(ctx context.Context) {
	for step, through := range a.take() {
		_ = a.client.try(ctx, func(ctx context.Context) error {
			_, err := a.client.api.Ack(ctx, &agentv1.AckRequest{Step: step, Through: through})
			return err
		})
	}
}

// flush sends what is pending, in a bounded time.
func (a *acks) flush() {
	a.lastOnce.Do(func() { close(a.last) })
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
