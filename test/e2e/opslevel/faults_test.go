package opslevel

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/plugins/source-opslevel/opsleveltest"
	"github.com/podrunner/runner/test/e2e/runner"
)

// same compares the log of a job with what it has to be. The outcome has to be success.
func same(t *testing.T, j opsleveltest.JobState, log string, repeated int) {
	t.Helper()
	got, twice := once(j)
	if got = untraced(got); got != log {
		t.Errorf("the log (-want +got):\n%.3000s", cmp.Diff(log, got))
	}
	if j.Outcome != "success" {
		t.Errorf("the outcome is %s", j.Outcome)
	}
	if twice > repeated {
		t.Errorf("%d chunks came twice, want %d at most", twice, repeated)
	}
}

// TestAPIIsDown: the API is away for a minute, in the middle of a job and beyond its end.
func TestAPIIsDown(t *testing.T) {
	w := newWorld(t, opsleveltest.Options{})
	// It prints for half a minute, and then is over.
	ids := w.api.Add(shell("for i in $(seq 300); do echo $i; sleep 0.1; done", "echo ::set-outcome-var a=b"))
	r := w.run(settings{deliver: `max_interval = "1s"`, processors: `processor "outcome" {}`})
	w.await("a part of the log", func() bool { j, _ := w.api.Job(ids[0]); return len(j.Chunks) >= 3 })
	w.api.Down()
	time.Sleep(time.Minute)
	if r.Ready() {
		t.Error("the runner says that all is well while the API is away")
	}
	must(t, w.api.Up())
	up := time.Now()
	j := w.results(ids)[0]
	if took := time.Since(up); took > 30*time.Second {
		t.Errorf("the report came %s after the API was back", took)
	}
	same(t, j, numbered(300), 1) // one may have been under way when the API went
	if len(j.OutcomeVariables) != 1 {
		t.Errorf("the variables are %v", j.OutcomeVariables)
	}
	if n := len(w.api.Runners()); n != 1 {
		t.Errorf("%d runners have registered", n)
	}
	r.AwaitReady()
	r.Stop()
	w.unregistered()
}

// TestOneRequestInThreeFails: for a whole run, one in three requests is answered with 500, or not at all; and the answers
// of one append in ten are lost.
func TestOneRequestInThreeFails(t *testing.T) {
	w := newWorld(t, opsleveltest.Options{})
	const jobs, lines = 10, 2000
	var ids []string
	for range jobs {
		ids = append(ids, w.api.Add(shell(fmt.Sprintf("seq %d", lines)))...)
	}
	var lost atomic.Int64
	random := rand.New(rand.NewPCG(1, 2))
	verdicts := make(chan int, 1)
	verdicts <- 0
	w.api.Judge(func(r *opsleveltest.Request) *opsleveltest.Fault {
		n := <-verdicts
		dice := random.IntN(30)
		verdicts <- n + 1
		switch {
		case dice < 5:
			return &opsleveltest.Fault{Status: 500, Body: "oops"}
		case dice < 10:
			return &opsleveltest.Fault{Drop: true}
		case dice < 13 && r.Operation == appends:
			lost.Add(1)
			return &opsleveltest.Fault{Drop: true, After: true}
		}
		return nil
	})
	r := w.run(settings{deliver: `max_bytes = "1KiB"`})
	for i, j := range w.results(ids) {
		log, _ := once(j)
		if log = untraced(log); log != numbered(lines) || j.Outcome != "success" {
			t.Errorf("job %d: outcome %s, log (-want +got):\n%.2000s", i, j.Outcome, cmp.Diff(numbered(lines), log))
		}
	}
	var twice int
	for _, id := range ids {
		j, _ := w.api.Job(id)
		_, n := once(j)
		twice += n
	}
	if int64(twice) > lost.Load() {
		t.Errorf("%d chunks came twice, and the answers of %d were lost", twice, lost.Load())
	}
	t.Logf("%d requests, %d answers lost, %d chunks twice", len(w.api.Requests()), lost.Load(), twice)
	w.api.Judge(nil)
	r.Stop()
	w.unregistered()
}

// TestThrottled: the API asks not to be called for a while, and is not.
func TestThrottled(t *testing.T) {
	w := newWorld(t, opsleveltest.Options{})
	ids := w.api.Add(shell("seq 100"))
	var until atomic.Int64
	w.api.Judge(func(r *opsleveltest.Request) *opsleveltest.Fault {
		if now := time.Now().UnixMilli(); r.Operation != "RunnerUnregister" && now < until.Load() {
			t.Errorf("%s comes %d ms too early", r.Operation, until.Load()-now)
		}
		if r.Operation == appends && r.Number == 1 {
			until.Store(time.Now().Add(3 * time.Second).UnixMilli())
			return &opsleveltest.Fault{Status: 429, RetryAfter: "3"}
		}
		return nil
	})
	r := w.run(settings{})
	same(t, w.results(ids)[0], numbered(100), 0)
	r.Stop()
	w.unregistered()
}

// TestAnswersAreLost: each operation has its effect once, but its answer does not come, or comes as 504.
func TestAnswersAreLost(t *testing.T) {
	for name, fault := range map[string]opsleveltest.Fault{
		"504":   {Status: 504, After: true},
		"reset": {Drop: true, After: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, opsleveltest.Options{})
			ids := w.api.Add(shell("seq 5000"))
			w.api.Judge(func(r *opsleveltest.Request) *opsleveltest.Fault {
				if r.Operation == appends && r.Number == 2 || r.Operation == reports && r.Number == 1 {
					return &fault
				}
				return nil
			})
			r := w.run(settings{deliver: `max_bytes = "1KiB"`})
			same(t, w.results(ids)[0], numbered(5000), 1)
			r.Stop()
			w.unregistered()
			if text := r.Log.String(); strings.Contains(text, "is lost") {
				t.Error("the log says that something is lost")
			}
		})
	}
}

// TestBadLine: a line that the API does not take costs no other, and the log says so.
func TestBadLine(t *testing.T) {
	w := newWorld(t, opsleveltest.Options{RefuseLine: func(line []byte) bool { return string(line) == "77" }})
	ids := w.api.Add(shell("seq 100", "sleep 1", "echo end"))
	r := w.run(settings{deliver: `max_interval = "200ms"`})
	j := w.results(ids)[0]
	got := untraced(j.Log())
	want := strings.Replace(numbered(100), "77\n", "", 1)
	if !strings.HasPrefix(got, want) || !strings.Contains(got, "[runner] 1 lines from line ") || !strings.Contains(got, "end\n") || j.Outcome != "success" {
		t.Errorf("outcome %s, log:\n%s", j.Outcome, got)
	}
	r.Stop()
}

// TestPluginIsKilled: the source's process is killed while jobs run. The new one goes on with them.
func TestPluginIsKilled(t *testing.T) {
	w := newWorld(t, opsleveltest.Options{})
	var ids []string
	for range 3 {
		ids = append(ids, w.api.Add(shell("for i in $(seq 50); do echo $i; sleep 0.1; done"))...)
	}
	r := w.run(settings{deliver: `max_interval = "200ms"`})
	w.await("logs", func() bool {
		for _, id := range ids {
			if j, _ := w.api.Job(id); len(j.Chunks) < 3 {
				return false
			}
		}
		return true
	})
	must(t, syscall.Kill(r.Plugin("runner-source-opslevel"), syscall.SIGKILL))
	for _, j := range w.results(ids) {
		same(t, j, numbered(50), 1)
	}
	r.AwaitReady()
	r.Stop()
	w.unregistered()
	if n := len(w.api.Runners()); n != 2 {
		t.Errorf("%d runners have registered, want one for each process", n)
	}
}

// TestStop: a runner without jobs is out within a second, whatever it was doing.
func TestStop(t *testing.T) {
	for name, delay := range map[string]time.Duration{"while it waits": 0, "while it polls": time.Minute} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, opsleveltest.Options{})
			runner.Within(t, "the stop", time.Second, func() time.Duration {
				w.api.Judge(nil)
				r := w.run(settings{source: `timeout = "30s"`, processors: all})
				if delay > 0 {
					w.api.Fail(pending, 0, opsleveltest.Fault{Delay: delay})
					n := w.count(pending)
					w.await("a poll", func() bool { return w.count(pending) > n })
				}
				begun := time.Now()
				r.Stop()
				return time.Since(begun)
			})
			w.unregistered()
		})
	}
}

// TestStopWithJobs: a job that runs is finished, its log and outcome delivered, before the runner goes.
func TestStopWithJobs(t *testing.T) {
	w := newWorld(t, opsleveltest.Options{})
	ids := w.api.Add(shell("echo begin", "sleep 3", "echo end"), shell("echo begin", "trap 'echo caught; exit 0' TERM", "while :; do sleep 0.1; done"))
	later := func() { w.api.Add(shell("echo too late")) }
	r := w.run(settings{runner: `drain_timeout = "6s"`})
	w.await("both run", func() bool {
		a, _ := w.api.Job(ids[0])
		b, _ := w.api.Job(ids[1])
		return len(a.Chunks) > 0 && len(b.Chunks) > 0
	})
	r.Signal(syscall.SIGTERM)
	r.Says("draining")
	later()
	r.Ended(0)
	a, _ := w.api.Job(ids[0])
	same(t, a, "begin\nend\n", 0)
	b, _ := w.api.Job(ids[1])
	if b.Outcome != "canceled" || !strings.Contains(b.Log(), "caught") || !strings.Contains(b.Log(), "drain_timeout") {
		t.Errorf("outcome %s, log:\n%s", b.Outcome, b.Log())
	}
	w.unregistered()
}
