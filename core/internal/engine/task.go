package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/pipeline"
	"github.com/podrunner/runner/core/internal/redact"
	"github.com/podrunner/runner/core/internal/telemetry"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// task is one accepted job, from Accept to the end of what it has left behind.
type task struct {
	*offer
	in     *intake
	worker int
	logger hclog.Logger
	// redact knows the job's own sensitive values.
	redact redact.Redactor
	ctx    context.Context //nolint:containedctx // the job's life, which others end
	end    context.CancelCauseFunc
	// undate lets go of the deadline's timer.
	undate context.CancelFunc
	begun  time.Time
	finish sync.Once
	phase  *telemetry.PhaseGauge
	// trace and tail are nil when nobody wants them.
	trace *telemetry.JobTrace
	tail  *telemetry.Tail
	// ran is when the job was seen to run, nil before that.
	ran atomic.Pointer[time.Time]
	// reported says that its result was told, or could not be; done that the job is over.
	reported, done atomic.Bool
	// adopted is what there is of a job that another runner has begun; nil for one that this runner has.
	adopted *executor.Adopted
	// lasting is its run, if that goes on without core; nil before it has begun, and when it does not.
	lasting executor.Lasting

	// These belong to the delivery's goroutine. outage is when the source first failed to take lines, zero when it does
	// take them; lost counts lines that it has not taken and why says why not; next is the number of the next line.
	outage time.Time
	lost   uint64
	why    string
	next   uint64
}

func newTask(in *intake, o *offer) *task {
	t := &task{offer: o, in: in, begun: time.Now(), undate: func() {}}
	ctx := in.serving.life
	if !o.deadline.IsZero() {
		at := o.deadline.Add(-in.pipeline.Grace)
		ctx, t.undate = context.WithDeadlineCause(ctx, at, &End{
			Outcome: job.ExecutionTimeout, Reason: job.ReasonReserved,
			Message: fmt.Sprintf("the job was ended after %s, before its lifetime of %s was over: the source has reserved it for no longer, and would have handed it out again",
				max(0, time.Until(at)).Round(time.Second), in.pipeline.Lifetime),
		})
	}
	t.ctx, t.end = context.WithCancelCause(ctx)
	t.redact.Set(o.job)
	t.watched()
	in.serving.start(t)
	t.logger = in.logger.With("job", o.job.ID, "number", o.number, "attempt", o.job.Attempt, "worker", t.worker)
	t.phase = in.serving.Metrics.Phase(in.pipeline.labels())
	return t
}

// watched begins the job's trace, and has the job know of it.
func (t *task) watched() {
	v := t.in.serving
	t.tail = v.Reports.Tail(t.hide)
	t.trace = v.Traces.Job(telemetry.TracedJob{
		Pipeline: t.in.pipeline.labels(), ID: t.hide(t.job.ID), Number: t.hide(t.number), Attempt: t.job.Attempt, Offered: t.at,
	})
	named := func(own job.Variable) bool { return own.Key == traceVariable }
	if parent := t.trace.Parent(); parent != "" && !slices.ContainsFunc(t.job.Variables, named) {
		t.job.Variables = append(t.job.Variables, job.Variable{Key: traceVariable, Value: parent})
	}
}

// traceVariable is the name under which programs look for the trace that they are a part of.
const traceVariable = "TRACEPARENT"

// run runs the job. Whatever goes wrong in it touches no other.
func (t *task) run() {
	defer t.in.over(t)
	defer t.in.serving.finish(t)
	defer t.undate()
	defer t.end(nil)
	defer t.phase.Close()
	t.in.serving.Metrics.JobStarted(t.in.pipeline.labels())
	t.trace.Accepted(t.worker)
	if t.adopted == nil {
		t.logger.Info("job started")
	} else {
		t.logger.Info("job taken over", "from", t.adopted.Runner, "delivered", t.adopted.Delivered.Lines, "kept", t.adopted.Kept != nil)
	}
	t.phase.Set(string(executor.Pending), "")
	summary, err := t.do()
	if errors.Is(err, errLeft) {
		t.left(err)
		return
	}
	if err != nil && summary.Result.Outcome == "" {
		summary.Result = infrastructure(t.clean(err))
	}
	t.finished(summary)
}

// finished tells what has become of a job, once, and gives its slot to another.
func (t *task) finished(summary Summary) {
	t.finish.Do(func() {
		summary.Total = time.Since(t.begun)
		v, labels := t.in.serving, t.in.pipeline.labels()
		end := telemetry.JobEnd{
			Outcome: string(summary.Result.Outcome), Reason: string(summary.Result.Reason),
			Message: t.hide(summary.Result.Message), ExitCode: summary.Result.ExitCode, Records: summary.Records,
			Pending: summary.Pending, Running: summary.Running, Total: summary.Total, Started: !summary.Started.IsZero(),
		}
		v.Metrics.JobFinished(labels, end)
		t.trace.End(end)
		v.Reports.Job(telemetry.JobReport{
			Pipeline: labels, ID: t.hide(t.job.ID), Number: t.hide(t.number), Attempt: t.job.Attempt, End: end, Log: t.tail, Trace: t.trace,
		})
		t.say(summary)
		t.in.serving.free(t)
		t.in.lane.freed()
	})
}

// say is the line of the log that tells what has become of a job.
func (t *task) say(summary Summary) {
	fields := []any{
		"outcome", string(summary.Result.Outcome), "reason", string(summary.Result.Reason), "exit_code", exitCode(summary.Result.ExitCode),
		"records", summary.Records, "pending", rounded(summary.Pending), "running", rounded(summary.Running), "total", rounded(summary.Total),
	}
	if summary.Result.Outcome != job.Success && summary.Result.Message != "" {
		fields = append(fields, "message", t.redact.String(summary.Result.Message))
	}
	t.logger.Info("job finished", fields...)
}

func exitCode(code *int) any {
	if code == nil {
		return ""
	}
	return *code
}

func rounded(d time.Duration) string { return d.Round(time.Millisecond).String() }

// do runs the job from its start to its report.
func (t *task) do() (summary Summary, err error) {
	defer func() {
		if p := recover(); p != nil {
			panicked := pipeline.NewPanic(p)
			t.logger.Error("panic in core, please report it; the job is given up and all others go on",
				"panic", fmt.Sprint(p), "stack", string(panicked.Stack))
			t.panicked(panicked)
			t.lasting = nil // another runner would come to the same
			summary, err = t.giveUp("core has a bug: it panicked while it ran the job")
		}
	}()
	p := t.in.pipeline
	if t.adopted != nil {
		t.lasting = t.adopted.Run
		if t.adopted.Kept != nil {
			return t.reportKept()
		}
	}
	delivering, stop := context.WithCancel(context.WithoutCancel(t.ctx))
	options := pipeline.DeliveryOptions{MaxBytes: p.MaxBytes, MaxInterval: p.MaxInterval, Send: t.send, Delivered: t.note, Hole: t.hole}
	if t.adopted != nil {
		options.Lines, options.Sent = t.adopted.Delivered.Lines, t.adopted.Delivered.Sent
	}
	delivery := pipeline.NewDelivery(delivering, options)
	defer delivery.Wait()
	defer stop()
	run := Run{
		Job:      t.job,
		Executor: t.executor(),
		Pipeline: pipeline.Job{Pipeline: p.Name, Runner: t.in.serving.Runner, Worker: t.worker},
		Stages:   p.Stages,
		Sink:     delivery,
		Started:  t.started,
		Leave: func(why error) bool {
			if !leavable(why) {
				return false
			}
			stop() // what would be delivered from here on is not noted on the pod, and would be delivered again
			delivery.Wait()
			return true
		},
		Status:  t.status,
		Report:  t.report,
		Explain: true,
		Observe: t.observe,
		Grace:   p.Grace,
		// What the source does not take for too long is given up where it is sent.
		ShipTimeout: p.GiveUp + drainTimeout,
		Hurry:       t.in.serving.hurry,
		Redact:      t.redact.String,
		Logger:      t.logger,
	}
	if t.adopted != nil {
		run.Begun = t.adopted.Run
	}
	summary, err = run.Do(t.ctx)
	if err == nil || errors.Is(err, errLeft) {
		return summary, err
	}
	t.logger.Error("the job's log or its result could not be delivered", "error", t.clean(err))
	var panicked *pipeline.Panic
	if errors.As(err, &panicked) {
		t.panicked(panicked)
	}
	if t.lasting != nil {
		stop()
		delivery.Wait()
		t.lasting = nil // there is nothing left that could wait for anybody
		if t.reported.Load() && leavable(err) {
			t.in.serving.Metrics.ReportLost(p.labels())
		}
	}
	if !t.reported.Load() {
		stop()
		delivery.Wait()                              // what it has lost is to be told, too
		why, _, _ := strings.Cut(t.clean(err), "\n") // behind the first line there may be a stack
		return t.giveUp(why)
	}
	return summary, err
}

// panicked reports a mistake in core.
func (t *task) panicked(p *pipeline.Panic) {
	t.in.serving.Reports.Panic(telemetry.PanicReport{
		Pipeline: t.in.pipeline.labels(), Number: t.hide(t.number), Value: t.hide(fmt.Sprint(p.Value)), Callers: p.Callers, Trace: t.trace,
	})
}

// giveUp reports a job of whose end nothing is known.
func (t *task) giveUp(why string) (Summary, error) {
	summary := Summary{Result: infrastructure(why)}
	return summary, t.report(summary)
}

// started is told the job's run.
func (t *task) started(run executor.Run) { t.lasting, _ = run.(executor.Lasting) }

// hole is what is missing of the log of a job that another runner has begun.
func (t *task) hole() (after, lines uint64, is bool) {
	if t.lasting == nil {
		return 0, 0, false
	}
	h := t.lasting.Missing()
	return h.After, h.At, h.Records > 0
}

// note has it kept with the job how far its log has been delivered, but not while lines come that were delivered before.
func (t *task) note(p pipeline.Progress) {
	if t.lasting == nil || t.adopted != nil && p.At < t.adopted.Delivered.Lines {
		return
	}
	t.lasting.Note(executor.Progress(p))
}

// executor returns the pipeline's, or, for a job of a bad shape, one that says so.
func (t *task) executor() executor.Executor {
	if err := t.job.Validate(); err != nil {
		return refusing{&End{Outcome: job.Failed, Reason: job.ReasonInvalidJob, Message: "the job was not started: " + err.Error()}}
	}
	return t.in.pipeline.Executor
}

// status follows what the job is doing.
func (t *task) status(s executor.Status) {
	if s.Phase == executor.Running {
		t.ran.CompareAndSwap(nil, &s.Time)
	}
	if s.Phase == executor.Done {
		t.done.Store(true)
	}
	t.phase.Set(string(s.Phase), s.Reason)
	t.trace.Phase(string(s.Phase), s.Reason, t.hide(s.Message))
	t.logger.Debug("job status", "phase", string(s.Phase), "reason", s.Reason, "message", s.Message)
}

// observe counts what goes through the pipeline.
func (t *task) observe(from, to string, records, bytes int) {
	labels := t.in.pipeline.labels()
	t.in.serving.Metrics.StageOut(labels, from, records, bytes)
	t.in.serving.Metrics.StageIn(labels, to, records, bytes)
}

// clean takes the job's sensitive values out of a text, and those of the source's own configuration, which an error of the
// source may quote.
func (t *task) clean(err error) string { return t.hide(err.Error()) }

// hide is clean for a text.
func (t *task) hide(text string) string {
	text = t.redact.String(text)
	if t.in.serving.Redact != nil {
		text = t.in.serving.Redact.String(text)
	}
	return text
}

// send delivers lines. What the source does not take for too long is lost; the first chunk that it takes after that is
// followed by a line which says so.
func (t *task) send(ctx context.Context, chunk pipeline.Chunk) ([]string, error) {
	p, metrics := t.in.pipeline, t.in.serving.Metrics
	request := &pluginv1.AppendLogsRequest{
		Job: t.key(), Handle: t.handle, FirstLine: chunk.FirstLine, SentAt: timestamppb.New(chunk.Made), Lines: chunk.Lines,
	}
	defer pack(request, p.PackedLogs)()
	t.next = chunk.FirstLine + uint64(len(chunk.Lines))
	t.tail.Add(chunk.Lines)
	t.trace.Delivering()
	var answer *pluginv1.AppendLogsResponse
	err := t.in.call(ctx, "AppendLogs", func(ctx context.Context, client pluginv1.SourceClient) (err error) {
		answer, err = client.AppendLogs(ctx, request)
		return err
	}, func(err error) bool {
		metrics.DeliveryRetry(p.labels(), "append")
		t.trace.Retry(t.clean(err))
		if t.outage.IsZero() {
			t.outage = time.Now()
			t.logger.Warn("the source does not take the job's log; trying again", "error", t.clean(err))
		}
		return time.Since(t.outage) < p.GiveUp
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		if t.lasting != nil && t.done.Load() && leavable(err) {
			return nil, errUndelivered(err) // they are kept where the job ran
		}
		t.lose(chunk, err)
		return nil, nil
	}
	if !t.outage.IsZero() {
		t.logger.Info("the source takes the job's log again", "after", rounded(time.Since(t.outage)))
		t.outage = time.Time{}
	}
	bytes := 0
	for _, line := range chunk.Lines {
		bytes += len(line)
	}
	metrics.Delivered(p.labels(), len(chunk.Lines), bytes, time.Since(chunk.Made))
	t.trace.Delivered(len(chunk.Lines), bytes)
	return t.missing(answer), nil
}

// lose counts lines that the source has not taken.
func (t *task) lose(chunk pipeline.Chunk, err error) {
	n := uint64(len(chunk.Lines))
	if t.lost == 0 {
		t.why = t.clean(err)
	}
	t.lost += n
	t.in.serving.Metrics.LinesLost(t.in.pipeline.labels(), len(chunk.Lines))
	t.trace.Lost(len(chunk.Lines), t.clean(err))
	t.logger.Error("lines of the job's log are lost: the source has not taken them", "first_line", chunk.FirstLine, "lines", n,
		"tried_for", rounded(time.Since(t.outage)), "error", t.clean(err))
}

// missing are lines that say which lines of the log the source does not have.
func (t *task) missing(answer *pluginv1.AppendLogsResponse) (notes []string) {
	if t.lost > 0 {
		notes = append(notes, t.lostNote("lines before these"))
		t.lost = 0
	}
	for _, r := range answer.GetRefused() {
		t.in.serving.Metrics.LinesLost(t.in.pipeline.labels(), int(r.GetCount())) //nolint:gosec // lines of a chunk
		why := t.hide(r.GetMessage())
		t.trace.Lost(int(r.GetCount()), why) //nolint:gosec // lines of a chunk
		notes = append(notes, fmt.Sprintf("%d lines from line %d on are missing: the source has refused them: %s", r.GetCount(), r.GetFirstLine(), why))
		t.logger.Error("the source has refused lines of the job's log", "first_line", r.GetFirstLine(), "lines", r.GetCount(), "error", why)
	}
	return notes
}

func (t *task) lostNote(which string) string {
	return fmt.Sprintf("%d %s are missing: the source did not take them for %s: %s", t.lost, which, t.in.pipeline.GiveUp, t.why)
}

// lastNote is the line that a log ends with whose last lines are lost, nil when they are not. The source gets it together
// with the result, if it takes any.
func (t *task) lastNote() *pluginv1.AppendLogsRequest {
	if t.lost == 0 {
		return nil
	}
	return &pluginv1.AppendLogsRequest{
		Job: t.key(), Handle: t.handle, FirstLine: t.next, SentAt: timestamppb.Now(), Lines: [][]byte{[]byte("[runner] " + t.lostNote("last lines"))},
	}
}

// report gives the job's result to the source, and its slot to another job: what is still to be removed holds up nobody.
func (t *task) report(summary Summary) error {
	p, metrics := t.in.pipeline, t.in.serving.Metrics
	if t.lasting != nil && isTaken(t.lasting) {
		return executor.ErrTaken
	}
	request := &pluginv1.ReportRequest{
		Job: t.key(), Handle: t.handle, Result: pipeline.ResultToProto(&summary.Result),
		Infrastructure: summary.Result.Reason.Info().Infrastructure,
		FinishedAt:     timestamppb.Now(),
	}
	t.reported.Store(true)
	if !summary.Started.IsZero() {
		request.StartedAt, request.FinishedAt = timestamppb.New(summary.Started), timestamppb.New(summary.Finished)
	} else if ran := t.ran.Load(); ran != nil {
		request.StartedAt = timestamppb.New(*ran) // it has run, though there is no record of its end
	}
	begun, said := time.Now(), false
	note := t.lastNote()
	var refused *RefusedError
	t.trace.Reporting()
	err := t.in.call(t.in.serving.patience, "Report", func(ctx context.Context, client pluginv1.SourceClient) error {
		if note != nil {
			if _, err := client.AppendLogs(ctx, note); err == nil {
				note = nil
			}
		}
		_, err := client.Report(ctx, request)
		return err
	}, func(err error) bool {
		if errors.As(err, &refused) {
			return false
		}
		metrics.DeliveryRetry(p.labels(), "report")
		t.trace.Retry(t.clean(err))
		if !said {
			said = true
			t.logger.Warn("the source does not take the job's result; trying again", "error", t.clean(err))
			t.keep(summary)
		}
		if t.lasting != nil && isTaken(t.lasting) {
			return false
		}
		var refused *RefusedError
		return !errors.As(err, &refused) && time.Since(begun) < t.reportFor()
	})
	if err != nil && t.lasting != nil && leavable(err) {
		t.trace.Reported(t.clean(err))
		return fmt.Errorf("the source has not taken the result %s for %s: %w", summary.Result.Outcome, rounded(time.Since(begun)), err)
	}
	lost := ""
	if err != nil {
		metrics.ReportLost(p.labels())
		lost = t.clean(err)
		why := "has not taken it for " + rounded(time.Since(begun))
		if refused != nil {
			why = "refuses it for good"
		}
		err = fmt.Errorf("the result %s is lost: the source %s: %w", summary.Result.Outcome, why, err)
	}
	t.trace.Reported(lost)
	t.finished(summary)
	return err
}
