package kubernetes

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/spool"
)

const (
	// explainTime is what the cluster has to say what became of a pod or a container that ended with no exit record. The
	// kubelet looks at its containers every second, and tells the API server when it has.
	explainTime = 10 * time.Second
	// oomTime is what it has to say whether a step that was killed was out of memory.
	oomTime = 3 * time.Second
)

// Result implements executor.Run.
func (r *run) Result(ctx context.Context) (executor.Result, error) {
	select {
	case <-r.supervised: // the pod's news are ours from here on
	case <-ctx.Done():
		return executor.Result{}, fmt.Errorf("wait for the end of the job: %w", context.Cause(ctx))
	}
	r.reading.Lock()
	defer r.reading.Unlock()
	var steps []*executor.Evidence
	for _, s := range r.steps {
		steps = append(steps, &s.evidence)
	}
	ending := r.ending(ctx)
	if executor.Decided(steps, ending) {
		return r.amend(ctx, steps, executor.Judge(steps, ending, executor.Result{})), nil
	}
	return executor.Judge(steps, nil, r.unexplained(ctx)), nil
}

// ending is the request to end the job that its helper knows of.
func (r *run) ending(ctx context.Context) *executor.Ending {
	r.mu.Lock()
	e := r.state.Ending
	r.mu.Unlock()
	for _, s := range r.steps {
		if s.follower != nil && s.follower.Ending() != nil {
			e = s.follower.Ending()
		}
	}
	if e == nil {
		return nil
	}
	switch e.Why {
	case agent.Canceled:
		return executor.Canceled(e.At)
	case agent.Lifetime:
		return executor.Expired(e.At, r.e.opts.Settings.Lifetime)
	}
	if r.wasCanceled() {
		return executor.Canceled(e.At)
	}
	why := r.explained(ctx, explainTime)
	return &executor.Ending{At: e.At, Outcome: why.Outcome, Reason: why.Reason, Message: why.Message}
}

func (r *run) wasCanceled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.canceled.IsZero()
}

// unexplained is the result of a job whose log tells nothing of its end.
func (r *run) unexplained(ctx context.Context) executor.Result {
	if r.wasCanceled() {
		c := executor.Canceled(time.Now())
		return executor.Result{Outcome: c.Outcome, Reason: c.Reason, Message: c.Message}
	}
	r.mu.Lock()
	verdict := r.verdict
	r.mu.Unlock()
	if verdict != nil {
		return *verdict
	}
	return r.explained(ctx, explainTime)
}

// explained waits for the cluster to say why the pod, or the container of the step that was read last, has ended.
func (r *run) explained(ctx context.Context, limit time.Duration) executor.Result {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	step := r.steps[min(r.place.at, len(r.steps)-1)].name
	for {
		pod, gone := r.pod.latest()
		if e, ok := explainEnd(pod, gone); ok {
			return e.result()
		}
		if t, ok := stepCode(pod, step); ok {
			return executor.Lost(fmt.Sprintf("there is no evidence of how step %q ended: its container ended with no exit record (%s)", step, terminated(t)))
		}
		select {
		case <-r.pod.C:
		case <-timer.C:
			return executor.Lost(fmt.Sprintf("there is no evidence of how step %q ended: it left no exit record, and the cluster does not say what became of the pod", step))
		case <-ctx.Done():
			return executor.Lost(fmt.Sprintf("there is no evidence of how step %q ended: it left no exit record", step))
		}
	}
}

// amend says of a step that was killed whether the kernel did it for lack of memory.
func (r *run) amend(ctx context.Context, steps []*executor.Evidence, res executor.Result) executor.Result {
	if res.Reason != job.ReasonExit && res.Reason != job.ReasonInitFailed {
		return res
	}
	last := steps[0]
	for _, s := range steps {
		if s.Ran {
			last = s
		}
	}
	const killed = 128 + int(unix.SIGKILL)
	if last.Exit.OOMKills == 0 && (last.Exit.Code != killed || !r.sawOOM(ctx, last.Name)) {
		return res
	}
	pod, _ := r.pod.latest()
	res.Reason = job.ReasonOOMKilled
	res.Message = fmt.Sprintf("the kernel killed a process of step %q for lack of memory%s: %s",
		last.Name, inParentheses(memory(last.Exit, limitOf(pod, last.Name))), res.Message)
	return res
}

// memory says what a step used and what it might.
func memory(e *spool.Exit, limit string) string {
	peak := e.PeakMemory
	if peak == 0 {
		peak = e.PeakRSS
	}
	text := "peak " + resource.NewQuantity(peak>>20<<20, resource.BinarySI).String()
	if limit != "" {
		text += ", limit " + limit
	}
	return text
}

// sawOOM waits for the cluster to say how a step's container ended, and tells whether it was out of memory.
func (r *run) sawOOM(ctx context.Context, step string) bool {
	timer := time.NewTimer(oomTime)
	defer timer.Stop()
	for {
		pod, _ := r.pod.latest()
		if t, ok := stepCode(pod, step); ok {
			return t.Reason == "OOMKilled"
		}
		select {
		case <-r.pod.C:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
