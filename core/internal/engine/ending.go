package engine

import (
	"context"
	"time"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
)

// ending is how the steps of a run have ended, once the pipeline has asked for it.
type ending struct {
	run    executor.Run
	redact func(string) string
	steps  executor.Result
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
	if steps.Gap == "" {
		return result, nil
	}
	notes := []string{e.redact("the log is not complete: " + steps.Gap)}
	if result.Outcome == job.Success {
		// The job did what it should; what is wrong is the record of it, and whoever reads the result has to know.
		result.Message = notes[0]
	}
	return result, notes
}

// lost is the result of a job whose log or evidence could not be read to its end.
func (e *ending) lost(why string) (job.Result, []string) {
	why = e.redact(why)
	return infrastructure(why), []string{"the log ends here: " + why}
}

// summary adds the durations. The steps' times come from another clock than begun, perhaps of another machine, so no
// difference of the two is trusted to be positive.
func (e *ending) summary(result job.Result, begun time.Time) Summary {
	s := Summary{Result: result, Records: e.steps.Records, Total: time.Since(begun)}
	s.Pending = s.Total
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
