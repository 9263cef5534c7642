package telemetry

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/podrunner/runner/core/internal/redact"
	"github.com/podrunner/runner/core/internal/telemetry/telemetrytest"
)

// environment sets variables, and empties all others that concern traces.
func environment(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

// newTraces returns Traces for the present environment, and their log.
func newTraces(t *testing.T) (*Traces, *logged) {
	t.Helper()
	log := &logged{}
	traces := NewTraces(TracesOptions{Runner: "runner-1", Version: "v1.2.3", Redact: hide, Logger: log.logger()})
	t.Cleanup(func() { traces.Close(time.Second) })
	return traces, log
}

// jobT is a job that was offered a moment ago.
func jobT() TracedJob {
	return TracedJob{Pipeline: pipelineP, ID: "gid://42", Number: "42", Attempt: 2, Offered: time.Now().Add(-time.Second)}
}

// live is a job's life from its offer to its end.
func live(t *Traces) *JobTrace {
	j := t.Job(jobT())
	j.Accepted(3)
	j.Phase("pending", "Scheduling", "no node has been chosen yet")
	j.Phase("pending", "ImagePull", "the image needs "+secret)
	j.Phase("running", "", "step job")
	j.Delivering()
	j.Delivered(10, 100)
	j.Delivering()
	j.Retry("away: " + secret)
	j.Retry("still away")
	j.Delivered(5, 50)
	j.Delivering()
	j.Lost(7, "given up: "+secret)
	j.Phase("done", "", "")
	j.Reporting()
	j.Retry("busy")
	j.Reported("")
	code := 3
	j.End(JobEnd{Outcome: "failed", Reason: "exit", Message: "it said " + secret, ExitCode: &code, Records: 22})
	return j
}

func TestWhenThereAreTraces(t *testing.T) {
	for _, test := range []struct {
		name      string
		variables map[string]string
		want      bool
		// says is what the log says; "" for nothing.
		says string
	}{
		{"nothing", nil, false, ""},
		{"other variables", map[string]string{"OTEL_SERVICE_NAME": "x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_METRICS_EXPORTER": "otlp"}, false, ""},
		{"an endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true, ""},
		{"an endpoint for traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/x"}, true, ""},
		{"an exporter", map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		{"an exporter with gRPC", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, true, ""},
		{"switched off", map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, false, ""},
		{"not switched off", map[string]string{"OTEL_SDK_DISABLED": "false", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true, ""},
		{"no exporter", map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, false, ""},
		{"another exporter", map[string]string{"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, false, `there is no exporter \"zipkin\"`},
		{"two exporters", map[string]string{"OTEL_TRACES_EXPORTER": "console,otlp"}, true, `there is no exporter \"console\"`},
		{"another protocol", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, true, `there is no protocol \"http/json\"`},
		{"another sampler", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "dice"}, true, "unsupported sampler: dice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			environment(t, test.variables)
			before := runtime.NumGoroutine()
			traces, log := newTraces(t)
			if (traces != nil) != test.want {
				t.Errorf("traces: %v", traces != nil)
			}
			if !test.want && runtime.NumGoroutine() > before {
				t.Errorf("%d goroutines more", runtime.NumGoroutine()-before)
			}
			if !strings.Contains(log.String(), test.says) || test.says == "" && log.String() != "" {
				t.Errorf("the log is %q, want %q", log, test.says)
			}
		})
	}
}

// shape is what a test compares of a span.
type shape struct {
	Name, Parent string
	Kind         tracev1.Span_SpanKind
	Attributes   map[string]any
	Events       []telemetrytest.Event
	Failed       bool
	Message      string
}

// shapes returns spans by their names, and by what they wait for, with the names of their parents.
func shapes(t *testing.T, spans []telemetrytest.Span) map[string]shape {
	t.Helper()
	names := map[string]string{}
	for _, s := range spans {
		names[s.ID] = s.Name
		if s.Trace != spans[0].Trace {
			t.Errorf("the span %s is of another trace", s.Name)
		}
		if s.End.Before(s.Start) {
			t.Errorf("the span %s ends before it starts", s.Name)
		}
	}
	out := map[string]shape{}
	for _, s := range spans {
		name := s.Name
		if name == "wait" {
			name = fmt.Sprint(name, " ", s.Attributes["reason"])
		}
		out[name] = shape{s.Name, names[s.Parent], s.Kind, s.Attributes, s.Events, s.Failed, s.Message}
	}
	return out
}

// TestJobTrace follows a job, over both protocols.
func TestJobTrace(t *testing.T) {
	const (
		internal = tracev1.Span_SPAN_KIND_INTERNAL
		producer = tracev1.Span_SPAN_KIND_PRODUCER
	)
	none := map[string]any{}
	event := func(name string, pairs ...any) telemetrytest.Event {
		e := telemetrytest.Event{Name: name, Attributes: map[string]any{}}
		for i := 0; i < len(pairs); i += 2 {
			e.Attributes[pairs[i].(string)] = pairs[i+1] //nolint:forcetypeassert // a test
		}
		return e
	}
	want := map[string]shape{
		"job": {Name: "job", Kind: tracev1.Span_SPAN_KIND_CONSUMER, Failed: true, Message: "it said **********", Attributes: map[string]any{
			"job.id": "gid://42", "job.number": "42", "job.attempt": int64(2), "worker": int64(3), "runner": "runner-1",
			"pipeline": "p", "source": "opslevel", "executor": "kubernetes",
			"outcome": "failed", "reason": "exit", "exit_code": int64(3), "records": int64(22),
		}},
		"claim": {Name: "claim", Parent: "job", Kind: internal, Attributes: none},
		"start": {Name: "start", Parent: "job", Kind: internal, Attributes: none},
		"wait Scheduling": {Name: "wait", Parent: "start", Kind: internal, Attributes: map[string]any{
			"reason": "Scheduling", "message": "no node has been chosen yet",
		}},
		"wait ImagePull": {Name: "wait", Parent: "start", Kind: internal, Attributes: map[string]any{
			"reason": "ImagePull", "message": "the image needs **********",
		}},
		"run": {Name: "run", Parent: "job", Kind: internal, Attributes: none, Events: []telemetrytest.Event{
			event("status", "reason", "", "message", "step job"),
		}},
		"deliver": {
			Name: "deliver", Parent: "job", Kind: producer, Failed: true, Message: "given up: **********",
			Attributes: map[string]any{"lines": int64(15), "bytes": int64(150), "batches": int64(3), "retries": int64(2), "lines_lost": int64(7)},
			Events: []telemetrytest.Event{
				event("retry", "error", "away: **********"), event("retry", "error", "still away"), event("lost", "lines", int64(7), "error", "given up: **********"),
			},
		},
		"report": {Name: "report", Parent: "job", Kind: producer, Attributes: none, Events: []telemetrytest.Event{event("retry", "error", "busy")}},
	}
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			c := telemetrytest.NewCollector(t)
			endpoint := c.URL()
			if protocol == "grpc" {
				endpoint = c.GRPC()
			}
			environment(t, map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_RESOURCE_ATTRIBUTES": "team=x",
			})
			traces, log := newTraces(t)
			live(traces)
			traces.Close(2 * time.Second)
			if d := cmp.Diff(want, shapes(t, c.Spans())); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if strings.Contains(c.Raw(), secret) {
				t.Error("a sensitive value was exported")
			}
			for name, value := range map[string]any{
				"service.name": "runner", "service.version": "v1.2.3", "service.instance.id": "runner-1", "team": "x", "host.name": nil, "process.pid": nil,
			} {
				if got := c.Resource()[name]; got != value {
					t.Errorf("%s is %v, want %v", name, got, value)
				}
			}
			if log.String() != "" {
				t.Errorf("the log is %q", log)
			}
		})
	}
}

func TestServiceName(t *testing.T) {
	c := telemetrytest.NewCollector(t)
	environment(t, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": c.URL() + "/v1/traces", "OTEL_SERVICE_NAME": "jobs"})
	traces, _ := newTraces(t)
	live(traces)
	traces.Close(2 * time.Second)
	if got := c.Resource()["service.name"]; got != "jobs" {
		t.Errorf("the service is %v", got)
	}
}

// TestJobTraceEnds: a job that never ran, or whose end came in the middle of something, leaves no span open.
func TestJobTraceEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		live func(*JobTrace)
		want []string
		ok   bool
	}{
		{"at once", func(*JobTrace) {}, []string{"claim", "job"}, true},
		{"while it waits", func(j *JobTrace) { j.Accepted(1); j.Phase("pending", "ImagePull", "") }, []string{"claim", "job", "start", "wait ImagePull"}, true},
		{"while it runs", func(j *JobTrace) { j.Accepted(1); j.Phase("running", "", ""); j.Delivering() }, []string{"claim", "deliver", "job", "run", "start"}, true},
		{"without a report", func(j *JobTrace) { j.Accepted(1); j.Reporting() }, []string{"claim", "job", "report", "start"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := telemetrytest.NewCollector(t)
			environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL()})
			traces, _ := newTraces(t)
			j := traces.Job(jobT())
			test.live(j)
			j.End(JobEnd{Outcome: "canceled", Message: "somebody wanted it"})
			j.Phase("running", "", "too late")
			j.Delivering()
			j.End(JobEnd{Outcome: "failed"})
			traces.Close(2 * time.Second)
			got := shapes(t, c.Spans())
			if got["job"].Failed || got["job"].Attributes["outcome"] != "canceled" {
				t.Errorf("the job's span is %+v", got["job"])
			}
			if len(got) != len(test.want) {
				t.Errorf("the spans are %v, want %v", got, test.want)
			}
			for _, name := range test.want {
				if _, ok := got[name]; !ok {
					t.Errorf("there is no span %q in %v", name, got)
				}
			}
		})
	}
}

// TestManyWaits: a job may wait for something else all the time, for days.
func TestManyWaits(t *testing.T) {
	c := telemetrytest.NewCollector(t)
	environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL()})
	traces, _ := newTraces(t)
	j := traces.Job(jobT())
	j.Accepted(1)
	for i := range 1000 {
		j.Phase("pending", fmt.Sprint("Reason", i), strings.Repeat("x", 10_000))
	}
	j.End(JobEnd{Outcome: "success"})
	traces.Close(2 * time.Second)
	if n := len(c.Spans()); n != maxWaits+3 {
		t.Errorf("%d spans", n)
	}
	if n := len(c.Raw()); n > 2*maxWaits*maxSpanText {
		t.Errorf("%d bytes", n)
	}
}

func TestTraceparent(t *testing.T) {
	for _, test := range []struct {
		name, sampler, flags string
		spans                bool
	}{
		{"all", "", "01", true},
		{"all, said so", "always_on", "01", true},
		{"none", "always_off", "00", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := telemetrytest.NewCollector(t)
			variables := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL()}
			if test.sampler != "" {
				variables["OTEL_TRACES_SAMPLER"] = test.sampler
			}
			environment(t, variables)
			traces, _ := newTraces(t)
			j := live(traces)
			traces.Close(2 * time.Second)
			id, span := j.ids()
			if want := "00-" + id + "-" + span + "-" + test.flags; j.Parent() != want {
				t.Errorf("it is %q, want %q", j.Parent(), want)
			}
			if !test.spans {
				if len(c.Spans()) > 0 {
					t.Errorf("exported: %v", c.Spans())
				}
				return
			}
			if root := c.Span("job"); root.Trace != id || root.ID != span || root.Parent != "" {
				t.Errorf("the root is %+v", root)
			}
		})
	}
}

// TestNoTraces: a nil one does nothing.
func TestNoTraces(t *testing.T) {
	environment(t, nil)
	traces, _ := newTraces(t)
	j := live(traces)
	if id, span := j.ids(); j != nil || j.Parent() != "" || id != "" || span != "" {
		t.Errorf("there is a trace: %v", j)
	}
	traces.Close(time.Second)
	if n := testing.AllocsPerRun(100, func() { live(traces) }); n > 3 { // the texts of this test
		t.Errorf("%v allocations", n)
	}
}

// TestReportNamesTheTrace: who reads a report finds the trace.
func TestReportNamesTheTrace(t *testing.T) {
	s, c := telemetrytest.NewSentry(t), telemetrytest.NewCollector(t)
	environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL()})
	traces, _ := newTraces(t)
	r, _ := newReports(t, s.DSN())
	report := failedJob(r)
	report.Trace = live(traces)
	r.Job(report)
	r.Close(2 * time.Second)
	traces.Close(2 * time.Second)
	root := c.Span("job")
	contexts := only(t, s)["contexts"].(map[string]any) //nolint:forcetypeassert // a test
	if d := cmp.Diff(map[string]any{"trace_id": root.Trace, "span_id": root.ID}, contexts["trace"]); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestCollectorIsDown: it costs no job a moment, is told of, and does not hold up the end.
func TestCollectorIsDown(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol})
			traces, log := newTraces(t)
			begun := time.Now()
			for range 3000 {
				live(traces)
			}
			if took := time.Since(begun); took > 20*time.Second {
				t.Errorf("the jobs took %s", took)
			}
			begun = time.Now()
			traces.Close(300 * time.Millisecond)
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("the end took %s", took)
			}
			if log.String() == "" || strings.Count(log.String(), "something is wrong with traces") > 1 {
				t.Errorf("the log is %q", log)
			}
		})
	}
}

// TestComplaints: what goes wrong all the time is told of once a minute.
func TestComplaints(t *testing.T) {
	log := &logged{}
	c := complaints{logger: log.logger(), redact: hide}
	for i := range 100 {
		c.add(fmt.Sprint("fault ", i, " of ", secret))
	}
	const first = "[WARN]  something is wrong with traces; jobs go on without: error=\"fault 0 of **********\" unsaid=0\n"
	if got := log.String(); got != first {
		t.Errorf("the log is %q, want %q", got, first)
	}
	c.last = c.last.Add(-2 * complaintsEvery)
	c.add("again")
	if got, want := log.String(), first+"[WARN]  something is wrong with traces; jobs go on without: error=again unsaid=99\n"; got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
}

// TestErrorsGoToTheLog: by itself OpenTelemetry would write to standard error.
func TestErrorsGoToTheLog(t *testing.T) {
	environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
	_, log := newTraces(t)
	otel.Handle(errors.New("a fault"))
	if !strings.Contains(log.String(), "something is wrong with traces") {
		t.Errorf("the log is %q", log)
	}
}

// TestKeysAreHidden: the keys among the variables are given to the redactor; words are not.
func TestKeysAreHidden(t *testing.T) {
	environment(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT":       "http://user:pw-of-user@127.0.0.1:1",
		"OTEL_EXPORTER_OTLP_HEADERS":        "x-tenant=1,Authorization=Bearer%20abcdefghijklmnopqrst",
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-key=0123456789abcdef%3D",
	})
	var hidden []string
	traces := NewTraces(TracesOptions{Hide: func(values ...string) { hidden = append(hidden, values...) }})
	defer traces.Close(time.Second)
	want := []string{"Bearer%20abcdefghijklmnopqrst", "abcdefghijklmnopqrst", "0123456789abcdef%3D", "0123456789abcdef=", "pw-of-user"}
	if d := cmp.Diff(want, hidden); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestKeyInAWrongVariable has a key where OpenTelemetry quotes it: in a header that is written as in HTTP, in an endpoint that
// is no URL.
func TestKeyInAWrongVariable(t *testing.T) {
	const key = "abcdefghijklmnopqrst"
	for name, variables := range map[string]map[string]string{
		"colon":             {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization: Bearer " + key},
		"colon and equals":  {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization: Bearer " + key + "=="},
		"escape":            {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=" + key + "%zz"},
		"key alone":         {"OTEL_EXPORTER_OTLP_HEADERS": key},
		"endpoint":          {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:" + key + "%zz@127.0.0.1:1"},
		"endpoint of trace": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://user:" + key + "#@[127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			variables["OTEL_TRACES_EXPORTER"] = "otlp"
			environment(t, variables)
			log := &logged{}
			var redactor redact.Redactor
			NewTraces(TracesOptions{Redact: redactor.String, Hide: redactor.Always, Logger: log.logger()}).Close(time.Second)
			if text := log.String(); !strings.Contains(text, "something is wrong with traces") || strings.Contains(text, key) {
				t.Errorf("the log:\n%s", text)
			}
		})
	}
}
