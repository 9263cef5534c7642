package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	k8stesting "k8s.io/client-go/testing"
)

func event(uid types.UID, reason string) *corev1.Event {
	return &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: string(uid), UID: uid}, Reason: reason}
}

func reasons(e *events) string {
	text := ""
	for _, event := range e.all() {
		text += event.Reason + " "
	}
	return text
}

func TestEventsOrder(t *testing.T) {
	e := newEvents(cluster(t), "jobs")
	e.see(event("1", "a"))
	before := e.all()
	e.see(event("2", "b"))
	e.see(event("1", "a"))
	if got := reasons(e); got != "b a " {
		t.Errorf("events are %q: one that happens again is the newest", got)
	}
	if len(before) != 1 || before[0].Reason != "a" {
		t.Error("what was handed out has changed")
	}
	for i := range 2 * maxEvents {
		e.see(event(types.UID(fmt.Sprint("more", i)), "c"))
	}
	if n := len(e.all()); n != maxEvents {
		t.Errorf("%d events are kept", n)
	}
}

func TestEventsFollow(t *testing.T) {
	client := cluster(t)
	var watches atomic.Int32
	client.PrependWatchReactor("events", func(a k8stesting.Action) (bool, watch.Interface, error) {
		watched := a.(k8stesting.WatchAction).GetWatchRestrictions() //nolint:forcetypeassert // watches alone come here
		if got, want := watched.Fields.String(), "involvedObject.uid=pod-uid"; got != want {
			t.Errorf("watches %q, want %q", got, want)
		}
		switch watches.Add(1) {
		case 1:
			return true, nil, errors.New("connection refused")
		case 2:
			w := watch.NewFakeWithChanSize(2, false)
			w.Add(event("1", "Scheduled"))
			w.Error(&metav1.Status{Reason: metav1.StatusReasonExpired})
			w.Stop()
			return true, w, nil
		}
		w := watch.NewFakeWithChanSize(1, false)
		w.Add(event("2", "Pulling"))
		return true, w, nil
	})
	e := newEvents(client, "jobs")
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { e.follow(ctx, "pod-uid") })
	deadline := time.After(10 * time.Second)
	for reasons(e) != "Scheduled Pulling " {
		select {
		case <-e.C:
		case <-deadline:
			t.Fatalf("events are %q", reasons(e))
		}
	}
	cancel()
	following.Wait()
}

func TestEventsThatMayNotBeSeen(t *testing.T) {
	client := cluster(t)
	client.PrependWatchReactor("events", func(k8stesting.Action) (bool, watch.Interface, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "", errors.New("no"))
	})
	newEvents(client, "jobs").follow(t.Context(), "pod-uid") // returns
}
