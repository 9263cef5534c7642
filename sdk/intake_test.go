package sdk

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// heard is an Intake, and what it has told core.
type heard struct {
	*Intake
	messages []*pluginv1.JobsResponse
	err      error
}

func listen() *heard {
	h := &heard{}
	h.Intake = newIntake(&pluginv1.JobsRequest_Hello{Runner: "r", Concurrency: 3, Running: []*pluginv1.JobKey{{Id: "old", Attempt: 2}}},
		&offers{}, func(m *pluginv1.JobsResponse) error {
			h.messages = append(h.messages, m)
			return h.err
		})
	return h
}

func (h *heard) credit(t *testing.T, number, seen uint64, slots uint32) {
	t.Helper()
	if err := h.grant(&pluginv1.JobsRequest_Credit{Number: number, OffersSeen: seen, Slots: slots}); err != nil {
		t.Fatal(err)
	}
}

// drain has core take no more jobs.
func (h *heard) drain(t *testing.T, number, seen uint64) {
	t.Helper()
	if err := h.grant(&pluginv1.JobsRequest_Credit{Number: number, OffersSeen: seen, Draining: true}); err != nil {
		t.Fatal(err)
	}
}

// claims returns the last Claims.
func (h *heard) claims() *pluginv1.JobsResponse_Claims {
	for i := len(h.messages) - 1; i >= 0; i-- {
		if c := h.messages[i].GetClaims(); c != nil {
			return c
		}
	}
	return nil
}

// tryClaim claims if there is a slot at once.
func (h *heard) tryClaim(t *testing.T) *Claim {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	claim, err := h.Claim(ctx)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	return claim
}

func TestIntakeKnowsTheRunner(t *testing.T) {
	h := listen()
	if h.Runner() != "r" || h.Concurrency() != 3 || len(h.Running()) != 1 || h.Running()[0] != (JobKey{"old", 2}) {
		t.Errorf("got %q, %d, %v", h.Runner(), h.Concurrency(), h.Running())
	}
}

// TestClaimsStayWithinCredit: an offer that core had not seen when it granted counts against the credit.
func TestClaimsStayWithinCredit(t *testing.T) {
	h := listen()
	if h.tryClaim(t) != nil {
		t.Fatal("there was a slot before there was credit")
	}
	h.credit(t, 1, 0, 2)
	first, second := h.tryClaim(t), h.tryClaim(t)
	if first == nil || second == nil || h.tryClaim(t) != nil {
		t.Fatal("with a credit of 2 there are not two claims")
	}
	if err := first.Offer(Offer{Key: JobKey{ID: "1"}}); err != nil {
		t.Fatal(err)
	}
	h.credit(t, 2, 0, 1) // sent before core has seen the offer
	if h.tryClaim(t) != nil {
		t.Error("an offer on its way does not count")
	}
	if c := h.claims(); c.GetCredit() != 2 || c.GetOffersMade() != 1 || c.GetOpen() != 1 {
		t.Errorf("core is told of %v", c)
	}
	select {
	case <-second.Revoked():
		t.Error("a claim is revoked, though core goes on: a job may be on its way to it")
	default:
	}
	second.Drop()
	if c := h.claims(); c.GetOpen() != 0 {
		t.Errorf("after the end of a claim that was over the credit core is told of %v", c)
	}
	h.credit(t, 3, 1, 1)
	third := h.tryClaim(t)
	if third == nil {
		t.Fatal("a seen offer still counts")
	}
	h.drain(t, 4, 1)
	select {
	case <-third.Revoked():
	default:
		t.Error("a claim is not revoked, though core takes no more jobs")
	}
}

func TestClaimWaitsForCredit(t *testing.T) {
	h := listen()
	got := make(chan error)
	go func() {
		_, err := h.Claim(t.Context())
		got <- err
	}()
	h.credit(t, 1, 0, 1)
	if err := <-got; err != nil {
		t.Error(err)
	}
	go func() {
		_, err := h.Claim(t.Context())
		got <- err
	}()
	h.end()
	if err := <-got; err == nil {
		t.Error("a claim outlived the stream")
	}
}

func TestOffersThatFail(t *testing.T) {
	for name, test := range map[string]struct {
		offer Offer
		err   string
	}{
		"no id":        {Offer{}, "no id"},
		"large handle": {Offer{Key: JobKey{ID: "1"}, Handle: make([]byte, 5000)}, "5000 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			h := listen()
			h.credit(t, 1, 0, 1)
			if err := h.tryClaim(t).Offer(test.offer); err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("the error is %v", err)
			}
			if h.tryClaim(t) == nil {
				t.Error("the slot is gone")
			}
		})
	}
	t.Run("broken stream", func(t *testing.T) {
		h := listen()
		h.credit(t, 1, 0, 1)
		claim := h.tryClaim(t)
		h.err = errors.New("broken")
		if err := claim.Offer(Offer{Key: JobKey{ID: "1"}}); err == nil || !strings.Contains(err.Error(), "offer job 1: broken") {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("twice", func(t *testing.T) {
		h := listen()
		h.credit(t, 1, 0, 2)
		claim := h.tryClaim(t)
		if err := claim.Offer(Offer{Key: JobKey{ID: "1"}}); err != nil {
			t.Fatal(err)
		}
		claim.Drop()
		if err := claim.Offer(Offer{Key: JobKey{ID: "2"}}); err == nil {
			t.Error("a claim was used twice")
		}
	})
}

// TestClaimContext: what asks the remote system is broken off when core wants the slot back and patience is over, and by
// nothing else.
func TestClaimContext(t *testing.T) {
	h := listen()
	h.credit(t, 1, 0, 1)
	claim := h.tryClaim(t)
	ctx, cancel := context.WithCancel(t.Context())
	asking, release := claim.Context(ctx, 50*time.Millisecond)
	defer release()
	cancel()
	if asking.Err() != nil {
		t.Error("the end of the context that it is made of ends it")
	}
	begun := time.Now()
	h.drain(t, 2, 0)
	select {
	case <-asking.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	if took := time.Since(begun); took < 50*time.Millisecond || !errors.Is(context.Cause(asking), ErrRevoked) {
		t.Errorf("it has ended after %s: %v", took, context.Cause(asking))
	}
	asking, release = claim.Context(t.Context(), time.Hour)
	release()
	if errors.Is(context.Cause(asking), ErrRevoked) || asking.Err() == nil {
		t.Errorf("released, it is %v", context.Cause(asking))
	}
}
