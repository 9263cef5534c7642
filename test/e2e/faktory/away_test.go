package faktory

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/contribsys/faktory/client"

	"github.com/podrunner/runner/test/e2e/runner"
	"github.com/podrunner/runner/test/faktory"
)

// TestServerComesLater: a runner that starts before its server waits for it, says that it is not ready, and ends within
// two seconds when it is told to.
func TestServerComesLater(t *testing.T) {
	w := newWorld(t)
	_, err := w.server.Push("legacy", nil, job("echo hi"))
	must(t, err)
	must(t, w.server.Kill())

	runner.Within(t, "the stop", 2*time.Second, func() time.Duration {
		early := w.launch(settings{})
		early.Serves()
		time.Sleep(3 * time.Second)
		if early.Ready() {
			t.Error("it is ready, and there is no server")
		}
		begun := time.Now()
		early.Stop()
		return time.Since(begun)
	})

	r := w.launch(settings{})
	r.Serves()
	time.Sleep(3 * time.Second)
	must(t, w.server.Restart(t.Context()))
	wantLog(t, one(t, w.results(1)), []string{"hi"})
	w.eventually("it is ready", r.Ready)
	w.settled()
	r.Stop()
}

// TestDrainWithoutServer: the server is away when jobs end and the runner is told to stop. It ends when the server has
// heard of them.
func TestDrainWithoutServer(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		_, err := w.server.Push("legacy", nil, job("set +xv", "sleep 5", "echo over"))
		must(t, err)
	}
	r := w.run(settings{})
	r.Started(3)
	must(t, w.server.Kill())
	r.Signal(syscall.SIGTERM)
	r.Says("draining")
	time.Sleep(15 * time.Second)
	r.Lives()
	must(t, w.server.Restart(t.Context()))
	r.Ended(0)
	all := w.results(3)
	for _, told := range all {
		wantLog(t, told, []string{"over"})
	}
	if state := w.settled(); state.Failures != 0 || state.Queues["runner"] != 0 {
		t.Errorf("the state is %+v", state)
	}
}

// TestSourceIsKilledAmongJobs kills the source ten times while jobs come and go. A job that was on its way to core at that
// moment comes again when its reservation ends, which is not waited for: it is never lost, and none runs twice.
func TestSourceIsKilledAmongJobs(t *testing.T) {
	w := newWorld(t)
	ran := ranFile(t)
	const jobs = 200
	for i := range jobs {
		_, err := w.server.Push("legacy", func(j *client.Job) { j.SetCustom("opslevel-runner-job-id", fmt.Sprint("job-", i)) },
			job("set +xv", fmt.Sprintf("echo %d >>%s", i, ran), "sleep 0.$(( $$ % 10 ))", "echo over"))
		must(t, err)
	}
	r := w.run(settings{concurrency: 10})
	r.Started(5)
	for range 10 {
		var pid int
		w.eventually("the source runs", func() bool { pid = r.source(); return pid != 0 })
		must(t, syscall.Kill(pid, syscall.SIGKILL))
		w.eventually("another source runs", func() bool { next := r.source(); return next != 0 && next != pid })
		time.Sleep(300 * time.Millisecond)
	}
	all := faktory.Heard{}
	var state faktory.State
	w.eventually("what came to core is over", func() bool {
		w.hear(all)
		var err error
		state, err = w.server.State()
		finished := strings.Count(r.Log.String(), "job finished:")
		return err == nil && state.Queues["runner"] == 0 && finished == all.Outcomes() &&
			int(state.Sets["working"])+finished == jobs && strings.Count(r.Log.String(), "job started:") == finished //nolint:gosec // small numbers
	})
	if n := state.Sets["working"]; n > 10 {
		t.Errorf("%d jobs wait for the end of their reservation, and no more than the source was killed can", n)
	}
	if state.Failures != 0 {
		t.Errorf("the state is %+v", state)
	}
	for id, told := range all {
		if log := plain(told.Lines); !slices.Equal(log, []string{"over"}) || !slices.Equal(told.Outcomes, []string{"success"}) {
			t.Errorf("job %s: %q, %q", id, log, told.Outcomes)
		}
	}
	text, err := os.ReadFile(ran)
	must(t, err)
	lines := strings.Fields(string(text))
	unique := slices.Compact(slices.Sorted(slices.Values(lines)))
	if len(lines) != len(unique) || len(unique) != all.Outcomes() {
		t.Errorf("jobs have run %d times, %d different ones, and %d have an outcome", len(lines), len(unique), all.Outcomes())
	}
	t.Logf("%d of %d jobs wait for the end of their reservation", state.Sets["working"], jobs)
	r.Stop()
}
