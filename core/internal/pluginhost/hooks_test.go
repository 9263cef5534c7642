package pluginhost_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/pluginhost"
)

// told collects what a host tells of its plugins.
type told struct {
	mu     sync.Mutex
	events []string
}

func (o *told) add(event string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, event)
}

func (o *told) options() pluginhost.Options {
	return pluginhost.Options{
		Restarted: func(kind pluginhost.Kind, name string) { o.add(fmt.Sprintf("%s %s restarted", kind, name)) },
		Up:        func(kind pluginhost.Kind, name string, up bool) { o.add(fmt.Sprintf("%s %s up %t", kind, name, up)) },
		Ended: func(kind pluginhost.Kind, name string, why *pluginhost.Error) {
			o.add(fmt.Sprintf("%s %s ended: %s", kind, name, why.Reason))
		},
	}
}

// want waits until the host has told these things and no more.
func (o *told) want(t *testing.T, events ...string) {
	t.Helper()
	for i, e := range events {
		events[i] = "processor echo " + e
	}
	var got []string
	for range 1000 {
		o.mu.Lock()
		got = slices.Clone(o.events)
		o.mu.Unlock()
		if slices.Equal(got, events) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the host has told %q, want %q", got, events)
}

// TestHooks kills a plugin and closes the host. An end that the host brings about is no news.
func TestHooks(t *testing.T) {
	var o told
	f := newFixture(t, o.options(), "echo")
	p := f.launch(t, "echo")
	o.want(t, "up true")
	killNine(t, connect(t, p))
	o.want(t, "up true", "ended: ended", "up false", "restarted", "up true")
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
	o.want(t, "up true", "ended: ended", "up false", "restarted", "up true", "up false")
}

// TestHooksOfARefusal: a plugin that has refused its configuration is stopped.
func TestHooksOfARefusal(t *testing.T) {
	var o told
	f := newFixture(t, o.options(), "echo")
	p := f.launch(t, "echo")
	diagnostics, err := p.Configure(t.Context(), []byte(`{"refuse":true}`))
	if err != nil || len(diagnostics) == 0 {
		t.Fatalf("not refused: %v, %v", diagnostics, err)
	}
	o.want(t, "up true", "up false")
}
