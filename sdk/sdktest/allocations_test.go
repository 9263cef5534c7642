package sdktest

import (
	"strings"
	"testing"

	"github.com/podrunner/runner/sdk"
)

func TestAllocations(t *testing.T) {
	lines := Lines(strings.Split(strings.Repeat("a line\n", 300), "\n")...)
	prefix := []byte("prefix ")
	var kept []byte
	for _, c := range []struct {
		name        string
		line        lineFunc
		least, most float64
	}{
		{"nothing", func(*sdk.Line) error { return nil }, 0, 10},
		{"an edit of each line", func(l *sdk.Line) error { l.Splice(0, 0, prefix); return nil }, 0, 20},
		{"an allocation for each line", func(*sdk.Line) error { kept = make([]byte, 100); return nil }, 300, 320},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Allocations(t, pluginOf(func() lineFunc { return c.line }), Job{}, lines...)
			if got < c.least || got > c.most {
				t.Errorf("%v allocations a batch, want %v to %v", got, c.least, c.most)
			}
		})
	}
	_ = kept
	got := message(t, func(t testing.TB) {
		Allocations(t, pluginOf(func() lineFunc { return nil }), Job{}, Lines(strings.Repeat("x", 40<<10))...)
	})
	if !strings.Contains(got, "make 2 batches") {
		t.Errorf("lines that do not fit into a batch: %q", got)
	}
}
