package sdktest_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

// taking is a source that does nothing but take.
type taking struct {
	take func(ctx context.Context, in *sdk.Intake) error
}

func (s *taking) Take(ctx context.Context, in *sdk.Intake) error                 { return s.take(ctx, in) }
func (*taking) Released(context.Context, sdk.Release) error                      { return nil }
func (*taking) Report(context.Context, sdk.Report) error                         { return nil }
func (*taking) AppendLogs(context.Context, sdk.Logs) ([]sdk.RefusedLines, error) { return nil, nil }

func pluginOf(take func(ctx context.Context, in *sdk.Intake) error) sdk.Plugin {
	return sdk.Plugin{Name: "taking", Source: sdk.Jobs(func(context.Context, string, struct{}) (*taking, error) { return &taking{take}, nil })}
}

// TestJobsThatCantBeSent: a job that no message can hold is an error of its offer, and costs no other job the stream.
func TestJobsThatCantBeSent(t *testing.T) {
	good := sdk.Offer{Key: sdk.JobKey{ID: "good", Attempt: 1}, Image: "i", Commands: []string{"c"}}
	for name, change := range map[string]func(o *sdk.Offer){
		"not UTF-8": func(o *sdk.Offer) { o.Variables = []sdk.JobVariable{{Key: "K", Value: "\xff"}} },
		"too large": func(o *sdk.Offer) { o.Files = []sdk.JobFile{{Name: "f", Contents: bytes.Repeat([]byte("x"), 16<<20)}} },
	} {
		t.Run(name, func(t *testing.T) {
			failed := make(chan error, 1)
			r := sdktest.Source(t, pluginOf(func(ctx context.Context, in *sdk.Intake) error {
				claim, err := in.Claim(ctx)
				if err != nil {
					return err
				}
				bad := good
				bad.Key.ID = "bad"
				change(&bad)
				failed <- claim.Offer(bad)
				if claim, err = in.Claim(ctx); err != nil {
					return err
				}
				if err := claim.Offer(good); err != nil {
					return err
				}
				<-ctx.Done()
				return nil
			}), sdktest.SourceOptions{})
			if offer := r.Offer(); offer.Key.ID != "good" {
				t.Errorf("job %s is offered", offer.Key.ID)
			}
			if err := <-failed; !errors.Is(err, sdk.ErrUnsendable) || !strings.Contains(err.Error(), "bad") || strings.Contains(err.Error(), "\xff") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// TestOneTakeAtATime: a Take that waits for the answer of its remote system when the stream breaks is waited for.
func TestOneTakeAtATime(t *testing.T) {
	var running, most atomic.Int32
	begun, answer := make(chan struct{}, 2), make(chan struct{})
	r := sdktest.Source(t, pluginOf(func(ctx context.Context, in *sdk.Intake) error {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer running.Add(-1)
		begun <- struct{}{}
		in.Connected()
		<-answer // as one that has asked for a job
		<-ctx.Done()
		return nil
	}), sdktest.SourceOptions{})
	<-begun
	r.Break()
	r = r.Again(sdktest.SourceOptions{})
	select {
	case <-begun:
		t.Error("another Take has begun before the first one has ended")
		close(answer)
	case <-time.After(100 * time.Millisecond):
		close(answer)
		<-begun
	}
	r.Status(true)
	r.Close()
	if n := most.Load(); n != 1 {
		t.Errorf("%d at a time", n)
	}
}
