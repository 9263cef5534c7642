package telemetry

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

func TestHealth(t *testing.T) {
	h := NewHealth()
	ready := func(want string) {
		t.Helper()
		if got := message(h.Ready(t.Context())); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	ready("")
	h.Declare("source faktory")
	h.Declare("plugins")
	ready("plugins: not ready yet\nsource faktory: not ready yet")
	h.Set("plugins", nil)
	ready("source faktory: not ready yet")
	h.Set("source faktory", nil)
	ready("")
	h.Set("source faktory", errGone)
	ready("source faktory: connection refused")
	h.Declare("source faktory") // what is known stays
	ready("source faktory: connection refused")
	h.Set("source faktory", nil)
	ready("")
	h.Set("plugins", errors.New("two\n  lines\x00\xff "+strings.Repeat("é", 500)))
	if got := message(h.Ready(t.Context())); strings.Contains(got, "\n") || !utf8.ValidString(got) || len(got) > 400 {
		t.Errorf("what is wrong is not one short line: %q", got)
	}
	h.Set("plugins", errGone)
	if err := h.Ready(t.Context()); !errors.Is(err, errGone) {
		t.Errorf("the error is lost: %v", err)
	}
}

func TestHealthOfNobody(t *testing.T) {
	var h *Health
	h.Declare("a")
	h.Set("a", errGone)
	h.Check("a", 0, func(context.Context) error { return errGone })
	if err := h.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestCheckIsCached asks often, and the check is asked at most once in its time.
func TestCheckIsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth()
		var asked atomic.Int64
		var wrong atomic.Bool
		h.Check("cluster", 10*time.Second, func(ctx context.Context) error {
			asked.Add(1)
			if _, ok := ctx.Deadline(); !ok {
				t.Error("a check has no deadline")
			}
			time.Sleep(time.Second)
			if wrong.Load() {
				return errGone
			}
			return nil
		})
		var many sync.WaitGroup
		for range 20 {
			many.Go(func() {
				if err := h.Ready(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		many.Wait()
		wrong.Store(true)
		if err := h.Ready(t.Context()); err != nil || asked.Load() != 1 {
			t.Errorf("asked %d times: %v", asked.Load(), err)
		}
		time.Sleep(10 * time.Second)
		if err := h.Ready(t.Context()); !errors.Is(err, errGone) || asked.Load() != 2 {
			t.Errorf("asked %d times: %v", asked.Load(), err)
		}
	})
}

// TestCheckThatHangs: it is not good, it holds nobody up for longer than its bound, and it is not called again meanwhile.
func TestCheckThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth()
		release := make(chan struct{})
		var asked atomic.Int64
		h.Check("cluster", 0, func(context.Context) error {
			asked.Add(1)
			<-release
			return nil
		})
		begun := time.Now()
		err := h.Ready(t.Context())
		if took := time.Since(begun); took != checkTimeout || message(err) != "cluster: no answer within 2s" {
			t.Errorf("after %s: %v", took, err)
		}
		if err := h.Ready(t.Context()); time.Since(begun) != checkTimeout || err == nil || asked.Load() != 1 {
			t.Errorf("asked %d times, after %s: %v", asked.Load(), time.Since(begun), err)
		}
		close(release)
		synctest.Wait()
		if err := h.Ready(t.Context()); err != nil || asked.Load() != 2 {
			t.Errorf("asked %d times: %v", asked.Load(), err)
		}
	})
}

// TestCheckOfTheImpatient: one who goes away does not end the question for the others.
func TestCheckOfTheImpatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth()
		h.Check("cluster", time.Minute, func(ctx context.Context) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := h.Ready(short); err == nil {
			t.Error("ready, though nobody has answered")
		}
		if err := h.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
