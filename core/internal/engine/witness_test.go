package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/pipeline"
	"github.com/podrunner/runner/core/internal/redact"
	"github.com/podrunner/runner/core/internal/telemetry"
	"github.com/podrunner/runner/core/internal/telemetry/telemetrytest"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// secret is the value of a sensitive variable of these tests' jobs.
const secret = "hunter2-hunter2"

// witnessed is a service whose jobs are traced, and reported when they fail.
type witnessed struct {
	*Service
	sentry    *telemetrytest.Sentry
	collector *telemetrytest.Collector
}

func newWitnessed(t *testing.T, f *fakeSource, e executor.Executor) witnessed {
	t.Helper()
	w := witnessed{newService(f, nil), telemetrytest.NewSentry(t), telemetrytest.NewCollector(t)}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", w.collector.URL())
	w.Pipelines[0].Executor = e
	w.Redact = &redact.Redactor{}
	w.Traces = telemetry.NewTraces(telemetry.TracesOptions{Redact: w.Redact.String})
	var err error
	if w.Reports, err = telemetry.NewReports(telemetry.ReportsOptions{DSN: w.sentry.DSN(), Redact: w.Redact.String}); err != nil {
		t.Fatal(err)
	}
	return w
}

// run runs the service to its end, and has all that it tells arrive.
func (w witnessed) run(t *testing.T) {
	t.Helper()
	serve(t, t.Context(), w.Service)
	w.Traces.Close(2 * time.Second)
	w.Reports.Close(2 * time.Second)
	if strings.Contains(w.collector.Raw()+w.sentry.Raw(), secret) {
		t.Error("a sensitive value has got out")
	}
}

// seen is an executor that keeps the variables of its jobs.
type seen struct {
	executor.Executor
	mu        sync.Mutex
	variables map[string][]job.Variable
}

func (s *seen) Start(ctx context.Context, j *job.Job) (executor.Run, error) {
	s.mu.Lock()
	if s.variables == nil {
		s.variables = map[string][]job.Variable{}
	}
	s.variables[j.ID] = j.Variables
	s.mu.Unlock()
	return s.Executor.Start(ctx, j)
}

// offerOne has the source offer job 1, with a sensitive variable and others.
func offerOne(f *fakeSource, variables ...*pluginv1.JobVariable) {
	f.offer(&pluginv1.JobsResponse_Offer{Job: &pluginv1.Job{
		Number: "4213370",
		Key:    &pluginv1.JobKey{Id: "1", Attempt: 1}, Image: "x", Commands: []string{"true"},
		Variables: append([]*pluginv1.JobVariable{{Key: "TOKEN", Value: secret, Sensitive: true}}, variables...),
	}})
}

// TestFailedJobIsWitnessed: each part of a failed job's life is a span, and a report has its last lines.
func TestFailedJobIsWitnessed(t *testing.T) {
	f, code := newFakeSource(t), 3
	script := &script{
		statuses: []executor.Status{
			{Phase: executor.Pending, Reason: "ImagePull", Message: "pulls " + secret},
			{Phase: executor.Running, Message: "step job"},
			{Phase: executor.Done},
		},
		result: executor.Result{Outcome: job.Failed, Reason: job.ReasonExit, Message: "it said " + secret, ExitCode: &code, Records: 40},
	}
	for i := range 39 {
		script.lines = append(script.lines, fmt.Sprint("line ", i+1))
	}
	script.lines = append(script.lines, "+ echo "+secret)
	f.appendErr = []error{errAway}
	f.reportErr = []error{errAway, errAway}
	offerOne(f)
	w := newWitnessed(t, f, newExecutors().first(script))
	w.run(t)

	root, deliver, report := w.collector.Span("job"), w.collector.Span("deliver"), w.collector.Span("report")
	for name, want := range map[string]any{
		"job.id": "1", "job.number": "4213370", "job.attempt": int64(1), "worker": int64(1), "pipeline": "p", "source": "fake", "executor": "local",
		"outcome": "failed", "reason": "exit", "exit_code": int64(3), "records": int64(40),
	} {
		if got := root.Attributes[name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if !root.Failed || root.Message != "it said **********" {
		t.Errorf("the status is %q", root.Message)
	}
	if deliver.Attributes["lines"] != int64(41) || deliver.Attributes["retries"] != int64(1) || len(deliver.Events) != 1 || deliver.Failed {
		t.Errorf("the delivery is %+v", deliver)
	}
	if len(report.Events) != 2 || report.Failed {
		t.Errorf("the report is %+v", report)
	}
	wait := w.collector.Span("wait")
	if wait.Parent != w.collector.Span("start").ID || wait.Attributes["message"] != "pulls **********" {
		t.Errorf("what it waits for is %+v", wait)
	}
	for _, name := range []string{"claim", "start", "run", "deliver", "report"} {
		if s := w.collector.Span(name); s.Parent != root.ID || s.Start.Before(root.Start) || s.End.After(root.End) {
			t.Errorf("%s is not within the job: %+v", name, s)
		}
	}

	events := w.sentry.Events()
	if len(events) != 1 || events[0]["message"] != "[job: 4213370] Ended with Outcome: failed" {
		t.Fatalf("the events are %v", events)
	}
	contexts := events[0]["contexts"].(map[string]any)        //nolint:forcetypeassert // a test
	lines := contexts["logs"].(map[string]any)["runner_logs"] //nolint:forcetypeassert // a test
	want := []any{}
	for _, l := range append(slices.Clone(script.lines[21:39]), "+ echo **********", "[runner] failed (exit): it said **********") {
		want = append(want, l)
	}
	if d := cmp.Diff(want, lines); d != "" {
		t.Errorf("the lines: -want +got:\n%s", d)
	}
}

// TestTraceparent: the job knows the trace that it is a part of, unless it has a variable of that name.
func TestTraceparent(t *testing.T) {
	const own = "00-11111111111111111111111111111111-2222222222222222-01"
	for _, test := range []struct {
		name   string
		traced bool
		own    []*pluginv1.JobVariable
		// want is the value; "trace" stands for that of the job's trace, "" for none.
		want string
	}{
		{"traced", true, nil, "trace"},
		{"traced, with a variable of its own", true, []*pluginv1.JobVariable{{Key: "TRACEPARENT", Value: own}}, own},
		{"traced, with one of another case", true, []*pluginv1.JobVariable{{Key: "traceparent", Value: own}}, "trace"},
		{"not traced", false, nil, ""},
		{"not traced, with a variable of its own", false, []*pluginv1.JobVariable{{Key: "TRACEPARENT", Value: own}}, own},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, e := newFakeSource(t), &seen{Executor: newExecutors()}
			offerOne(f, test.own...)
			w := newWitnessed(t, f, e)
			if !test.traced {
				w.Traces.Close(time.Second)
				w.Traces = nil
			}
			w.run(t)
			var got []job.Variable
			for _, v := range e.variables["1"] {
				if v.Key == "TRACEPARENT" {
					got = append(got, v)
				}
			}
			want := test.want
			if want == "trace" {
				root := w.collector.Span("job")
				want = "00-" + root.Trace + "-" + root.ID + "-01"
			}
			if want == "" && len(got) == 0 {
				return
			}
			if len(got) != 1 || got[0] != (job.Variable{Key: "TRACEPARENT", Value: want}) {
				t.Errorf("the variables are %v, want %s", got, want)
			}
		})
	}
}

// bug is a stage that panics.
type bug struct{}

func (bug) Connect(context.Context) (pipeline.Connection, error) {
	panic("a test's panic about " + secret)
}

// TestPanicsAreReported: a mistake in core costs a job, and is reported beside it, wherever it is.
func TestPanicsAreReported(t *testing.T) {
	for _, test := range []struct {
		name   string
		script *script
		stages []pipeline.Stage
		value  string
		// in is the function that has panicked.
		in string
	}{
		{"in the job's own goroutine", &script{panics: true}, nil, "a test's panic", "(*executors).Start"},
		{"in the pipeline", &script{lines: []string{"a"}, result: succeeded}, []pipeline.Stage{{Name: "bug", Connector: bug{}}}, "a test's panic about **********", "bug.Connect"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFakeSource(t)
			offerOne(f)
			w := newWitnessed(t, f, newExecutors().first(test.script))
			w.Pipelines[0].Stages = test.stages
			w.run(t)
			events := w.sentry.Events()
			if len(events) != 2 {
				t.Fatalf("the events are %v", events)
			}
			panicked, ended := events[0], events[1]
			exception := panicked["exception"].([]any)[0].(map[string]any)       //nolint:forcetypeassert // a test
			frames := exception["stacktrace"].(map[string]any)["frames"].([]any) //nolint:forcetypeassert // a test
			last := frames[len(frames)-1].(map[string]any)                       //nolint:forcetypeassert // a test
			if panicked["level"] != "fatal" || exception["value"] != test.value || last["function"] != test.in {
				t.Errorf("the panic is reported as %v in %v", exception["value"], last)
			}
			if ended["message"] != "[job: 4213370] Ended with Outcome: failed" {
				t.Errorf("the job is reported as %v", ended)
			}
			if root := w.collector.Span("job"); !root.Failed {
				t.Errorf("the trace is %+v", root)
			}
		})
	}
}

// TestLostLinesAreWitnessed: what the source never takes is in the trace.
func TestLostLinesAreWitnessed(t *testing.T) {
	f := newFakeSource(t)
	f.appendErr = []error{errAway}
	offerOne(f)
	w := newWitnessed(t, f, newExecutors())
	w.Pipelines[0].GiveUp = time.Nanosecond
	w.run(t)
	deliver := w.collector.Span("deliver")
	if !deliver.Failed || deliver.Attributes["lines_lost"] != int64(1) || !strings.Contains(deliver.Message, "the remote system is away") {
		t.Errorf("the delivery is %+v", deliver)
	}
	if root := w.collector.Span("job"); root.Failed || root.Attributes["outcome"] != "success" {
		t.Errorf("the trace is %+v", root)
	}
}
