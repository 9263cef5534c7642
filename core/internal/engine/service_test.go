package engine

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/telemetry"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

var errAway = status.Error(codes.Unknown, "the remote system is away")

// wantReport compares a job's report, and returns it.
func wantReport(t *testing.T, f *fakeSource, id string, outcome job.Outcome, reason job.Reason) *pluginv1.ReportRequest {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.reports[id]
	if r == nil {
		t.Fatalf("job %s is not reported; its log is %q", id, f.logs[id])
	}
	if got := r.GetResult(); got.GetOutcome() != string(outcome) || got.GetReason() != string(reason) {
		t.Errorf("job %s is reported as %v, want %s (%s)", id, got, outcome, reason)
	}
	return r
}

func TestServeRunsAllJobs(t *testing.T) {
	f, e := newFakeSource(t), newExecutors()
	var ids []string
	for i := range 50 {
		ids = append(ids, fmt.Sprint("job-", i))
	}
	f.add(ids...)
	serve(t, t.Context(), newService(f, e))
	for _, id := range ids {
		r := wantReport(t, f, id, job.Success, "")
		if string(r.GetHandle()) != "handle of "+id || r.GetInfrastructure() {
			t.Errorf("the report is %v", r)
		}
		if want := []string{"line of " + id}; !slices.Equal(f.logs[id], want) {
			t.Errorf("the log of %s is %q", id, f.logs[id])
		}
	}
	if e.most > 3 {
		t.Errorf("%d jobs ran at once, want 3 at most", e.most)
	}
}

// TestLoad: somebody is told of each job that begins, and of each of which nothing is left, in order.
func TestLoad(t *testing.T) {
	f, e := newFakeSource(t), newExecutors()
	for i := range 20 {
		f.add(fmt.Sprint("job-", i))
	}
	s := newService(f, e)
	var loads []int // one call at a time
	s.Load = func(jobs int) { loads = append(loads, jobs) }
	serve(t, t.Context(), s)
	before := 0
	for _, jobs := range loads {
		if jobs != before+1 && jobs != before-1 {
			t.Fatalf("the number of jobs jumps: %v", loads)
		}
		before = jobs
	}
	if len(loads) != 40 || before != 0 {
		t.Errorf("twenty jobs make the numbers %v", loads)
	}
}

func TestServeOnePipelineAtMost(t *testing.T) {
	f, e := newFakeSource(t), newExecutors()
	f.add("1", "2", "3", "4")
	s := newService(f, e)
	s.Pipelines[0].Concurrency = 1
	serve(t, t.Context(), s)
	if e.most != 1 || len(f.reports) != 4 {
		t.Errorf("%d jobs ran at once, %d are reported", e.most, len(f.reports))
	}
}

// TestServeSeveralPipelines: two sources share the slots; one that ends, or is slow, holds up the other not at all.
func TestServeSeveralPipelines(t *testing.T) {
	first, second, e := newFakeSource(t), newFakeSource(t), newExecutors()
	for i := range 20 {
		first.add(fmt.Sprint("a", i))
		second.add(fmt.Sprint("b", i))
	}
	first.endless = true
	s := newService(first, e)
	s.Pipelines = append(s.Pipelines, s.Pipelines[0])
	s.Pipelines[1].Name, s.Pipelines[1].Connector = "q", second
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for range 40 {
			<-e.started
		}
		time.Sleep(100 * time.Millisecond) // a job that is one too many would be there by then
		cancel()
	}()
	serve(t, ctx, s)
	if len(first.reports) != 20 || len(second.reports) != 20 || e.most > 3 {
		t.Errorf("%d and %d jobs are reported, %d ran at once", len(first.reports), len(second.reports), e.most)
	}
}

func TestServeTooManyPipelines(t *testing.T) {
	f, e := newFakeSource(t), newExecutors()
	s := newService(f, e)
	s.Concurrency = 1
	s.Pipelines = append(s.Pipelines, s.Pipelines[0])
	if err := s.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "2 pipelines") {
		t.Errorf("the error is %v", err)
	}
}

func TestBadShape(t *testing.T) {
	f, e := newFakeSource(t), newExecutors()
	f.offer(&pluginv1.JobsResponse_Offer{Job: &pluginv1.Job{Key: &pluginv1.JobKey{Id: "bad"}, Commands: []string{"true"}}})
	f.add("good")
	serve(t, t.Context(), newService(f, e))
	r := wantReport(t, f, "bad", job.Failed, job.ReasonInvalidJob)
	if !strings.Contains(r.GetResult().GetMessage(), "image") || r.GetStartedAt() != nil {
		t.Errorf("the report is %v", r)
	}
	if log := strings.Join(f.logs["bad"], "\n"); !strings.HasPrefix(log, "[runner] failed (invalid_job): the job was not started: image") {
		t.Errorf("the log is %q", log)
	}
	wantReport(t, f, "good", job.Success, "")
}

// TestBrokenOffers: what breaks the protocol goes back, and costs nothing else.
func TestBrokenOffers(t *testing.T) {
	f, e := newFakeSource(t), newExecutors()
	f.offer(&pluginv1.JobsResponse_Offer{Job: &pluginv1.Job{Image: "x"}})
	f.offer(&pluginv1.JobsResponse_Offer{Job: &pluginv1.Job{Key: &pluginv1.JobKey{Id: "big"}, Handle: make([]byte, 5000)}})
	f.add("good")
	serve(t, t.Context(), newService(f, e))
	wantReport(t, f, "good", job.Success, "")
	if len(f.releases) != 2 || f.releases[0].GetMessage() != "the runner can't take the job: it has no id" || f.releases[1].GetJob().GetId() != "big" {
		t.Errorf("the releases are %v", f.releases)
	}
}

func TestSecondDelivery(t *testing.T) {
	f, e := newFakeSource(t), newExecutors().first(&script{runs: true, result: succeeded})
	f.add("1")
	second := &pluginv1.JobsResponse_Offer{Job: &pluginv1.Job{
		Key: &pluginv1.JobKey{Id: "1", Attempt: 2}, Image: "x", Commands: []string{"true"}, Handle: []byte("second"),
	}}
	f.offer(second)
	f.add("2")
	go func() {
		for range 2 { // in whatever order
			<-e.started
		}
		e.end()
	}()
	serve(t, t.Context(), newService(f, e))
	wantReport(t, f, "1", job.Success, "")
	if len(f.releases) != 1 || f.releases[0].GetDisposition() != pluginv1.Disposition_DISPOSITION_DUPLICATE ||
		f.releases[0].GetJob().GetAttempt() != 2 || string(f.releases[0].GetHandle()) != "second" {
		t.Errorf("the releases are %v", f.releases)
	}
}

func TestSourceCancels(t *testing.T) {
	f, e := newFakeSource(t), newExecutors().first(&script{lines: []string{"a"}, runs: true, canceled: canceled})
	f.add("1")
	go func() {
		<-e.started
		f.say(&pluginv1.JobsResponse{Message: &pluginv1.JobsResponse_Cancel_{
			Cancel: &pluginv1.JobsResponse_Cancel{Job: &pluginv1.JobKey{Id: "1", Attempt: 1}, Message: "a person wants it"},
		}})
	}()
	serve(t, t.Context(), newService(f, e))
	r := wantReport(t, f, "1", job.Canceled, job.ReasonCanceled)
	if want := "the source has canceled the job: a person wants it"; r.GetResult().GetMessage() != want {
		t.Errorf("the message is %q", r.GetResult().GetMessage())
	}
}

// TestReservationEnds: a job is ended before its source hands it out again, and its log says so at both ends.
func TestReservationEnds(t *testing.T) {
	f, e := newFakeSource(t), newExecutors().first(&script{lines: []string{"a"}, runs: true, canceled: canceled})
	f.offer(&pluginv1.JobsResponse_Offer{
		Job:      &pluginv1.Job{Key: &pluginv1.JobKey{Id: "1"}, Image: "x", Commands: []string{"true"}},
		Deadline: deadlineIn(grace + 200*time.Millisecond),
	})
	serve(t, t.Context(), newService(f, e))
	wantReport(t, f, "1", job.ExecutionTimeout, job.ReasonReserved)
	log := f.logs["1"]
	if len(log) != 3 || log[0] != "a" ||
		!strings.HasPrefix(log[1], "[runner] execution_timeout (reservation): the job was ended after 0s, before its lifetime of 1h0m0s was over") ||
		!strings.Contains(log[2], "reserve_for") {
		t.Errorf("the log is %q", log)
	}
}

// TestSourceFails: lines and results are handed over again until the source takes them, as the same call.
func TestSourceFails(t *testing.T) {
	f, e := newFakeSource(t), newExecutors()
	f.appendErr = []error{errAway, errAway}
	f.reportErr = []error{errAway, errAway}
	f.add("1")
	serve(t, t.Context(), newService(f, e))
	wantReport(t, f, "1", job.Success, "")
	if want := []string{"line of 1"}; !slices.Equal(f.logs["1"], want) {
		t.Errorf("the log is %q", f.logs["1"])
	}
	for _, r := range f.appends {
		if r.GetFirstLine() != 1 || !r.GetSentAt().AsTime().Equal(f.appends[0].GetSentAt().AsTime()) {
			t.Errorf("a call that comes again differs: %v", r)
		}
	}
}

// TestSourceRefusesTheResult: a result that the source will never take is not tried again, and holds up nobody.
func TestSourceRefusesTheResult(t *testing.T) {
	f, e := newFakeSource(t), newExecutors()
	f.reportErr = []error{errAway, status.Error(codes.FailedPrecondition, "the job is over already")}
	f.add("1", "2")
	s := newService(f, e)
	s.Concurrency = 1
	var log bytes.Buffer
	s.Logger = hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Info})
	serve(t, t.Context(), s)
	if f.reports["1"] != nil {
		t.Error("it is reported all the same")
	}
	wantReport(t, f, "2", job.Success, "")
	if text := log.String(); !strings.Contains(text, "the result success is lost") || !strings.Contains(text, "the job is over already") {
		t.Errorf("the log is\n%s", text)
	}
}

// TestSourceNeverTakes: what the source does not take for give_up is lost. The log says so as soon as it can.
func TestSourceNeverTakes(t *testing.T) {
	f := newFakeSource(t)
	lines := []string{"a", "b", strings.Repeat("x", 1000), "c"}
	e := newExecutors().first(&script{lines: lines, result: executor.Result{Outcome: job.Success, ExitCode: &zero, Records: 4}})
	f.appendErr = []error{nil, errAway}
	f.add("1")
	s := newService(f, e)
	s.Pipelines[0].GiveUp = time.Nanosecond
	serve(t, t.Context(), s)
	wantReport(t, f, "1", job.Success, "")
	log := strings.Join(f.logs["1"], "\n")
	if !strings.Contains(log, "are missing: the source did not take them for 1ns: AppendLogs: rpc error: code = Unknown desc = the remote system is away") {
		t.Errorf("the log is %q", log)
	}
}

// TestLastLinesAreLost: when no line comes after those that are lost, the note comes with the result.
func TestLastLinesAreLost(t *testing.T) {
	f, e := newFakeSource(t), newExecutors()
	f.appendErr = []error{errAway}
	f.add("1")
	s := newService(f, e)
	s.Pipelines[0].GiveUp = time.Nanosecond
	serve(t, t.Context(), s)
	wantReport(t, f, "1", job.Success, "")
	log := f.logs["1"]
	if len(log) != 1 || !strings.HasPrefix(log[0], "[runner] 1 last lines are missing: the source did not take them for 1ns: ") {
		t.Errorf("the log is %q", log)
	}
	if last := f.appends[len(f.appends)-1]; last.GetFirstLine() != 2 {
		t.Errorf("the note is line %d", last.GetFirstLine())
	}
}

// TestSlotsAreShown: the metrics follow the jobs that run, also when no Credit is due.
func TestSlotsAreShown(t *testing.T) {
	f, e := newFakeSource(t), newExecutors().first(&script{runs: true, result: succeeded})
	f.endless = true // a source that drains is sent a Credit
	f.add("1")
	ctx, cancel := context.WithCancel(t.Context())
	s := newService(f, e)
	s.Metrics = telemetry.NewMetrics(telemetry.Options{Namespace: "x"})
	go func() {
		<-e.started
		defer cancel()
		defer e.end()
		for range 200 {
			families, err := s.Metrics.Registry().Gather()
			if err != nil {
				t.Error(err)
			}
			for _, family := range families {
				if family.GetName() == "x_slots_in_use" && family.GetMetric()[0].GetGauge().GetValue() == 1 {
					return
				}
			}
			time.Sleep(5 * time.Millisecond) // a gauge tells nobody
		}
		t.Error("a job runs, and no slot is in use")
	}()
	serve(t, ctx, s)
}

// TestSourceRefuses: lines that the source refuses are named in the log.
func TestSourceRefuses(t *testing.T) {
	f, e := newFakeSource(t), newExecutors()
	f.refuse = &pluginv1.AppendLogsResponse{Refused: []*pluginv1.AppendLogsResponse_RefusedLines{{FirstLine: 1, Count: 1, Message: "too ugly"}}}
	f.add("1")
	serve(t, t.Context(), newService(f, e))
	wantReport(t, f, "1", job.Success, "")
	if want := "[runner] 1 lines from line 1 on are missing: the source has refused them: too ugly"; f.logs["1"][1] != want {
		t.Errorf("the log is %q", f.logs["1"])
	}
}

// TestReportIsLost: a result that nobody takes does not hold up the runner for ever.
func TestReportIsLost(t *testing.T) {
	f, e := newFakeSource(t), newExecutors()
	for range 100 {
		f.reportErr = append(f.reportErr, errAway)
	}
	f.add("1")
	s := newService(f, e)
	s.Pipelines[0].GiveUp = 300 * time.Millisecond
	serve(t, t.Context(), s)
	if len(f.reports) > 0 {
		t.Errorf("the reports are %v", f.reports)
	}
}

// TestStreamBreaks: the jobs go on, and the next stream begins with them.
func TestStreamBreaks(t *testing.T) {
	f := newFakeSource(t)
	e := newExecutors().first(&script{runs: true, result: succeeded})
	f.endless = true
	f.add("1")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-e.started
		f.breakStream()
		for again := false; !again; time.Sleep(time.Millisecond) {
			f.mu.Lock()
			again = len(f.hellos) == 2
			f.mu.Unlock()
		}
		f.add("2")
		<-e.started
		e.end()
		cancel()
	}()
	serve(t, ctx, newService(f, e))
	wantReport(t, f, "1", job.Success, "")
	wantReport(t, f, "2", job.Success, "")
	if len(f.hellos) != 2 || len(f.hellos[1].GetRunning()) != 1 || f.hellos[1].GetRunning()[0].GetId() != "1" || f.hellos[1].GetConcurrency() != 3 {
		t.Errorf("the streams begin with %v", f.hellos)
	}
}

func TestDrain(t *testing.T) {
	t.Run("jobs end by themselves", func(t *testing.T) {
		f, e := newFakeSource(t), newExecutors().first(&script{runs: true, result: succeeded})
		f.endless = true
		f.add("1")
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-e.started
			cancel()
			await(t, "the source knows", func() bool {
				f.mu.Lock()
				defer f.mu.Unlock()
				return f.slots == 0
			})
			f.add("2")
			time.Sleep(100 * time.Millisecond) // that it is not offered has no event
			e.end()
		}()
		serve(t, ctx, newService(f, e))
		wantReport(t, f, "1", job.Success, "")
		if f.reports["2"] != nil {
			t.Error("a job was taken after the drain")
		}
	})
	t.Run("jobs are ended", func(t *testing.T) {
		f, e := newFakeSource(t), newExecutors().first(&script{lines: []string{"a"}, runs: true, canceled: canceled})
		f.endless = true
		f.add("1")
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-e.started; cancel() }()
		s := newService(f, e)
		s.DrainTimeout = 100 * time.Millisecond
		serve(t, ctx, s)
		r := wantReport(t, f, "1", job.Canceled, job.ReasonCanceled)
		if !strings.Contains(r.GetResult().GetMessage(), "drain_timeout (100ms)") {
			t.Errorf("the message is %q", r.GetResult().GetMessage())
		}
		if log := f.logs["1"]; len(log) != 2 || log[0] != "a" || !strings.HasPrefix(log[1], "[runner] canceled (canceled): the runner was stopped") {
			t.Errorf("the log is %q", log)
		}
	})
	t.Run("idle", func(t *testing.T) {
		f, e := newFakeSource(t), newExecutors()
		f.endless = true
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begun := time.Now()
		serve(t, ctx, newService(f, e))
		if took := time.Since(begun); took > 10*time.Second { // a drain may take minutes
			t.Errorf("it took %s", took)
		}
	})
}

// TestLostPod: a job that has run, and of whose end there is no evidence, is not told as one that was not run.
func TestLostPod(t *testing.T) {
	f := newFakeSource(t)
	running := executor.Status{Phase: executor.Running, Time: time.Now()}
	e := newExecutors().first(&script{
		statuses: []executor.Status{running, running}, resultErr: fmt.Errorf("the node is gone"), runs: true,
	})
	f.add("1")
	go func() {
		<-e.started
		// Whoever takes the second one has seen the first.
		await(t, "the status has come", func() bool { return e.untold() == 0 })
		e.end()
	}()
	serve(t, t.Context(), newService(f, e))
	if r := wantReport(t, f, "1", job.Failed, job.ReasonInfrastructure); !r.GetInfrastructure() || r.GetStartedAt() == nil {
		t.Errorf("the report is %v", r)
	}
}

// TestSourceAwayAtTheEnd: a job that is ended while its source is away waits for it with its log and its result.
func TestSourceAwayAtTheEnd(t *testing.T) {
	f, e := newFakeSource(t), newExecutors().first(&script{lines: []string{"a"}, runs: true, canceled: canceled})
	for range 6 {
		f.appendErr = append(f.appendErr, errAway)
	}
	f.offer(&pluginv1.JobsResponse_Offer{
		Job:      &pluginv1.Job{Key: &pluginv1.JobKey{Id: "1"}, Image: "x", Commands: []string{"true"}},
		Deadline: deadlineIn(time.Millisecond),
	})
	s := newService(f, e)
	s.Pipelines[0].Grace = time.Millisecond
	serve(t, t.Context(), s)
	wantReport(t, f, "1", job.ExecutionTimeout, job.ReasonReserved)
	if f.logs["1"][0] != "a" {
		t.Errorf("the log is %q", f.logs["1"])
	}
}

// TestPanic: a bug that shows in one job ends that one only.
func TestPanic(t *testing.T) {
	f, e := newFakeSource(t), newExecutors().first(&script{panics: true})
	f.add("1", "2")
	serve(t, t.Context(), newService(f, e))
	wantReport(t, f, "1", job.Failed, job.ReasonInfrastructure)
	wantReport(t, f, "2", job.Success, "")
}

// TestStartFailsInService: a job that can't be started is reported as not run, and its log says why.
func TestStartFailsInService(t *testing.T) {
	f, e := newFakeSource(t), newExecutors().first(&script{startErr: fmt.Errorf("no namespaces here")})
	f.add("1")
	serve(t, t.Context(), newService(f, e))
	r := wantReport(t, f, "1", job.Failed, job.ReasonInfrastructure)
	if !r.GetInfrastructure() || r.GetStartedAt() != nil {
		t.Errorf("the report is %v", r)
	}
	if log := strings.Join(f.logs["1"], "\n"); !strings.Contains(log, "the job could not be started: no namespaces here") {
		t.Errorf("the log is %q", log)
	}
}

// TestConnectionIsLogged: people hear of a source that is away from the start, and of each change after that, once.
func TestConnectionIsLogged(t *testing.T) {
	var log bytes.Buffer
	s := newService(newFakeSource(t), newExecutors())
	s.Logger = hclog.New(&hclog.LoggerOptions{Output: &log})
	in := newServing(s).intakes[0]
	for _, up := range []bool{false, false, true, true, false} {
		in.status(up, "connection refused")
	}
	want := []string{"not connected", "is connected", "not connected"}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != len(want) {
		t.Fatalf("the log is %q", lines)
	}
	for i, text := range want {
		if !strings.Contains(lines[i], text) {
			t.Errorf("line %d is %q, want %q", i, lines[i], text)
		}
	}
}

func TestRenew(t *testing.T) {
	f, e := newFakeSource(t), newExecutors().first(&script{runs: true, result: succeeded})
	f.offer(&pluginv1.JobsResponse_Offer{
		Job:   &pluginv1.Job{Key: &pluginv1.JobKey{Id: "1"}, Image: "x", Commands: []string{"true"}},
		Lease: durationpb.New(60 * time.Millisecond),
	})
	go func() {
		<-e.started
		for {
			// Other events, more often than the lease asks for a Renew, do not put it off.
			f.say(&pluginv1.JobsResponse{Message: &pluginv1.JobsResponse_Status_{Status: &pluginv1.JobsResponse_Status{Connected: true}}})
			f.mu.Lock()
			n := f.renewals
			f.mu.Unlock()
			if n >= 3 {
				e.end()
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	serve(t, t.Context(), newService(f, e))
	wantReport(t, f, "1", job.Success, "")
}
