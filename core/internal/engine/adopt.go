package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/telemetry"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// adopt takes over jobs of this source whose runners are gone, as long as there are slots for them, until no more jobs are
// taken. It needs no stream: an adopted job uses up no credit.
func (in *intake) adopt() {
	adopter, ok := in.pipeline.Executor.(executor.Adopter)
	if !ok || !in.pipeline.Resumes {
		return
	}
	for {
		news := in.news()
		if in.reachable() {
			in.lane.want(adopter.Waiting())
			for in.lane.take() {
				if !in.adoptOne(adopter) {
					in.lane.freed()
					break
				}
			}
			in.lane.want(adopter.Waiting())
		} else {
			in.lane.want(0)
		}
		select {
		case <-adopter.Orphans():
		case <-in.lane.vacant:
		case <-news:
		case <-in.taking.Done():
			in.lane.want(0)
			return
		}
	}
}

// reachable tells whether the source reaches its remote system, as far as it has said.
func (in *intake) reachable() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return !in.known || in.up
}

// adoptOne takes over one job, in the slot that was taken for it. It returns false when there is none, or it did not work.
func (in *intake) adoptOne(adopter executor.Adopter) bool {
	defer in.unreserve()
	adopted, err := adopter.Adopt(in.taking, in.reserve)
	if err != nil {
		if in.taking.Err() == nil {
			in.logger.Error("a job whose runner is gone could not be taken over; it is tried again", "error", in.clean(err))
		}
		return false
	}
	if adopted == nil {
		return false
	}
	o := &offer{job: adopted.Job, number: cmp.Or(adopted.Job.Number, adopted.Job.ID), handle: adopted.Job.Handle, at: time.Now()}
	known, err := in.resume(o)
	switch {
	case err != nil:
		in.logger.Warn("the source does not go on with a job whose runner is gone; it is tried again",
			"job", o.job.ID, "attempt", o.job.Attempt, "error", in.clean(err))
		in.drop(o, adopted.Run.Leave)
		return false
	case !known:
		in.logger.Warn("the source does not know a job any more whose runner is gone; what is left of it is removed",
			"job", o.job.ID, "attempt", o.job.Attempt, "from", adopted.Runner)
		in.serving.Metrics.JobAdopted(in.pipeline.labels(), "unknown")
		in.drop(o, adopted.Run.Close)
		in.serving.leave(in, o.job.ID, false)
		return false
	}
	in.serving.Metrics.JobAdopted(in.pipeline.labels(), "resumed")
	t := newTask(in, o)
	t.adopted = adopted
	in.serving.leave(in, o.job.ID, false)
	in.mu.Lock()
	in.jobs[o.job.ID] = t
	in.mu.Unlock()
	in.tasks.Go(t.run)
	return true
}

// reserve takes note of the id of a job that is being taken over, unless it runs here.
func (in *intake) reserve(id string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.jobs[id] != nil || in.offered == id {
		return false
	}
	in.adopting = id
	return true
}

// unreserve says that none is.
func (in *intake) unreserve() {
	in.mu.Lock()
	in.adopting = ""
	in.mu.Unlock()
	in.wake() // it may have been what was waited for
}

// resume tells the source that this runner goes on with a job.
func (in *intake) resume(o *offer) (known bool, err error) {
	var answer *pluginv1.ResumeResponse
	err = in.callOnce(in.taking, "Resume", func(ctx context.Context, client pluginv1.SourceClient) (err error) {
		answer, err = client.Resume(ctx, &pluginv1.ResumeRequest{Job: o.key(), Handle: o.handle})
		return err
	})
	if err != nil {
		return false, err
	}
	if answer.GetLease() != nil {
		o.lease = answer.GetLease().AsDuration()
	}
	if answer.GetDeadline() != nil {
		o.deadline = answer.GetDeadline().AsTime()
	}
	return answer.GetKnown(), nil
}

// drop ends a run that is not gone on with.
func (in *intake) drop(o *offer, end func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := end(ctx); err != nil {
		in.logger.Error("could not let go of a job", "job", o.job.ID, "error", in.clean(err))
	}
}

// clean takes sensitive values of the source's configuration out of an error.
func (in *intake) clean(err error) string {
	if in.serving.Redact == nil {
		return err.Error()
	}
	return in.serving.Redact.String(err.Error())
}

// keep keeps a result that the source has not taken at once, for whoever reports it.
func (t *task) keep(summary Summary) {
	if t.lasting == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), startTimeout)
	defer cancel()
	kept := executor.Kept{
		Result: t.masked(summary.Result), Records: summary.Records, Started: summary.Started, Finished: summary.Finished,
	}
	if err := t.lasting.Keep(ctx, kept); err != nil {
		t.logger.Warn("the job's result could not be kept with its pod; should the runner end now, the next one has to find it out again",
			"error", t.clean(err))
	}
}

// masked takes the job's sensitive values out of a result that the processors may have let pass: others than the source see
// what is kept.
func (t *task) masked(result job.Result) job.Result {
	result.Message = t.redact.String(result.Message)
	result.Variables = slices.Clone(result.Variables)
	for i, v := range result.Variables {
		result.Variables[i].Value = t.redact.Bytes(v.Value)
	}
	return result
}

// reportKept reports what another runner has found the job to come to. Its log has been delivered.
func (t *task) reportKept() (Summary, error) {
	kept := t.adopted.Kept
	summary := Summary{Result: kept.Result, Records: kept.Records, Started: kept.Started, Finished: kept.Finished}
	if !kept.Started.IsZero() {
		summary.Running = max(0, kept.Finished.Sub(kept.Started))
	}
	run := Run{Job: t.job, Redact: t.redact.String, Logger: t.logger}
	err := t.report(summary)
	if err != nil && leavable(err) {
		return summary, run.leave(t.ctx, t.lasting, err)
	}
	if err != nil {
		t.logger.Error("the job's result could not be delivered", "error", t.clean(err))
	}
	run.close(t.ctx, t.lasting)
	return summary, err
}

// keptPatience is how long, at most, a slot is used for a result that is kept: it waits as well without one.
const keptPatience = time.Minute

// reportFor is how long the source may fail to take the result.
func (t *task) reportFor() time.Duration {
	if t.adopted != nil && t.adopted.Kept != nil {
		return min(t.in.pipeline.GiveUp, keptPatience)
	}
	return t.in.pipeline.GiveUp
}

// left tells of a job that is not reported here, once, and gives its slot to another.
func (t *task) left(err error) {
	t.finish.Do(func() {
		why, taken := "undelivered", errors.Is(err, executor.ErrTaken)
		t.in.serving.leave(t.in, t.job.ID, !taken)
		if taken {
			why = "taken"
			t.logger.Warn("another runner has taken the job over; nothing more is said of it here")
		} else {
			t.logger.Warn("the job is left as it is, with its log and its result, for a runner that can deliver them", "error", t.clean(err))
		}
		t.in.serving.Metrics.JobLeft(t.in.pipeline.labels(), why)
		t.trace.End(telemetry.JobEnd{Outcome: "left", Reason: why, Message: t.clean(err), Total: time.Since(t.begun)})
		t.in.serving.free(t)
		t.in.lane.freed()
	})
}

// errUndelivered says that the last lines of a log were not taken; they are where the job ran.
func errUndelivered(err error) error {
	return fmt.Errorf("the source does not take the end of the job's log: %w", err)
}
