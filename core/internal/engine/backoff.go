package engine

import (
	"context"
	"math/rand/v2"
	"time"
)

// Between two tries the wait is a random part of a bound that doubles from first to most, so that runners which lost the
// same server do not come back to it at once.
const (
	firstWait = 200 * time.Millisecond
	mostWait  = 15 * time.Second
)

// backoff waits longer and longer between tries. The zero value is ready.
type backoff struct{ tries int }

// next returns how long to wait before the next try.
func (b *backoff) next() time.Duration {
	bound := mostWait
	if b.tries < 10 {
		bound = min(bound, firstWait<<b.tries)
	}
	b.tries++
	return bound/10 + rand.N(bound*9/10) //nolint:gosec // no secret
}

// wait waits before the next try, or until sooner is closed. It reports false when ctx has ended.
func (b *backoff) wait(ctx context.Context, sooner <-chan struct{}) bool {
	timer := time.NewTimer(b.next())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-sooner:
	case <-ctx.Done():
		return false
	}
	return ctx.Err() == nil
}
