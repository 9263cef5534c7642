package main

import (
	"context"
	"math/rand/v2"
	"time"
)

// Pauses between attempts grow from the first to the last of these.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
)

// backoff is the pause between attempts: of a random length, so that many runners do not come back all at once when a
// server does.
type backoff struct{ bound time.Duration }

// reset makes the next pause a short one.
func (b *backoff) reset() { b.bound = 0 }

// wait pauses. It returns false when ctx has ended.
func (b *backoff) wait(ctx context.Context) bool {
	b.bound = min(max(2*b.bound, firstPause), lastPause)
	timer := time.NewTimer(rand.N(b.bound) + time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
