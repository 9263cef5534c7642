package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const (
	// maxWaits bounds the spans of a job that tell what it waits for.
	maxWaits = 50
	// maxSpanText bounds a text of a span in bytes.
	maxSpanText = 1 << 10
)

// The phases of a job, as executors call them.
const (
	phasePending = "pending"
	phaseRunning = "running"
	phaseDone    = "done"
)

// TracedJob is what a trace is told of a job.
type TracedJob struct {
	Pipeline Pipeline
	// ID is the source's, Number a short form of it.
	ID, Number string
	Attempt    int
	// Offered is when the source has offered it.
	Offered time.Time
}

// JobTrace is the trace of one job: a root span `job`, and one below it for each part of the job's life. It is safe for
// concurrent use; a nil one does nothing. What is told after End is lost.
//
//	job ─ claim ─ start (─ wait …) ─ run
//	    └ deliver
//	    └ report
type JobTrace struct {
	traces *Traces
	ctx    context.Context //nolint:containedctx // it holds the root span, below which all others begin
	root   trace.Span

	mu                                          sync.Mutex
	claim, start, wait, run, deliver, reporting trace.Span
	waits                                       int
	lines, bytes, batches, retries, lost        int64
	ended                                       bool
}

// Job begins the trace of a job, at the time at which it was offered. It has to be ended. The job's sensitive values have to
// be known to the redactor from now until then.
func (t *Traces) Job(j TracedJob) *JobTrace {
	if t == nil {
		return nil
	}
	jt := &JobTrace{traces: t}
	jt.ctx, jt.root = t.tracer.Start(context.Background(), "job",
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(j.Offered),
		trace.WithAttributes(
			t.string("job.id", j.ID), t.string("job.number", j.Number), attribute.Int("job.attempt", j.Attempt),
			t.string("pipeline", j.Pipeline.Name), t.string("source", j.Pipeline.Source), t.string("executor", j.Pipeline.Executor),
			t.string("runner", t.runner),
		))
	jt.claim = jt.begin("claim", trace.WithTimestamp(j.Offered))
	return jt
}

// string is an attribute with a text.
func (t *Traces) string(name, text string) attribute.KeyValue {
	return attribute.String(name, t.text(text))
}

// text takes the sensitive values out of a text and then cuts it.
func (t *Traces) text(text string) string { return cut(t.redact(text), maxSpanText) }

// begin begins a span below the root.
func (j *JobTrace) begin(name string, options ...trace.SpanStartOption) trace.Span {
	_, span := j.traces.tracer.Start(j.ctx, name, options...)
	return span
}

// Parent is the root span in the form of W3C's traceparent, for what the job itself has to trace; "" when there is no trace.
func (j *JobTrace) Parent() string {
	if j == nil {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(j.ctx, carrier)
	return carrier["traceparent"]
}

// ids are those of the trace and of its root span, "" when there is none.
func (j *JobTrace) ids() (id, span string) {
	if j == nil {
		return "", ""
	}
	at := j.root.SpanContext()
	return at.TraceID().String(), at.SpanID().String()
}

// do does something to the spans, unless the trace has ended.
func (j *JobTrace) do(f func()) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.ended {
		f()
	}
}

// Accepted says that the job begins, in a slot.
func (j *JobTrace) Accepted(worker int) {
	j.do(func() {
		j.root.SetAttributes(attribute.Int("worker", worker))
		finish(&j.claim)
		j.start = j.begin("start")
	})
}

// Phase says what the job is doing, or waits for: a phase of the executor, a word, and a message.
func (j *JobTrace) Phase(phase, reason, message string) {
	j.do(func() {
		switch phase {
		case phasePending:
			j.waitsFor(reason, message)
		case phaseRunning:
			finish(&j.wait)
			finish(&j.start)
			if j.run == nil {
				j.run = j.begin("run")
			}
			j.run.AddEvent("status", trace.WithAttributes(j.traces.string("reason", reason), j.traces.string("message", message)))
		case phaseDone:
			finish(&j.wait)
			finish(&j.start)
			finish(&j.run)
		}
	})
}

// waitsFor begins a span for what the job waits for, in place of the one before.
func (j *JobTrace) waitsFor(reason, message string) {
	finish(&j.wait)
	if j.start == nil || j.waits == maxWaits {
		return
	}
	j.waits++
	_, j.wait = j.traces.tracer.Start(trace.ContextWithSpan(j.ctx, j.start), "wait",
		trace.WithAttributes(j.traces.string("reason", reason), j.traces.string("message", message)))
}

// Delivering says that a batch of the log is about to be given to the source.
func (j *JobTrace) Delivering() {
	j.do(func() {
		if j.deliver == nil {
			j.deliver = j.begin("deliver", trace.WithSpanKind(trace.SpanKindProducer))
		}
		j.batches++
	})
}

// Delivered says that the source has taken a batch.
func (j *JobTrace) Delivered(lines, bytes int) {
	j.do(func() {
		j.lines += int64(lines)
		j.bytes += int64(bytes)
	})
}

// Lost says that lines are lost, and why.
func (j *JobTrace) Lost(lines int, why string) {
	j.do(func() {
		j.lost += int64(lines)
		if j.deliver != nil {
			j.deliver.AddEvent("lost", trace.WithAttributes(attribute.Int("lines", lines), j.traces.string("error", why)))
			j.deliver.SetStatus(codes.Error, j.traces.text(why))
		}
	})
}

// Retry says that a call of the source has failed and is made again, unless it is given up: one of a batch or, once
// Reporting was called, the report.
func (j *JobTrace) Retry(why string) {
	j.do(func() {
		span := j.deliver
		if j.reporting != nil {
			span = j.reporting
		} else {
			j.retries++
		}
		if span != nil {
			span.AddEvent("retry", trace.WithAttributes(j.traces.string("error", why)))
		}
	})
}

// Reporting says that the result is about to be given to the source: the log has been delivered, or is given up.
func (j *JobTrace) Reporting() {
	j.do(func() {
		j.delivered()
		j.reporting = j.begin("report", trace.WithSpanKind(trace.SpanKindProducer))
	})
}

// delivered ends the span of the delivery.
func (j *JobTrace) delivered() {
	if j.deliver != nil {
		j.deliver.SetAttributes(attribute.Int64("lines", j.lines), attribute.Int64("bytes", j.bytes), attribute.Int64("batches", j.batches),
			attribute.Int64("retries", j.retries), attribute.Int64("lines_lost", j.lost))
	}
	finish(&j.deliver)
}

// Reported says that the source has the result; lost says why it has not, "" when it has.
func (j *JobTrace) Reported(lost string) {
	j.do(func() {
		if lost != "" && j.reporting != nil {
			j.reporting.SetStatus(codes.Error, j.traces.text(lost))
		}
		finish(&j.reporting)
	})
}

// End ends the trace, and what of it has not ended. The root span is an error when somebody has to look at the job: not
// when it was canceled.
func (j *JobTrace) End(end JobEnd) {
	j.do(func() {
		j.ended = true
		j.delivered()
		for _, span := range []*trace.Span{&j.claim, &j.wait, &j.start, &j.run, &j.reporting} {
			finish(span)
		}
		j.root.SetAttributes(j.traces.string("outcome", end.Outcome), j.traces.string("reason", end.Reason), attribute.Int64("records", int64(end.Records))) //nolint:gosec // a number of lines
		if end.ExitCode != nil {
			j.root.SetAttributes(attribute.Int("exit_code", *end.ExitCode))
		}
		if failed(end.Outcome) {
			j.root.SetStatus(codes.Error, j.traces.text(end.Message))
		}
		j.root.End()
	})
}

// finish ends a span, if there is one.
func finish(span *trace.Span) {
	if *span != nil {
		(*span).End()
		*span = nil
	}
}
