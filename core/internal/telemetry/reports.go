package telemetry

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/getsentry/sentry-go"
	"github.com/hashicorp/go-hclog"
)

const (
	// maxWaitingReports bounds those that wait to be sent, some 40 KiB each at most; more are dropped.
	maxWaitingReports = 100
	// maxReportText bounds a text of a report in bytes, but for the lines of a log, which have a bound of their own.
	maxReportText = 8 << 10
	// maxFrames bounds the calls of a panic's stack.
	maxFrames = 64
)

// ReportsOptions are what Reports are made of.
type ReportsOptions struct {
	// DSN is where they go: that of a project in Sentry. Empty: nowhere.
	DSN string
	// Environment is the one that they are filed under.
	Environment string
	// Runner is the runner's name, Version that of core.
	Runner, Version string
	// Redact takes sensitive values out of every text of a report. Nil: there are none.
	Redact func(string) string
	// Logger may be nil.
	Logger hclog.Logger
}

// Reports tell Sentry what has gone wrong: jobs that have not succeeded, panics, plugins that have ended. They are safe for
// concurrent use; a nil one does nothing. None of its methods but Close waits: what is reported is sent by a goroutine of
// its own, one report at a time, and when many wait, new ones are dropped.
//
// What is sent is what stands in a report's type and the names of the runner and of its version, and no more: no
// environment, no list of modules, nothing of the machine.
type Reports struct {
	client *sentry.Client
	sender *sender
	runner string
	redact func(string) string
	logger hclog.Logger
	closed atomic.Bool
}

// NewReports returns what sends reports, nil when there is no DSN. An error says that the DSN is none; it does not hold it.
func NewReports(options ReportsOptions) (*Reports, error) {
	if options.DSN == "" {
		return nil, nil //nolint:nilnil // a nil one does nothing
	}
	dsn, err := sentry.NewDsn(options.DSN)
	if err != nil {
		return nil, fmt.Errorf("error reports: sentry_dsn is not the DSN of a project in Sentry: mend it in the block telemetry of runner.hcl")
	}
	r := &Reports{runner: options.Runner, redact: options.Redact, logger: options.Logger}
	if r.redact == nil {
		r.redact = func(text string) string { return text }
	}
	if r.logger == nil {
		r.logger = hclog.NewNullLogger()
	}
	r.sender = newSender(fmt.Sprintf("%s:%d", dsn.GetHost(), dsn.GetPort()), r.logger)
	transport := sentry.NewHTTPTransport()
	transport.BufferSize = maxWaitingReports
	r.client, err = sentry.NewClient(sentry.ClientOptions{
		Dsn: options.DSN, Transport: transport, HTTPClient: r.sender.client(),
		// The SDK would ask the environment, git and the system for these.
		Environment: options.Environment, Release: "runner@" + options.Version, ServerName: options.Runner,
		// The integrations add what is around: environment, modules, source. Nothing of that is to be sent.
		Integrations:         func([]sentry.Integration) []sentry.Integration { return nil },
		DisableMetrics:       true,
		DisableClientReports: true,
		BeforeSend:           func(event *sentry.Event, _ *sentry.EventHint) *sentry.Event { return r.clean(event) },
		// There are none, and shall be none.
		BeforeSendTransaction: func(*sentry.Event, *sentry.EventHint) *sentry.Event { return nil },
	})
	if err != nil {
		r.sender.close()
		return nil, fmt.Errorf("error reports: sentry_dsn can't be used: mend it in the block telemetry of runner.hcl")
	}
	return r, nil
}

// JobReport is a job that has not succeeded.
type JobReport struct {
	Pipeline Pipeline
	// ID is the source's, Number a short form of it.
	ID, Number string
	Attempt    int
	End        JobEnd
	// Log are the last lines of its log; may be nil.
	Log *Tail
	// Trace is the job's; may be nil.
	Trace *JobTrace
}

// Job reports a job. One that has succeeded is not reported, nor is one that was canceled: somebody wanted that.
func (r *Reports) Job(j JobReport) {
	if r == nil || !failed(j.End.Outcome) {
		return
	}
	event := sentry.NewEvent()
	event.Level = sentry.LevelInfo
	event.Message = fmt.Sprintf("[job: %s] Ended with Outcome: %s", j.Number, j.End.Outcome)
	event.Tags = tags(j.Pipeline, "job", j.Number, "outcome", j.End.Outcome, "reason", j.End.Reason)
	event.Fingerprint = []string{"job", j.Pipeline.Name, j.End.Outcome, j.End.Reason}
	result := sentry.Context{"id": j.ID, "attempt": j.Attempt, "message": j.End.Message, "records": j.End.Records, "total": j.End.Total.Round(time.Millisecond).String()}
	if j.End.ExitCode != nil {
		result["exit_code"] = *j.End.ExitCode
	}
	event.Contexts["job"] = result
	if lines := j.Log.Lines(); len(lines) > 0 {
		event.Contexts["logs"] = sentry.Context{"runner_logs": lines}
	}
	r.send(event, j.Trace)
}

// PluginReport is a process of a plugin that has ended when it should not have, or could not be started again.
type PluginReport struct {
	Kind, Name string
	// Reason is a word for what has happened, What says it on one line.
	Reason, What string
	// Output is what the process wrote last.
	Output string
}

// Plugin reports a plugin.
func (r *Reports) Plugin(p PluginReport) {
	if r == nil {
		return
	}
	event := sentry.NewEvent()
	event.Level = sentry.LevelError
	event.Message = p.What
	event.Tags = tags(Pipeline{}, "kind", p.Kind, "plugin", p.Name, "reason", p.Reason)
	event.Fingerprint = []string{"plugin", p.Kind, p.Name, p.Reason}
	event.Contexts["plugin"] = sentry.Context{"last_output": p.Output}
	r.send(event, nil)
}

// PanicReport is a mistake in core.
type PanicReport struct {
	Pipeline Pipeline
	// Number is that of the job which it has cost.
	Number string
	// Value is what the code has panicked with, as a text.
	Value string
	// Callers are where, as runtime.Callers returns them.
	Callers []uintptr
	// Trace is the job's; may be nil.
	Trace *JobTrace
}

// Panic reports a panic that core has recovered from.
func (r *Reports) Panic(p PanicReport) {
	if r == nil {
		return
	}
	event := sentry.NewEvent()
	event.Level = sentry.LevelFatal
	event.Tags = tags(p.Pipeline, "job", p.Number)
	event.Exception = []sentry.Exception{{Type: "panic", Value: p.Value, Stacktrace: stackOf(p.Callers)}}
	r.send(event, p.Trace)
}

// stackOf returns a stack as Sentry has it, the outermost call first, without the calls by which a panic was recovered.
func stackOf(callers []uintptr) *sentry.Stacktrace {
	if len(callers) == 0 {
		return nil
	}
	stack := &sentry.Stacktrace{}
	frames := runtime.CallersFrames(callers)
	for more := true; more && len(stack.Frames) < maxFrames; {
		var frame runtime.Frame
		frame, more = frames.Next()
		stack.Frames = append(stack.Frames, sentry.NewFrame(frame))
		if frame.Function == "runtime.gopanic" {
			stack.Frames = stack.Frames[:0]
		}
	}
	slices.Reverse(stack.Frames)
	return stack
}

// tags returns a pipeline's names, and pairs of names and values, as tags.
func tags(p Pipeline, pairs ...string) map[string]string {
	all := map[string]string{}
	pairs = append(pairs, "pipeline", p.Name, "source", p.Source, "executor", p.Executor)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			all[pairs[i]] = pairs[i+1]
		}
	}
	return all
}

// send hands a report to the goroutine that sends it.
func (r *Reports) send(event *sentry.Event, trace *JobTrace) {
	event.Tags["runner"] = r.runner
	if id, span := trace.ids(); id != "" {
		event.Contexts["trace"] = sentry.Context{"trace_id": id, "span_id": span}
	}
	r.client.CaptureEvent(event, nil, nil)
}

// clean makes a report one that may be sent: a new event of those parts that are wanted, each text without sensitive
// values and bounded. What the SDK, or a later version of it, adds of its own is left behind.
func (r *Reports) clean(event *sentry.Event) *sentry.Event {
	out := sentry.NewEvent()
	out.EventID, out.Level, out.Platform, out.Sdk, out.Timestamp = event.EventID, event.Level, event.Platform, event.Sdk, event.Timestamp
	out.Message = r.text(event.Message)
	out.Environment, out.Release, out.ServerName = r.text(event.Environment), r.text(event.Release), r.text(event.ServerName)
	for _, part := range event.Fingerprint {
		out.Fingerprint = append(out.Fingerprint, r.text(part))
	}
	for name, value := range event.Tags {
		out.Tags[name] = r.text(value)
	}
	for name, context := range event.Contexts {
		out.Contexts[name] = sentry.Context{}
		for key, value := range context {
			out.Contexts[name][key] = r.value(value)
		}
	}
	for _, exception := range event.Exception {
		out.Exception = append(out.Exception, sentry.Exception{
			Type: exception.Type, Value: r.text(exception.Value), Stacktrace: r.stack(exception.Stacktrace),
		})
	}
	return out
}

// value cleans a value of a context; of a kind that is not known, it is left out.
func (r *Reports) value(v any) any {
	switch v := v.(type) {
	case string:
		return r.text(v)
	case []string:
		out := make([]string, len(v))
		for i, text := range v {
			out[i] = r.text(text)
		}
		return out
	case int, uint64, bool:
		return v
	}
	return nil
}

// stack keeps the names and places of calls.
func (r *Reports) stack(stack *sentry.Stacktrace) *sentry.Stacktrace {
	if stack == nil {
		return nil
	}
	out := &sentry.Stacktrace{}
	for _, f := range stack.Frames {
		out.Frames = append(out.Frames, sentry.Frame{
			Function: r.text(f.Function), Module: r.text(f.Module), Filename: r.text(f.Filename), Lineno: f.Lineno, InApp: f.InApp,
		})
	}
	return out
}

// text takes the sensitive values out of a text and then cuts it: the other way round, the beginning of one might stay.
func (r *Reports) text(text string) string { return cut(r.redact(text), maxReportText) }

// cut makes a text one of UTF-8 that has no more than limit bytes and a mark of what is missing.
func cut(text string, limit int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// Close sends the reports that wait, for as long as bound at most, and ends the goroutine. What has not been sent by then
// is lost, and the log says so. A second call does nothing, and waits for nothing.
func (r *Reports) Close(bound time.Duration) {
	if r == nil || !r.closed.CompareAndSwap(false, true) {
		return
	}
	if !r.client.Flush(bound) {
		r.logger.Warn("error reports were not sent in time, and are lost")
	}
	r.client.Close()
	r.sender.close()
}
