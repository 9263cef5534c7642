package main

import (
	"context"
	"fmt"
	"time"

	"github.com/podrunner/runner/plugins/source-opslevel/internal/api"
	"github.com/podrunner/runner/sdk"
)

// Report implements sdk.JobSource. Of the result the API takes the outcome and the variables; the reason stands in the
// last lines of the log, where core has put it.
func (s *source) Report(ctx context.Context, report sdk.Report) error {
	h, err := decodeHandle(report.Handle)
	if err != nil {
		return err
	}
	if h.Name == s.name { // it was this one before it was started anew, and is unregistered with it
		s.runners.former(h.Runner)
	}
	r := s.jobs.open(report.Job, h.Runner)
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.jobs.isDone(report.Job) { // and core has not heard so
		s.jobs.over(report.Job)
		return nil
	}
	out := api.Report{Job: report.Job.ID, Outcome: report.Outcome}
	for _, v := range report.Variables {
		out.Variables = append(out.Variables, api.OutcomeVariable{Key: v.Key, Value: string(v.Value)})
	}
	if r.refused == nil {
		err = s.report(ctx, h.Runner, out)
		if api.IsRefused(err) && len(out.Variables) > 0 && !aboutJob(err) {
			sdk.Logger(ctx).Error("the API refuses the outcome with its variables; it is reported without them", "variables", len(out.Variables), "error", err)
			r.refused = err
		}
	}
	if r.refused != nil {
		// A job without an outcome hangs until the API gives it up; one without its variables is over.
		err = s.withoutVariables(ctx, h.Runner, out, r)
	}
	switch {
	case err == nil:
	case api.IsRefused(err) && r.maybe && aboutJob(err):
		sdk.Logger(ctx).Info("the API has the outcome from an earlier try, whose answer was lost", "answer", err)
	case api.IsRefused(err):
		s.jobs.over(report.Job)
		return sdk.Refused(err)
	default:
		r.maybe = r.maybe || api.MayHaveWorked(err)
		return err
	}
	s.jobs.done(report.Job)
	return nil
}

// report sends an outcome.
func (s *source) report(ctx context.Context, runner string, out api.Report) error {
	return s.as(ctx, runner, func(id string) error {
		out.Runner = id
		return s.api.Report(ctx, out)
	})
}

// withoutVariables reports an outcome whose variables the API does not take, and says so in the job's log.
func (s *source) withoutVariables(ctx context.Context, runner string, out api.Report, r *running) error {
	if !r.told {
		line := fmt.Sprintf("[runner] %d outcome variables are missing: the API has refused the outcome with them: %v", len(out.Variables), r.refused)
		err := s.append(ctx, runner, out.Job, time.Now(), [][]byte{[]byte(line)})
		if r.told = err == nil; err != nil {
			sdk.Logger(ctx).Warn("the job's log does not say so, as the API did not take the line", "error", err)
		}
	}
	out.Variables = nil
	return s.report(ctx, runner, out)
}
