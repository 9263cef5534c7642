package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
)

// ending is how the steps of a run have ended, once the pipeline has asked for it.
type ending struct {
	run    executor.Run
	redact func(string) string
	// explain: the log ends with why the job failed.
	explain bool
	// early is the context whose end ends the job.
	early context.Context //nolint:containedctx // its cause tells why the job was ended
	steps executor.Result
}

// result holds the log against the steps' evidence. Its texts are the executor's and core's own, and may quote the job.
func (e *ending) result(ctx context.Context, logErr error) (job.Result, []string) {
	steps, err := e.run.Result(ctx)
	if err != nil {
		if logErr != nil {
			return e.lost(logErr.Error() + "; " + err.Error())
		}
		return e.lost(err.Error())
	}
	e.steps = steps
	switch {
	case logErr == nil:
	case steps.Message == "":
		return e.lost(logErr.Error())
	default:
		return e.lost(steps.Message + "; " + logErr.Error())
	}
	result := job.Result{Outcome: steps.Outcome, Reason: steps.Reason, Message: e.redact(steps.Message), ExitCode: steps.ExitCode}
	if end := endOf(e.early); end != nil && steps.Reason == job.ReasonCanceled {
		result.Outcome, result.Reason, result.Message = end.Outcome, end.Reason, e.redact(end.Message)
	}
	if steps.Note != "" {
		return result, append(e.explanation(result), e.redact(steps.Note))
	}
	if steps.Gap == "" {
		return result, e.explanation(result)
	}
	notes := append(e.explanation(result), e.redact("the log is not complete: "+steps.Gap))
	if result.Outcome == job.Success {
		// The job did what it should; what is wrong is the record of it, and whoever reads the result has to know.
		result.Message = notes[len(notes)-1]
	}
	return result, notes
}

// lost is the result of a job whose log or evidence could not be read to its end.
func (e *ending) lost(why string) (job.Result, []string) {
	why = e.redact(why)
	return infrastructure(why), []string{"the log ends here: " + why}
}

// explanation is what the log ends with: why the job has failed, and what to do about it. When its own commands have, their
// output tells the latter.
func (e *ending) explanation(result job.Result) []string {
	if !e.explain || result.Outcome == job.Success {
		return nil
	}
	text := fmt.Sprintf("%s (%s)", result.Outcome, result.Reason)
	if result.Message != "" {
		text += ": " + result.Message
	}
	notes := []string{text}
	if hint := result.Reason.Info().Hint; hint != "" && result.Outcome != job.Canceled && result.Reason != job.ReasonExit {
		notes = append(notes, strings.ReplaceAll(hint, "`", ""))
	}
	return notes
}

// summary adds the durations. The steps' times come from another clock than begun, perhaps of another machine, so no
// difference of the two is trusted to be positive.
func (e *ending) summary(result job.Result, begun time.Time) Summary {
	s := Summary{Result: result, Records: e.steps.Records, Total: time.Since(begun)}
	if e.steps.Kept != nil { // another runner has come to it, and has had it edited
		s.Result = e.steps.Kept.Result
	}
	s.Pending = s.Total
	s.Started, s.Finished = e.steps.Started, e.steps.Finished
	if !e.steps.Started.IsZero() {
		s.Pending = max(0, e.steps.Started.Sub(begun))
		s.Running = max(0, e.steps.Finished.Sub(e.steps.Started))
	}
	return s
}

// infrastructure is the result of a job of whose end there is no evidence.
func infrastructure(message string) job.Result {
	return job.Result{Outcome: job.Failed, Reason: job.ReasonInfrastructure, Message: message}
}

// End says why a job is ended before its time, and what that makes of it. It is the cause of a context.
type End struct {
	Outcome job.Outcome
	Reason  job.Reason
	Message string
}

func (e *End) Error() string { return e.Message }

// endOf returns the End that has ended a context, nil when there is none.
func endOf(ctx context.Context) *End { return endOfError(context.Cause(ctx)) }
