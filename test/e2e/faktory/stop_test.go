package faktory

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podrunner/runner/test/e2e/runner"
	"github.com/podrunner/runner/test/faktory"
)

// TestStopIdle: a runner with nothing to do ends within two seconds.
func TestStopIdle(t *testing.T) {
	w := newWorld(t)
	runner.Within(t, "the stop", 2*time.Second, func() time.Duration {
		r := w.run(settings{})
		time.Sleep(500 * time.Millisecond)
		begun := time.Now()
		r.Stop()
		return time.Since(begun)
	})
}

// TestStopWithJobs: jobs that run finish, and are reported, before the runner ends.
func TestStopWithJobs(t *testing.T) {
	w := newWorld(t)
	for range 7 {
		_, err := w.server.Push("legacy", nil, job("sleep 5; echo over"))
		must(t, err)
	}
	r := w.run(settings{concurrency: 5})
	r.Started(5)
	r.Stop()
	all := faktory.Heard{}
	w.hear(all)
	if len(all) != 5 {
		t.Errorf("%d jobs were told of", len(all))
	}
	for id, job := range all {
		if !slices.Equal(job.Outcomes, []string{"success"}) || !strings.Contains(strings.Join(job.Lines, "\n"), "over") {
			t.Errorf("job %s: %q, %q", id, job.Outcomes, job.Lines)
		}
	}
	state, err := w.server.State()
	if err != nil || state.Sets["working"] != 0 || state.Queues["runner"] != 2 {
		t.Errorf("the state is %+v, %v", state, err)
	}
}

// TestDrainTimeout: jobs that do not finish in time are ended, with their logs and results.
func TestDrainTimeout(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		_, err := w.server.Push("legacy", nil, job("set +xv", "trap 'echo last words; exit 1' TERM; echo begin; sleep 300 & wait"))
		must(t, err)
	}
	r := w.run(settings{concurrency: 5, runner: `drain_timeout = "3s"`})
	r.Started(5)
	time.Sleep(time.Second)
	begun := time.Now()
	r.Stop()
	if took := time.Since(begun); took < 3*time.Second || took > time.Minute {
		t.Errorf("it took %s", took)
	}
	all := faktory.Heard{}
	w.hear(all)
	if len(all) != 5 {
		t.Errorf("%d jobs were told of", len(all))
	}
	for id, job := range all {
		log := strings.Join(plain(job.Lines), "\n")
		if !slices.Equal(job.Outcomes, []string{"canceled"}) || !strings.Contains(log, "begin\nlast words\n") || !strings.Contains(log, "drain_timeout (3s)") {
			t.Errorf("job %s: %q\n%s", id, job.Outcomes, log)
		}
	}
	if state := w.settled(); state.Failures != 0 {
		t.Errorf("the state is %+v", state)
	}
}

// TestTwoSignals: the second signal ends the runner at once.
func TestTwoSignals(t *testing.T) {
	w := newWorld(t)
	_, err := w.server.Push("legacy", nil, job("sleep 300"))
	must(t, err)
	r := w.run(settings{})
	r.Started(1)
	r.Signal(syscall.SIGTERM)
	r.Says("draining")
	begun := time.Now()
	r.Signal(syscall.SIGTERM)
	r.Ended(1)
	if took := time.Since(begun); took > 10*time.Second { // drain_timeout is ten minutes
		t.Errorf("it took %s", took)
	}
	if state, err := w.server.State(); err != nil || state.Sets["working"] != 1 {
		t.Errorf("the state is %+v, %v", state, err)
	}
}
