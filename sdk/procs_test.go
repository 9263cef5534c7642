package sdk

import (
	"runtime"
	"testing"
)

// TestProcsFollowJobs: a process with one job runs on one processor, and one with more jobs on no more than it had.
func TestProcsFollowJobs(t *testing.T) {
	before := runtime.GOMAXPROCS(3)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	p := newProcs()
	for i, step := range []struct{ jobs, want int }{{0, 1}, {1, 1}, {1, 2}, {2, 3}, {-1, 3}, {-2, 1}, {-1, 1}} {
		p.add(step.jobs)
		if got := runtime.GOMAXPROCS(0); got != step.want {
			t.Errorf("step %d, %+d jobs: GOMAXPROCS is %d, want %d", i, step.jobs, got, step.want)
		}
	}
}
