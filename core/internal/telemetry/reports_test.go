package telemetry

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/podrunner/runner/core/internal/redact"
	"github.com/podrunner/runner/core/internal/telemetry/telemetrytest"
)

// secret is a value that must go nowhere.
const secret = "hunter2-hunter2"

// hide is the redactor of these tests.
func hide(text string) string { return strings.ReplaceAll(text, secret, redact.Mask) }

// logged is a log that a test reads.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Output: l, Level: hclog.Info, DisableTime: true})
}

// newReports returns reports to a DSN, and their log.
func newReports(t *testing.T, dsn string) (*Reports, *logged) {
	t.Helper()
	log := &logged{}
	r, err := NewReports(ReportsOptions{
		DSN: dsn, Environment: "staging", Runner: "runner-1", Version: "v1.2.3", Redact: hide, Logger: log.logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(time.Second) })
	return r, log
}

var pipelineP = Pipeline{Name: "p", Source: "opslevel", Executor: "kubernetes"}

// failedJob is a job that has failed.
func failedJob(r *Reports) JobReport {
	code := 3
	tail := r.Tail(nil)
	tail.Add(bytesOf(append(numbered(1, 30), "it is "+secret)))
	return JobReport{
		Pipeline: pipelineP, ID: "gid://42", Number: "42", Attempt: 2, Log: tail,
		End: JobEnd{Outcome: "failed", Reason: "exit", Message: "the value is " + secret, ExitCode: &code, Records: 31, Total: 5 * time.Second},
	}
}

// only returns the only event, without what differs each time.
func only(t *testing.T, s *telemetrytest.Sentry) map[string]any {
	t.Helper()
	events := s.Events()
	if len(events) != 1 {
		t.Fatalf("there are %d events: %v", len(events), events)
	}
	event := maps.Clone(events[0])
	for _, name := range []string{"event_id", "timestamp", "sdk"} {
		if event[name] == nil {
			t.Errorf("an event has no %s", name)
		}
		delete(event, name)
	}
	return event
}

// TestJobReport: a report has what the documentation says, and nothing else, whatever stands in the environment.
func TestJobReport(t *testing.T) {
	t.Setenv("SENTRY_ENVIRONMENT", "another")
	t.Setenv("SENTRY_RELEASE", "another")
	t.Setenv("SENTRY_TAGS_TEAM", "another")
	s := telemetrytest.NewSentry(t)
	r, log := newReports(t, s.DSN())
	r.Job(failedJob(r))
	r.Close(2 * time.Second)
	lines := []any{}
	for _, l := range append(numbered(12, 30), "it is **********") {
		lines = append(lines, l)
	}
	want := map[string]any{
		"level": "info", "message": "[job: 42] Ended with Outcome: failed", "platform": "go",
		"environment": "staging", "release": "runner@v1.2.3", "server_name": "runner-1",
		"fingerprint": []any{"job", "p", "failed", "exit"},
		"tags": map[string]any{
			"job": "42", "outcome": "failed", "reason": "exit",
			"pipeline": "p", "source": "opslevel", "executor": "kubernetes", "runner": "runner-1",
		},
		"contexts": map[string]any{
			"job": map[string]any{
				"id": "gid://42", "attempt": 2.0, "message": "the value is **********", "exit_code": 3.0, "records": 31.0, "total": "5s",
			},
			"logs": map[string]any{"runner_logs": lines},
		},
		"user": map[string]any{},
	}
	got := only(t, s)
	if len(got["user"].(map[string]any)) > 0 { //nolint:forcetypeassert // the SDK always sends one
		t.Errorf("a user is told of: %v", got["user"])
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if log.String() != "" {
		t.Errorf("the log is %q", log)
	}
}

func TestJobsThatAreReported(t *testing.T) {
	for _, test := range []struct {
		outcome string
		want    int
	}{
		{"failed", 1},
		{"pod_timeout", 1},
		{"execution_timeout", 1},
		{"queue_timeout", 1},
		{"unstarted", 1},
		{"success", 0},
		{"canceled", 0},
	} {
		t.Run(test.outcome, func(t *testing.T) {
			s := telemetrytest.NewSentry(t)
			r, _ := newReports(t, s.DSN())
			r.Job(JobReport{Pipeline: pipelineP, Number: "1", End: JobEnd{Outcome: test.outcome}})
			r.Close(2 * time.Second)
			if got := len(s.Events()); got != test.want {
				t.Errorf("%d events, want %d", got, test.want)
			}
		})
	}
}

func TestPluginReport(t *testing.T) {
	s := telemetrytest.NewSentry(t)
	r, _ := newReports(t, s.DSN())
	r.Plugin(PluginReport{
		Kind: "processor", Name: "sanitize", Reason: "ended", What: `processor "sanitize" exited with code 2`, Output: "panic: " + secret + strings.Repeat("x", 20_000),
	})
	r.Close(2 * time.Second)
	got := only(t, s)
	if got["level"] != "error" || got["message"] != `processor "sanitize" exited with code 2` {
		t.Errorf("the event is %v", got)
	}
	if d := cmp.Diff([]any{"plugin", "processor", "sanitize", "ended"}, got["fingerprint"]); d != "" {
		t.Errorf("the fingerprint: -want +got:\n%s", d)
	}
	want := map[string]any{"kind": "processor", "plugin": "sanitize", "reason": "ended", "runner": "runner-1"}
	if d := cmp.Diff(want, got["tags"]); d != "" {
		t.Errorf("the tags: -want +got:\n%s", d)
	}
	if strings.Contains(s.Raw(), secret) || len(s.Raw()) > 12_000 || !strings.Contains(s.Raw(), "panic: **********xxx") {
		t.Errorf("what was sent is %s", s.Raw())
	}
}

// panics panics, and returns where.
func panics() (callers []uintptr) {
	defer func() {
		_ = recover()
		callers = make([]uintptr, 64)
		callers = callers[:runtime.Callers(1, callers)]
	}()
	panic("oh")
}

func TestPanicReport(t *testing.T) {
	s := telemetrytest.NewSentry(t)
	r, _ := newReports(t, s.DSN())
	r.Panic(PanicReport{Pipeline: pipelineP, Number: "42", Value: "no such " + secret, Callers: panics()})
	r.Close(2 * time.Second)
	got := only(t, s)
	if got["level"] != "fatal" || got["fingerprint"] != nil { // Sentry groups by the stack
		t.Errorf("the event is %v", got)
	}
	exception := got["exception"].([]any)[0].(map[string]any) //nolint:forcetypeassert // a test
	if exception["type"] != "panic" || exception["value"] != "no such **********" {
		t.Errorf("the exception is %v", exception)
	}
	frames := exception["stacktrace"].(map[string]any)["frames"].([]any) //nolint:forcetypeassert // a test
	last := frames[len(frames)-1].(map[string]any)                       //nolint:forcetypeassert // a test
	if last["function"] != "panics" || last["lineno"] == nil {
		t.Errorf("the innermost call is %v", last)
	}
	for _, f := range frames {
		for key := range f.(map[string]any) { //nolint:forcetypeassert // a test
			if !slices.Contains([]string{"function", "module", "filename", "lineno", "in_app"}, key) {
				t.Errorf("a call is told of with its %s", key)
			}
		}
	}
}

// TestNothingIsReported: without a DSN there is nothing that could be asked to do something.
func TestNothingIsReported(t *testing.T) {
	t.Setenv("SENTRY_DSN", telemetrytest.NewSentry(t).DSN())
	r, err := NewReports(ReportsOptions{})
	if r != nil || err != nil {
		t.Fatalf("%v, %v", r, err)
	}
	r.Job(failedJob(r))
	r.Plugin(PluginReport{})
	r.Panic(PanicReport{})
	r.Close(time.Second)
}

func TestBadDSN(t *testing.T) {
	_, err := NewReports(ReportsOptions{DSN: "https://" + secret + "@sentry.example.com"})
	if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "sentry_dsn") {
		t.Errorf("the error is %v", err)
	}
}

// TestSentryIsDown: it costs no job a moment, is told of once, and does not hold up the end.
func TestSentryIsDown(t *testing.T) {
	s := telemetrytest.NewSentry(t)
	s.Stop()
	r, log := newReports(t, s.DSN())
	begun := time.Now()
	for range 3 * maxWaitingReports {
		r.Job(failedJob(r))
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the reports took %s", took)
	}
	r.Close(2 * time.Second)
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("all of it took %s", took)
	}
	if n := strings.Count(log.String(), "error reports can't be sent"); n != 1 || !strings.Contains(log.String(), "refused") || strings.Contains(log.String(), telemetrytest.Key) {
		t.Errorf("the log is %q", log)
	}
}

// TestSentryHangs: the end waits no longer than its bound, and leaves no goroutine.
func TestSentryHangs(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	others := goleak.IgnoreCurrent()
	r, log := newReports(t, fmt.Sprintf("http://k@%s/42", listener.Addr()))
	r.Job(failedJob(r))
	r.Job(failedJob(r))
	begun := time.Now()
	r.Close(200 * time.Millisecond)
	if took := time.Since(begun); took < 200*time.Millisecond || took > 5*time.Second {
		t.Errorf("the end took %s", took)
	}
	goleak.VerifyNone(t, others) // as long as the server is there
	if !strings.Contains(log.String(), "were not sent in time") || strings.Contains(log.String(), "can't be sent") {
		t.Errorf("the log is %q", log)
	}
	r.Close(time.Hour) // does nothing
}

// TestSentryRefuses: the log tells when it begins and when it ends.
func TestSentryRefuses(t *testing.T) {
	s := telemetrytest.NewSentry(t)
	r, log := newReports(t, s.DSN())
	for _, status := range []int{http.StatusForbidden, http.StatusForbidden, http.StatusOK, http.StatusOK} {
		s.Answer(status)
		r.Job(failedJob(r))
		if !r.client.Flush(2 * time.Second) {
			t.Fatal("it takes too long")
		}
	}
	want := []string{"can't be sent", "403 Forbidden", "are sent again"}
	for _, text := range want {
		if strings.Count(log.String(), text) != 1 {
			t.Errorf("the log does not say %q once: %q", text, log)
		}
	}
	if n := len(s.Events()); n != 2 {
		t.Errorf("%d events", n)
	}
}

// TestNoRedirection: a report goes to the address of the DSN, and to no other.
func TestNoRedirection(t *testing.T) {
	s := telemetrytest.NewSentry(t)
	s.Answer(http.StatusTemporaryRedirect)
	r, log := newReports(t, s.DSN())
	r.Job(failedJob(r))
	r.Close(2 * time.Second)
	if !strings.Contains(log.String(), "307 Temporary Redirect") {
		t.Errorf("the log is %q", log)
	}
}
