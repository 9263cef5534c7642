package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// errSilent is the answer of a check that gives none.
var errSilent = fmt.Errorf("no answer within %s", checkTimeout)

// check is a part of Health that is asked.
type check struct {
	every time.Duration
	ask   func(context.Context) error

	mu    sync.Mutex
	last  error
	asked time.Time
	// pending is closed when the function that is under way has answered; nil: none is.
	pending chan struct{}
	// since is when it was called.
	since time.Time
}

// answer returns the last answer, or asks when that is too old. ctx is the patience of the one who wants to know; the
// question goes on without.
func (c *check) answer(ctx context.Context) error {
	c.mu.Lock()
	if c.pending == nil {
		if !c.asked.IsZero() && time.Since(c.asked) < c.every {
			defer c.mu.Unlock()
			return c.last
		}
		c.begin(context.WithoutCancel(ctx))
	}
	pending, left := c.pending, checkTimeout-time.Since(c.since)
	c.mu.Unlock()

	timer := time.NewTimer(max(left, 0))
	defer timer.Stop()
	select {
	case <-pending:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.last
	case <-timer.C:
		return errSilent
	case <-ctx.Done():
		return fmt.Errorf("not waited for: %w", context.Cause(ctx))
	}
}

// begin calls the function; c.mu is held.
func (c *check) begin(ctx context.Context) {
	done := make(chan struct{})
	c.pending, c.since = done, time.Now()
	go func() {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		defer cancel()
		err := c.ask(ctx)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
			err = errSilent
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last, c.asked, c.pending = err, time.Now(), nil
		close(done)
	}()
}
