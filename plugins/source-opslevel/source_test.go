package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podrunner/runner/plugins/source-opslevel/opsleveltest"
	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	s := newAPI(t, opsleveltest.Options{})
	sdktest.SourceConformance(t, sdktest.Binary{
		Path: binary, Config: map[string]any{"api_url": s.URL(), "api_token": opsleveltest.Token},
	})
}

// TestJob is a whole life of a job.
func TestJob(t *testing.T) {
	t.Parallel()
	s := newAPI(t, opsleveltest.Options{})
	ids := s.Add(simple("a"))
	r := run(t, s, sdktest.SourceOptions{}, nil)
	offer := r.Offer()
	for i, line := range []string{"one", "", "\xff\x00 <&> \u2028", "four"} {
		_, err := r.AppendLogs(t.Context(), logsOf(offer, uint64(i+1), line))
		must(t, err)
	}
	must(t, r.Report(t.Context(), reportOf(offer, "success", sdk.Variable{Key: "k", Value: []byte("v")})))
	must(t, r.Shutdown())
	job, _ := s.Job(ids[0])
	if got, want := job.Log(), "one\n\n\xff\x00 <&> \u2028\nfour\n"; got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
	if job.Outcome != "success" || len(job.OutcomeVariables) != 1 || job.OutcomeVariables[0] != (opsleveltest.OutcomeVariable{Key: "k", Value: "v"}) {
		t.Errorf("outcome %s, variables %v", job.Outcome, job.OutcomeVariables)
	}
	for _, runner := range s.Runners() {
		if runner.Gone.IsZero() || len(runner.Left) > 0 {
			t.Errorf("the runner %s: gone %s, jobs left %v", runner.ID, runner.Gone, runner.Left)
		}
	}
}

// TestCredit: a job is asked for only when there is a slot, and then until there are no more, without a pause.
func TestCredit(t *testing.T) {
	t.Parallel()
	s := newAPI(t, opsleveltest.Options{})
	s.Add(simple("a"), simple("b"), simple("c"))
	r := run(t, s, sdktest.SourceOptions{Concurrency: 2, Manual: true}, map[string]any{"poll_interval": time.Hour.Nanoseconds()})
	r.Status(true)
	r.NoOffer(100 * time.Millisecond)
	if n := count(s, pending); n != 0 {
		t.Errorf("%d jobs were asked for without a slot", n)
	}
	r.Grant(2)
	first := r.Offer()
	r.Offer()
	r.NoOffer(100 * time.Millisecond)
	if n := count(s, pending); n != 2 {
		t.Errorf("%d jobs were asked for; there are 2 slots", n)
	}
	must(t, r.Report(t.Context(), reportOf(first, "success")))
	r.Grant(1)
	r.Offer()
}

// TestSlotGoesElsewhere: a request that is on its way when another source needs the slot is not broken off, for a job may come of it.
func TestSlotGoesElsewhere(t *testing.T) {
	t.Parallel()
	s := newAPI(t, opsleveltest.Options{})
	ids := s.Add(simple("a"))
	s.Fail(pending, 0, opsleveltest.Fault{Late: 3 * patience})
	r := run(t, s, sdktest.SourceOptions{Manual: true}, nil)
	r.Grant(1)
	await(t, s, "the job is handed out", func() bool { j, _ := s.Job(ids[0]); return j.Status == "running" })
	r.Grant(0)
	if got := r.Offer().Key.ID; got != ids[0] {
		t.Errorf("job %s is offered", got)
	}
}

// TestEmptyQueue: with no job, it is asked again after the interval, spread, and with the token of the answer before.
func TestEmptyQueue(t *testing.T) {
	t.Parallel()
	s := newAPI(t, opsleveltest.Options{})
	run(t, s, sdktest.SourceOptions{}, nil)
	await(t, s, "four polls", func() bool { return count(s, pending) >= 4 })
	var last time.Time
	for _, request := range s.Requests() {
		if request.Operation != pending {
			continue
		}
		if pause := request.At.Sub(last); !last.IsZero() && (pause < 850*time.Millisecond || pause > 3*time.Second) {
			t.Errorf("a pause of %s, the interval is 1s", pause)
		}
		last = request.At
	}
}

// TestStop: a source that waits for the API, or for the time to ask it again, waits no more when it is told to stop.
func TestStop(t *testing.T) {
	for name, tc := range map[string]struct {
		operation string
		interval  time.Duration
	}{
		"while it polls":     {operation: pending, interval: time.Second},
		"while it waits":     {interval: time.Hour},
		"while it registers": {operation: "RunnerRegister", interval: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newAPI(t, opsleveltest.Options{})
			if tc.operation != "" {
				s.Fail(tc.operation, 0, opsleveltest.Fault{Delay: time.Minute})
			}
			r := run(t, s, sdktest.SourceOptions{}, map[string]any{"poll_interval": tc.interval.Nanoseconds()})
			operation := tc.operation
			if operation == "" {
				operation = pending
			}
			nth(t, s, operation, 1)
			if tc.operation == "" {
				r.Status(true)
			}
			begun := time.Now()
			r.Drain()
			must(t, r.Shutdown())
			if took := time.Since(begun); took > 10*time.Second { // what it waits for takes a minute
				t.Errorf("it took %s", took)
			}
		})
	}
}

// TestBrokenJobs: a job that can't be run is reported as such, and costs nothing else.
func TestBrokenJobs(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(job map[string]any)
		says   string
	}{
		"commands of a wrong kind": {func(j map[string]any) { j["commands"] = map[string]any{"secret": "s3cr3t"} }, "commands is object"},
		"too large":                {func(j map[string]any) { j["image"] = strings.Repeat("x", maxJobBytes) }, "the job's texts have"},
		"a scope that is too large": {func(j map[string]any) {
			j["variables"] = []any{map[string]any{"key": "K", "value": "v", "sensitive": false, "scope": strings.Repeat("x", 17<<20)}}
		}, "the job can't be sent to core: it has"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newAPI(t, opsleveltest.Options{})
			ids := s.Add(simple("a"), simple("b"))
			s.Judge(func(r *opsleveltest.Request) *opsleveltest.Fault {
				if r.Operation != pending || r.Number > 1 {
					return nil
				}
				return &opsleveltest.Fault{Rewrite: func(data map[string]any) {
					tc.change(payloadOf(data)["runnerJob"].(map[string]any)) //nolint:forcetypeassert // it is one
				}}
			})
			r := run(t, s, sdktest.SourceOptions{}, nil)
			if got := r.Offer().Key.ID; got != ids[1] {
				t.Errorf("job %s is offered, want the good one", got)
			}
			job, _ := s.Job(ids[0])
			if job.Outcome != "failed" || !strings.Contains(job.Log(), tc.says) {
				t.Errorf("outcome %s, log %q, want %q in it", job.Outcome, job.Log(), tc.says)
			}
			if strings.Contains(job.Log(), "s3cr3t") {
				t.Errorf("a value of the job stands in the log: %q", job.Log())
			}
		})
	}
}

// payloadOf is the answer to a poll.
func payloadOf(data map[string]any) map[string]any {
	return data["runnerGetPendingJob"].(map[string]any) //nolint:forcetypeassert // it is one
}

// TestOddShapes: what can be read is read.
func TestOddShapes(t *testing.T) {
	t.Parallel()
	s := newAPI(t, opsleveltest.Options{})
	s.Add(simple("a"))
	s.Judge(func(r *opsleveltest.Request) *opsleveltest.Fault {
		if r.Operation != pending {
			return nil
		}
		return &opsleveltest.Fault{Rewrite: func(data map[string]any) {
			payload := payloadOf(data)
			payload["later"] = []any{1}
			if job, ok := payload["runnerJob"].(map[string]any); ok {
				job["id"] = 12
				job["more"] = map[string]any{"a": 1}
				job["commands"] = []any{"echo", 5, nil}
				job["files"], job["initCommands"] = nil, nil
				job["variables"] = []any{map[string]any{"key": "N", "value": 3, "sensitive": nil, "scope": nil, "x": 1}}
			}
		}}
	})
	r := run(t, s, sdktest.SourceOptions{}, nil)
	offer := r.Offer()
	if offer.Key.ID != "12" || offer.Number != "" || strings.Join(offer.Commands, "|") != "echo|5|" || len(offer.Variables) != 1 ||
		offer.Variables[0] != (sdk.JobVariable{Key: "N", Value: "3"}) {
		t.Errorf("the offer is %+v", offer)
	}
}

// TestReport has the report go wrong.
func TestReport(t *testing.T) {
	variables := []sdk.Variable{{Key: "k", Value: []byte("v")}}
	for _, tc := range []struct {
		name  string
		fault opsleveltest.Fault
		// first is the code of the first call; the second one works, and variables and log are what the API has then.
		first     codes.Code
		variables int
		log       string
	}{
		{"503 before the effect", opsleveltest.Fault{Status: 503}, codes.Unknown, 1, ""},
		{"500 before the effect", opsleveltest.Fault{Status: 500}, codes.Unknown, 1, ""},
		{"reset before the effect", opsleveltest.Fault{Drop: true}, codes.Unknown, 1, ""},
		{"504 after the effect", opsleveltest.Fault{Status: 504, After: true}, codes.Unknown, 1, ""},
		{"reset after the effect", opsleveltest.Fault{Drop: true, After: true}, codes.Unknown, 1, ""},
		{"reset in the middle of the answer", opsleveltest.Fault{Cut: true}, codes.Unknown, 1, ""},
		{"error of GraphQL", opsleveltest.Fault{Errors: []opsleveltest.GraphQLError{{Message: "Something went wrong"}}}, codes.Unknown, 1, ""},
		{"invalid token for a while", opsleveltest.Fault{Errors: []opsleveltest.GraphQLError{{Message: "Please provide a valid OpsLevel API token"}}}, codes.Unknown, 1, ""},
		{
			"variables refused",
			opsleveltest.Fault{PayloadErrors: []opsleveltest.PayloadError{{Message: "is too long", Path: []string{"outcomeVariables"}}}},
			codes.OK, 0, "[runner] 1 outcome variables are missing: the API has refused the outcome with them: OpsLevel API, RunnerReportJobOutcome: is too long (outcomeVariables)\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newAPI(t, opsleveltest.Options{})
			ids := s.Add(simple("a"))
			s.Fail(reports, 1, tc.fault)
			r := run(t, s, sdktest.SourceOptions{}, nil)
			report := reportOf(r.Offer(), "failed", variables...)
			if err := r.Report(t.Context(), report); status.Code(err) != tc.first {
				t.Fatalf("the first call: %v", err)
			}
			must(t, r.Report(t.Context(), report))
			job, _ := s.Job(ids[0])
			if job.Outcome != "failed" || len(job.OutcomeVariables) != tc.variables || job.Log() != tc.log {
				t.Errorf("outcome %s with %d variables, log %q", job.Outcome, len(job.OutcomeVariables), job.Log())
			}
			must(t, r.Shutdown())
		})
	}
	t.Run("variables refused, and then the API is away", func(t *testing.T) {
		t.Parallel()
		for _, fault := range []opsleveltest.Fault{{Status: 503}, {Status: 504, After: true}} {
			s := newAPI(t, opsleveltest.Options{})
			ids := s.Add(simple("a"))
			s.Judge(func(r *opsleveltest.Request) *opsleveltest.Fault {
				switch {
				case r.Operation != reports:
					return nil
				case r.Number == 2:
					return &fault
				case strings.Contains(string(r.Body), `"outcomeVariables":`):
					return &opsleveltest.Fault{PayloadErrors: []opsleveltest.PayloadError{{Message: "is too long", Path: []string{"outcomeVariables"}}}}
				}
				return nil
			})
			r := run(t, s, sdktest.SourceOptions{}, nil)
			report := reportOf(r.Offer(), "failed", variables...)
			if err := r.Report(t.Context(), report); status.Code(err) != codes.Unknown {
				t.Fatalf("the first call: %v", err)
			}
			must(t, r.Report(t.Context(), report))
			job, _ := s.Job(ids[0])
			if job.Outcome != "failed" || len(job.OutcomeVariables) != 0 || strings.Count(job.Log(), "variables are missing") != 1 {
				t.Errorf("outcome %s with %d variables, log %q", job.Outcome, len(job.OutcomeVariables), job.Log())
			}
			must(t, r.Shutdown())
		}
	})
	t.Run("again, since core has not heard the answer", func(t *testing.T) {
		t.Parallel()
		s := newAPI(t, opsleveltest.Options{})
		ids := s.Add(simple("a"))
		r := run(t, s, sdktest.SourceOptions{}, nil)
		report := reportOf(r.Offer(), "success")
		for range 3 {
			must(t, r.Report(t.Context(), report))
		}
		if job, _ := s.Job(ids[0]); job.Outcome != "success" {
			t.Errorf("the outcome is %s", job.Outcome)
		}
		must(t, r.Shutdown())
	})
	t.Run("the API has given up the job", func(t *testing.T) {
		t.Parallel()
		s := newAPI(t, opsleveltest.Options{})
		ids := s.Add(simple("a"))
		r := run(t, s, sdktest.SourceOptions{}, nil)
		offer := r.Offer()
		s.End(ids[0], "execution_timeout")
		err := r.Report(t.Context(), reportOf(offer, "success"))
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "job is already complete") {
			t.Errorf("the report: %v", err)
		}
		must(t, r.Shutdown())
	})
}

// TestRunnerIsForgotten: when the API does not know the runner any more, it registers anew, at once if need be, and speaks
// for its jobs under the new id.
func TestRunnerIsForgotten(t *testing.T) {
	for name, free := range map[string]int{"with a free slot": 2, "with none": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newAPI(t, opsleveltest.Options{})
			ids := s.Add(simple("a"))
			r := run(t, s, sdktest.SourceOptions{Concurrency: free}, nil)
			offer := r.Offer()
			s.Forget(s.Runners()[0].ID)
			if free > 1 {
				await(t, s, "another registration", func() bool { return len(s.Runners()) == 2 })
			}
			_, err := r.AppendLogs(t.Context(), logsOf(offer, 1, "hello"))
			must(t, err)
			must(t, r.Report(t.Context(), reportOf(offer, "success")))
			job, _ := s.Job(ids[0])
			if job.Outcome != "success" || job.Log() != "hello\n" {
				t.Errorf("outcome %s, log %q", job.Outcome, job.Log())
			}
			must(t, r.Shutdown())
			if runners := s.Runners(); len(runners) != 2 || runners[1].Gone.IsZero() {
				t.Errorf("runners: %+v", runners)
			}
		})
	}
}

// TestProcessIsKilled: another process goes on with the job under the id that the job was given to, and in the end neither
// is registered.
func TestProcessIsKilled(t *testing.T) {
	t.Parallel()
	s := newAPI(t, opsleveltest.Options{})
	ids := s.Add(simple("a"))
	r := run(t, s, sdktest.SourceOptions{}, nil)
	offer := r.Offer()
	_, err := r.AppendLogs(t.Context(), logsOf(offer, 1, "one"))
	must(t, err)
	r.Kill()
	r = run(t, s, sdktest.SourceOptions{Running: []sdk.JobKey{offer.Key}}, nil)
	r.Status(true)
	_, err = r.AppendLogs(t.Context(), logsOf(offer, 2, "two"))
	must(t, err)
	must(t, r.Report(t.Context(), reportOf(offer, "success")))
	must(t, r.Shutdown())
	job, _ := s.Job(ids[0])
	if job.Outcome != "success" || job.Log() != "one\ntwo\n" {
		t.Errorf("outcome %s, log %q", job.Outcome, job.Log())
	}
	for _, runner := range s.Runners() {
		if runner.Gone.IsZero() {
			t.Errorf("%s is still registered", runner.ID)
		}
	}
}

// TestJobsAreLeft: a runner that ends with jobs that others will go on with stays registered, as the API takes their logs
// from no other.
func TestJobsAreLeft(t *testing.T) {
	t.Parallel()
	s := newAPI(t, opsleveltest.Options{})
	ids := s.Add(simple("a"))
	r := run(t, s, sdktest.SourceOptions{}, nil)
	offer := r.Offer()
	if err := r.Shutdown(); err == nil || !strings.Contains(err.Error(), "stays registered") {
		t.Errorf("shutdown: %v", err)
	}
	r = run(t, s, sdktest.SourceOptions{Manual: true}, nil)
	_, known, err := r.Resume(t.Context(), offer.Key, offer.Handle)
	must(t, err)
	if !known {
		t.Error("the job is not known")
	}
	must(t, r.Report(t.Context(), reportOf(offer, "failed")))
	must(t, r.Shutdown())
	if job, _ := s.Job(ids[0]); job.Outcome != "failed" {
		t.Errorf("outcome %s", job.Outcome)
	}
	for _, runner := range s.Runners() {
		if runner.Gone.IsZero() {
			t.Errorf("%s is still registered", runner.ID)
		}
	}
}

// TestJobOfAnotherAccount: a runner does not go on with a job that its API would know nothing of.
func TestJobOfAnotherAccount(t *testing.T) {
	t.Parallel()
	s, other := newAPI(t, opsleveltest.Options{}), newAPI(t, opsleveltest.Options{Account: "another"})
	s.Add(simple("a"))
	r := run(t, s, sdktest.SourceOptions{}, nil)
	offer := r.Offer()
	_, known, err := run(t, other, sdktest.SourceOptions{}, nil).Resume(t.Context(), offer.Key, offer.Handle)
	if err == nil || known || !strings.Contains(err.Error(), "the API token of this runner to another") {
		t.Errorf("known %v, %v", known, err)
	}
	must(t, r.Report(t.Context(), reportOf(offer, "success")))
}

// TestStreamBreaks: a job that was taken when core's stream broke is offered on the next one, at once.
func TestStreamBreaks(t *testing.T) {
	t.Parallel()
	s := newAPI(t, opsleveltest.Options{})
	ids := s.Add(simple("a"))
	s.Fail(pending, 1, opsleveltest.Fault{Late: 500 * time.Millisecond})
	r := run(t, s, sdktest.SourceOptions{}, map[string]any{"poll_interval": time.Hour.Nanoseconds()})
	await(t, s, "the job is handed out", func() bool { j, _ := s.Job(ids[0]); return j.Status == "running" })
	r.Break()
	r = r.Again(sdktest.SourceOptions{})
	if got := r.Offer().Key.ID; got != ids[0] {
		t.Errorf("job %s is offered", got)
	}
	if n := count(s, "RunnerRegister"); n != 1 {
		t.Errorf("it has registered %d times", n)
	}
}

// TestReleased: a job that core does not run is over, as the API hands it out only once. Of a second delivery nothing is
// said: the first one goes on.
func TestReleased(t *testing.T) {
	t.Parallel()
	s := newAPI(t, opsleveltest.Options{})
	ids := s.Add(simple("a"), simple("b"))
	r := run(t, s, sdktest.SourceOptions{Concurrency: 2}, nil)
	first, second := r.Offer(), r.Offer()
	r.Release(first, true, "the job runs already")
	r.Release(second, false, "there is no slot")
	await(t, s, "the report", func() bool { j, _ := s.Job(ids[1]); return j.Status == "complete" })
	if j, _ := s.Job(ids[1]); j.Outcome != "failed" || !strings.Contains(j.Log(), "there is no slot") {
		t.Errorf("outcome %s, log %q", j.Outcome, j.Log())
	}
	if j, _ := s.Job(ids[0]); j.Status != "running" {
		t.Errorf("the duplicate is %s", j.Status)
	}
}

// TestAPIComesLater: the source says that it is not connected, and goes on when the API is there.
func TestAPIComesLater(t *testing.T) {
	t.Parallel()
	s := newAPI(t, opsleveltest.Options{})
	s.Down()
	r := run(t, s, sdktest.SourceOptions{}, nil)
	if message := r.Status(false).Message; !strings.Contains(message, "connection refused") || !strings.Contains(message, s.URL()) {
		t.Errorf("it says %q", message)
	}
	must(t, s.Up())
	r.Status(true)
	s.Down()
	r.Status(false)
	must(t, s.Up())
	s.Add(simple("a"))
	r.Offer()
	if n := len(s.Runners()); n != 1 {
		t.Errorf("%d runners have registered", n)
	}
}

// TestAPIIsBack: a call about a job that works is a sign that jobs can be asked for again.
func TestAPIIsBack(t *testing.T) {
	t.Parallel()
	s := newAPI(t, opsleveltest.Options{})
	s.Add(simple("a"))
	r := run(t, s, sdktest.SourceOptions{Concurrency: 2}, nil)
	offer := r.Offer()
	s.Down()
	r.Status(false)
	time.Sleep(4 * time.Second) // the pauses grow
	must(t, s.Up())
	s.Add(simple("b"))
	begun := time.Now()
	_, err := r.AppendLogs(t.Context(), logsOf(offer, 1, "back"))
	must(t, err)
	r.Offer()
	if took := time.Since(begun); took > time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	s := newAPI(t, opsleveltest.Options{})
	tls := httptest.NewTLSServer(s)
	defer tls.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw}), 0o600))
	r := run(t, s, sdktest.SourceOptions{}, map[string]any{"api_url": tls.URL})
	if message := r.Status(false).Message; !strings.Contains(message, "certificate") {
		t.Errorf("it says %q", message)
	}
	run(t, s, sdktest.SourceOptions{}, map[string]any{"api_url": tls.URL + "/", "ca_file": file, "user_agent_extras": "team-a"}).Status(true)
	requests := s.Requests()
	if agent := requests[len(requests)-1].Header.Get("User-Agent"); !strings.HasSuffix(agent, " user/team-a") {
		t.Errorf("User-Agent: %s", agent)
	}
}

// TestCallsOfJobsAreIndependent: a job's own calls are not held up by another's.
func TestCallsOfJobsAreIndependent(t *testing.T) {
	t.Parallel()
	s := newAPI(t, opsleveltest.Options{})
	s.Add(simple("a"), simple("b"))
	r := run(t, s, sdktest.SourceOptions{Concurrency: 2}, nil)
	first, second := r.Offer(), r.Offer()
	s.Judge(func(r *opsleveltest.Request) *opsleveltest.Fault {
		if r.Operation == appends && strings.Contains(string(r.Body), first.Key.ID) {
			return &opsleveltest.Fault{Delay: time.Minute}
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := r.AppendLogs(ctx, logsOf(first, 1, "slow"))
		done <- err
	}()
	await(t, s, "the slow call", func() bool { return count(s, appends) == 1 })
	_, err := r.AppendLogs(t.Context(), logsOf(second, 1, "fast"))
	must(t, err)
	cancel()
	if err := <-done; err == nil {
		t.Error("the slow call has worked")
	}
	// The call that was given up holds up the next one of its job only until it has noticed.
	s.Judge(nil)
	_, err = r.AppendLogs(t.Context(), logsOf(first, 1, "slow"))
	must(t, err)
}

// TestWhatCoreLeavesIsForgotten: core says nothing more of a job that it leaves to another runner, or gives up.
func TestWhatCoreLeavesIsForgotten(t *testing.T) {
	j := newJobs()
	key := func(i int) sdk.JobKey { return sdk.JobKey{ID: fmt.Sprint(i), Attempt: 1} }
	runs := j.open(key(0), "r")
	for i := range 2 * maxKnown {
		j.open(key(i+1), "r")
		if j.open(key(0), "r") != runs {
			t.Fatal("a job that runs is forgotten")
		}
	}
	if n := j.of("r"); n > maxKnown {
		t.Errorf("%d jobs are known", n)
	}
}
