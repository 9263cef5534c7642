package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxRetryAfter bounds how long the API can have us wait: a header is no reason to do nothing for a day.
const maxRetryAfter = 2 * time.Minute

// gate holds requests back as long as the API has asked for it.
type gate struct {
	mu    sync.Mutex
	until time.Time
}

// shut holds requests back for a while, if they are not already for longer.
func (g *gate) shut(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until := time.Now().Add(min(d, maxRetryAfter)); until.After(g.until) {
		g.until = until
	}
}

// pass waits until requests may be sent. When ctx would end before that, it does not wait at all.
func (g *gate) pass(ctx context.Context) error {
	for {
		g.mu.Lock()
		until := g.until
		g.mu.Unlock()
		wait := time.Until(until)
		if wait <= 0 {
			return ctx.Err()
		}
		if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
			return &Error{
				Operation: "wait", Kind: Throttled,
				Message: fmt.Sprintf("the API has asked not to be called for another %s", wait.Round(time.Second)),
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// retryAfter reads the header of that name: seconds, or a date by the clock of whoever wrote it, where it is now.
func retryAfter(header string, now time.Time) time.Duration {
	seconds, err := strconv.ParseUint(header, 10, 31)
	if errors.Is(err, strconv.ErrRange) {
		return maxRetryAfter
	}
	if err == nil {
		return max(time.Duration(seconds)*time.Second, time.Second)
	}
	if date, err := http.ParseTime(header); err == nil && date.After(now) {
		return max(date.Sub(now), time.Second)
	}
	return 0
}
