package faktory

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/contribsys/faktory/client"

	"github.com/podrunner/runner/test/faktory"
)

// counting is a job that prints n numbered lines, some each tenth of a second, and how its log has to look.
func counting(n int) (args map[string]any, lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprint("line ", i))
	}
	return job("set +xv", fmt.Sprintf("i=0; while [ $i -lt %d ]; do echo line $i; i=$((i+1)); sleep 0.1; done", n)), lines
}

// wantLog compares the log of a job that succeeds.
func wantLog(t *testing.T, got *faktory.Told, lines []string) {
	t.Helper()
	if log := plain(got.Lines); !slices.Equal(log, lines) {
		t.Errorf("the log has %d lines, want %d; it begins with %.300q", len(log), len(lines), log)
	}
	if !slices.Equal(got.Outcomes, []string{"success"}) {
		t.Errorf("the outcomes are %q", got.Outcomes)
	}
}

// TestServerDies: the server is killed in the middle of a job and comes back after half a minute. The job goes on, and
// its log and acknowledgement arrive after that.
func TestServerDies(t *testing.T) {
	w := newWorld(t)
	args, lines := counting(100)
	_, err := w.server.Push("legacy", nil, args)
	must(t, err)
	r := w.run(settings{deliver: `max_interval = "1s"`})
	r.Started(1)
	w.eventually("a line has come", func() bool { n, err := w.server.Waiting("app"); return err == nil && n > 0 })
	must(t, w.server.Kill())
	w.proxy.Cut()
	w.eventually("the runner is not ready", func() bool { return !r.Ready() })
	time.Sleep(30 * time.Second)
	if text := r.Log.String(); strings.Contains(text, "job finished") {
		t.Error("the job is told to be over while nobody could be told")
	}
	must(t, w.server.Restart(t.Context()))
	w.eventually("the runner is ready again", r.Ready)
	wantLog(t, one(t, w.results(1)), lines)
	if state := w.settled(); state.Sets["retries"]+state.Sets["dead"] != 0 {
		t.Errorf("the state is %+v", state)
	}
	r.Stop()
}

// TestSourceIsKilled kills the source plugin ten times in the middle of a job.
func TestSourceIsKilled(t *testing.T) {
	w := newWorld(t)
	args, lines := counting(100)
	_, err := w.server.Push("legacy", nil, args)
	must(t, err)
	r := w.run(settings{deliver: `max_interval = "200ms"`})
	r.Started(1)
	all := faktory.Heard{}
	for range 10 {
		var pid int
		w.eventually("the source runs", func() bool { pid = r.source(); return pid != 0 })
		must(t, syscall.Kill(pid, syscall.SIGKILL))
		w.eventually("another source runs", func() bool { next := r.source(); return next != 0 && next != pid })
		time.Sleep(500 * time.Millisecond)
	}
	w.eventually("the job has an outcome", func() bool {
		w.hear(all)
		return len(all) == 1 && len(one(t, all).Outcomes) > 0
	})
	wantLog(t, one(t, all), lines)
	w.settled()
	if n := r.Metric(`plugin_restarts_total{kind="source",plugin="faktory"}`); n != "10" {
		t.Errorf("%q restarts are counted", n)
	}
	r.Stop()
}

// TestPoison: what is no job is failed with a clear message, and jobs behind it run.
func TestPoison(t *testing.T) {
	w := newWorld(t)
	for _, poison := range []struct {
		kind   string
		change func(*client.Job)
		args   []any
	}{
		{kind: "legacy"},
		{kind: "legacy", args: []any{"not an object"}},
		{kind: "legacy", args: []any{nil}},
		{kind: "legacy", args: []any{map[string]any{"image": 7, "commands": []string{"true"}}}},
		{kind: "legacy", args: []any{job("true")}, change: func(j *client.Job) { j.SetCustom("opslevel-runner-commands", "not a list") }},
		{kind: "legacy", args: []any{job("true")}, change: func(j *client.Job) { j.SetCustom("opslevel-runner-job-id", []int{1}) }},
		{kind: "other", args: []any{job("true")}},
	} {
		_, err := w.server.Push(poison.kind, poison.change, poison.args...)
		must(t, err)
	}
	// Jobs, but bad ones: five megabytes of commands, and one with no image. Core says so.
	large, err := w.server.Push("legacy", nil, job("set +xv", ": "+strings.Repeat("x", 5<<20), "echo large"))
	must(t, err)
	shapeless, err := w.server.Push("legacy", nil, map[string]any{"commands": []string{"true"}})
	must(t, err)
	last, err := w.server.Push("legacy", nil, job("echo last"))
	must(t, err)
	r := w.run(settings{concurrency: 1})
	all := w.results(3)
	for jid, why := range map[string]string{large: "job too large", shapeless: "image"} {
		got := all[jid]
		if got == nil || !slices.Equal(got.Outcomes, []string{"failed"}) || !strings.Contains(strings.Join(got.Lines, "\n"), "(invalid_job): the job was not started: ") ||
			!strings.Contains(strings.Join(got.Lines, "\n"), why) {
			t.Errorf("the job that is bad because of %q: %.500v", why, got)
		}
	}
	if got := all[last]; got == nil || !slices.Equal(got.Outcomes, []string{"success"}) {
		t.Errorf("the last job: %v", got)
	}
	state := w.settled()
	if state.Sets["retries"] != 7 || state.Failures != 7 {
		t.Errorf("the state is %+v, want 7 jobs that were failed", state)
	}
	r.Stop()
}

// TestReservationEnds: a job that would outlive its reservation is ended before, and does not run twice.
func TestReservationEnds(t *testing.T) {
	w := newWorld(t)
	_, err := w.server.Push("legacy", func(j *client.Job) { j.ReserveFor = 60 }, job("set +xv", "echo begin", "sleep 300"))
	must(t, err)
	r := w.run(settings{})
	got := one(t, w.results(1))
	log := strings.Join(plain(got.Lines), "\n")
	if !slices.Equal(got.Outcomes, []string{"execution_timeout"}) || !strings.Contains(log, "begin") ||
		!strings.Contains(log, "before its lifetime of 1h0m0s was over") || !strings.Contains(log, "(reservation)") {
		t.Errorf("the outcome is %q, the log\n%s", got.Outcomes, log)
	}
	if state := w.settled(); state.Failures != 0 {
		t.Errorf("the state is %+v", state)
	}
	if n := strings.Count(r.Log.String(), "job started:"); n != 1 {
		t.Errorf("the job was started %d times", n)
	}
	r.Stop()
}

// TestPushIsRefused: for a minute the server refuses what the runner has to say.
func TestPushIsRefused(t *testing.T) {
	w := newWorld(t)
	args, lines := counting(50)
	_, err := w.server.Push("legacy", nil, args)
	must(t, err)
	until := time.Now().Add(time.Minute)
	w.proxy.Judge(func(command string) faktory.Verdict {
		if strings.HasPrefix(command, "PUSH ") && time.Now().Before(until) {
			return faktory.Refuse
		}
		return faktory.Pass
	})
	r := w.run(settings{})
	r.Started(1)
	wantLog(t, one(t, w.results(1)), lines)
	if time.Now().Before(until) {
		t.Error("it was over too early")
	}
	for _, name := range []string{`jobs_enqueue_failed{runner="faktory"}`, `delivery_retries_total{call="append",pipeline="default"}`} {
		if n := r.Metric(name); n == "" || n == "0" {
			t.Errorf("%s is %q", name, n)
		}
	}
	if n := r.Metric(`lines_lost_total{pipeline="default"}`); n != "0" {
		t.Errorf("%q lines are counted as lost", n)
	}
	w.settled()
	r.Stop()
}

// TestPushIsNeverTaken: lines that are given up are named in the log.
func TestPushIsNeverTaken(t *testing.T) {
	w := newWorld(t)
	args, _ := counting(80)
	_, err := w.server.Push("legacy", nil, args)
	must(t, err)
	until := time.Now().Add(4 * time.Second)
	w.proxy.Judge(func(command string) faktory.Verdict {
		if strings.HasPrefix(command, "PUSH ") && time.Now().Before(until) {
			return faktory.Refuse
		}
		return faktory.Pass
	})
	r := w.run(settings{deliver: "give_up = \"1s\"\n max_interval = \"300ms\""})
	got := one(t, w.results(1))
	log := strings.Join(plain(got.Lines), "\n")
	if !strings.Contains(log, "are missing: the source did not take them for 1s") || !strings.Contains(log, "line 79") || strings.Contains(log, "line 0\n") {
		t.Errorf("the log is\n%s", log)
	}
	if n := r.Metric(`lines_lost_total{pipeline="default"}`); n == "0" || n == "" {
		t.Errorf("%q lines are counted as lost", n)
	}
	r.Stop()
}

// TestLostAnswers: the connection breaks after each third command, some before the server has it and some after. What
// comes twice has the same id.
func TestLostAnswers(t *testing.T) {
	w := newWorld(t)
	args, lines := counting(50)
	_, err := w.server.Push("legacy", nil, args)
	must(t, err)
	n := 0
	w.proxy.Judge(func(command string) faktory.Verdict {
		if !strings.HasPrefix(command, "PUSH ") && !strings.HasPrefix(command, "ACK ") {
			return faktory.Pass
		}
		n++
		switch n % 3 {
		case 1:
			return faktory.CutAfter
		case 2:
			return faktory.CutBefore
		}
		return faktory.Pass
	})
	r := w.run(settings{deliver: `max_interval = "500ms"`})
	wantLog(t, one(t, w.results(1)), lines)
	w.settled()
	r.Stop()
}

// TestQuiet: a worker that is told to be quiet finishes what it runs and takes no more.
func TestQuiet(t *testing.T) {
	w := newWorld(t)
	_, err := w.server.Push("legacy", nil, job("sleep 20; echo over"))
	must(t, err)
	r := w.run(settings{})
	r.Started(1)
	must(t, w.server.Signal("quiet"))
	r.Says("quiet")
	_, err = w.server.Push("legacy", nil, job("echo another"))
	must(t, err)
	got := one(t, w.results(1))
	if !slices.Equal(got.Outcomes, []string{"success"}) {
		t.Errorf("the outcomes are %q", got.Outcomes)
	}
	r.Lives()
	time.Sleep(3 * time.Second)
	if n, err := w.server.Waiting("runner"); err != nil || n != 1 {
		t.Errorf("%d jobs wait, %v", n, err)
	}
	r.Stop()
}

// TestTerminate: a worker that is told to terminate finishes what it runs, and ends.
func TestTerminate(t *testing.T) {
	w := newWorld(t)
	_, err := w.server.Push("legacy", nil, job("sleep 20; echo over"))
	must(t, err)
	r := w.run(settings{})
	r.Started(1)
	must(t, w.server.Signal("terminate"))
	r.Ended(0)
	got := one(t, w.results(1))
	if !slices.Equal(got.Outcomes, []string{"success"}) {
		t.Errorf("the outcomes are %q", got.Outcomes)
	}
	w.settled()
}
