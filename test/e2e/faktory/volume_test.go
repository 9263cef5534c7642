package faktory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podrunner/runner/test/faktory"
)

// TestStalledPush: a job prints a gigabyte while the server takes nothing. The job waits, and completes after that.
func TestStalledPush(t *testing.T) {
	w := newWorld(t)
	const size, line = 1 << 30, 128
	text := strings.Repeat("x", line-1)
	_, err := w.server.Push("legacy", nil, job("set +xv", fmt.Sprintf("yes %s | head -c %d", text, size)))
	must(t, err)
	w.proxy.Judge(func(command string) faktory.Verdict {
		if strings.HasPrefix(command, "PUSH ") {
			return faktory.Hold
		}
		return faktory.Pass
	})
	r := w.run(settings{processors: "processor \"outcome\" {}\n  processor \"sanitize\" {}"})
	r.Started(1)
	time.Sleep(20 * time.Second)
	if strings.Contains(r.Log.String(), "job finished") {
		t.Fatal("the job did not wait")
	}
	stalled := r.Peak()
	w.proxy.Judge(nil)
	w.proxy.Release()
	lines, outcomes := 0, []string(nil)
	seen := map[string]bool{}
	deadline := time.Now().Add(10 * time.Minute)
	for len(outcomes) == 0 {
		list, err := w.server.FollowUps(context.Background())
		must(t, err)
		for _, f := range list {
			if seen[f.JID] {
				continue
			}
			seen[f.JID] = true
			for _, l := range f.Lines {
				if l == text {
					lines++
				} else if l != "+ set +xv" {
					t.Fatalf("a line is %q", l)
				}
			}
			if f.Outcome != "" {
				outcomes = append(outcomes, f.Outcome)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %d lines there is no end", lines)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if lines != size/line || !slices.Equal(outcomes, []string{"success"}) {
		t.Errorf("%d lines have come, want %d; the outcomes are %q", lines, size/line, outcomes)
	}
	t.Logf("peak memory of core: %d MiB while the source was stalled, %d MiB in all", stalled, r.Peak())
	w.settled()
	r.Stop()
}
