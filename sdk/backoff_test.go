package sdk

import (
	"context"
	"testing"
	"time"
)

func TestBackoffGrows(t *testing.T) {
	for name, tc := range map[string]struct {
		backoff     Backoff
		first, last time.Duration
	}{
		"zero value": {Backoff{}, 100 * time.Millisecond, 10 * time.Second},
		"own bounds": {Backoff{First: time.Second, Last: 3 * time.Second}, time.Second, 3 * time.Second},
		"one bound":  {Backoff{First: time.Minute}, time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			for bound := tc.first; ; bound = min(2*bound, tc.last) {
				for range 20 {
					again := tc.backoff
					if got := again.Next(); got <= 0 || got > bound+time.Millisecond {
						t.Fatalf("a pause of %s, where it is up to %s", got, bound)
					}
				}
				tc.backoff.Next()
				if bound == tc.last {
					break
				}
			}
			tc.backoff.Reset()
			if got := tc.backoff.Next(); got > tc.first+time.Millisecond {
				t.Errorf("a pause of %s after Reset", got)
			}
		})
	}
}

func TestBackoffEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if b := (Backoff{First: time.Hour}); b.Wait(ctx) {
		t.Error("it says that the pause is over")
	}
	if !(&Backoff{First: time.Millisecond}).Wait(t.Context()) {
		t.Error("it says that the context has ended")
	}
}
