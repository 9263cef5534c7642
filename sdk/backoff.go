package sdk

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is the pause between attempts: longer and longer, and of a random length, so that many runners do not come back
// all at once when a remote system does. The zero value pauses for up to 100 ms first, and for up to 10 s in the end. It
// is for one goroutine.
type Backoff struct {
	// First and Last bound the first pause, and the longest; zero: 100 ms and 10 s.
	First, Last time.Duration

	bound time.Duration
}

// Reset makes the next pause a short one.
func (b *Backoff) Reset() { b.bound = 0 }

// Next returns the length of the next pause, for those who wait by themselves.
func (b *Backoff) Next() time.Duration {
	first, last := b.First, b.Last
	if first <= 0 {
		first = 100 * time.Millisecond
	}
	if last <= 0 {
		last = 10 * time.Second
	}
	b.bound = min(max(2*b.bound, first), max(first, last))
	return rand.N(b.bound) + time.Millisecond //nolint:gosec // no secret
}

// Wait pauses. It returns false when ctx has ended.
func (b *Backoff) Wait(ctx context.Context) bool { return Pause(ctx, b.Next()) }

// Pause waits for d. It returns false when ctx has ended, at once when it has.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
