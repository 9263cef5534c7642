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
	res, err := r.judge(ctx)
	hole := r.Missing() // it takes the lock that an Ack holds while it takes r.mu
	r.mu.Lock()
	defer r.mu.Unlock()
	res.Kept = r.kept
	if hole.Records > 0 {
		res.Note = fmt.Sprintf("%d records of the job, behind the first %d, were delivered by another runner and are kept no longer:"+
			" what processors remembered of them is lost", hole.Records, hole.After)
	}
	return res, err
}

func (r *run) judge(ctx context.Context) (executor.Result, error) {
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
	ending := r.ending(ctx, steps)
	if executor.Decided(steps, ending) {
		return r.amend(ctx, steps, executor.Judge(steps, ending, executor.Result{})), nil
	}
	return executor.Judge(steps, nil, r.unexplained(ctx)), nil
}

// ending is the request to end the job before its time: the one that its helper knows of, or that the step itself heard.
// When the cluster ends a pod it tells all containers at once, and the step may be over before the helper knows. Whether
// there was one at all, and why, is then for the cluster to say: the job may have told its own first process.
func (r *run) ending(ctx context.Context, steps []*executor.Evidence) *executor.Ending {
	r.mu.Lock()
	e := r.state.Ending
	var given *executor.Result
	if r.gaveUp {
		given = r.verdict
	}
	r.mu.Unlock()
	for _, s := range r.steps {
		if s.follower != nil && s.follower.Ending() != nil {
			e = s.follower.Ending()
		}
	}
	if last := executor.LastRan(steps); last.Exit != nil && !last.Exit.Asked.IsZero() {
		if e == nil {
			e = &agent.Ending{Why: agent.Terminated, At: last.Exit.Asked}
		} else if last.Exit.Asked.Before(e.At) {
			e = &agent.Ending{Why: e.Why, At: last.Exit.Asked}
		}
	}
	if e == nil {
		return nil
	}
	switch {
	case e.Why == agent.Lifetime:
		return executor.Expired(e.At, r.e.opts.Settings.Lifetime)
	case given != nil && e.Why == agent.Canceled: // by this process, in case it starts all the same
		return &executor.Ending{At: e.At, Outcome: given.Outcome, Reason: given.Reason, Message: given.Message}
	case e.Why == agent.Canceled, r.wasCanceled():
		return executor.Canceled(e.At)
	}
	why, ok := r.explained(ctx)
	if !ok {
		return nil
	}
	return &executor.Ending{At: e.At, Outcome: why.Outcome, Reason: why.Reason, Message: why.Message}
}

func (r *run) wasCanceled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.canceled.IsZero()
}

// unexplained is the result of a job whose log tells nothing of its end.
func (r *run) unexplained(ctx context.Context) executor.Result {
	r.mu.Lock()
	verdict := r.verdict
	r.mu.Unlock()
	switch {
	case verdict != nil && (verdict.Reason == job.ReasonCanceled || !r.wasCanceled()):
		return *verdict
	case r.wasCanceled():
		c := executor.Canceled(time.Now())
		return executor.Result{Outcome: c.Outcome, Reason: c.Reason, Message: c.Message}
	}
	if res, ok := r.explained(ctx); ok {
		return res
	}
	return r.lostStep()
}

// explained waits for the cluster to say why the pod has ended, or the container of a step; false when it does not.
func (r *run) explained(ctx context.Context) (executor.Result, bool) {
	timer := time.NewTimer(explainTime)
	defer timer.Stop()
	for {
		pod, gone := r.pod.latest()
		if e, ok := explainEnd(pod, gone); ok {
			return e.result(), true
		}
		if _, ok := stepCode(pod, r.lastStep()); ok {
			return executor.Result{}, false // it has ended by itself
		}
		select {
		case <-r.pod.C:
		case <-timer.C:
			return executor.Result{}, false
		case <-ctx.Done():
			return executor.Result{}, false
		}
	}
}

// lastStep is the step that was read last.
func (r *run) lastStep() string { return r.steps[min(r.place.at, len(r.steps)-1)].name }

// lostStep is the result of a job whose step has ended with no exit record, and with no word of the cluster about the pod.
func (r *run) lostStep() executor.Result {
	step, pod := r.lastStep(), "the cluster does not say what became of it"
	latest, _ := r.pod.latest()
	if t, ok := stepCode(latest, step); ok {
		pod = "its container ended: " + terminated(t)
	}
	return executor.Lost(fmt.Sprintf("there is no evidence of how step %q ended: it left no exit record, and %s", step, pod))
}

// amend says of a step that was killed whether the kernel did it for lack of memory.
func (r *run) amend(ctx context.Context, steps []*executor.Evidence, res executor.Result) executor.Result {
	if res.Reason != job.ReasonExit && res.Reason != job.ReasonInitFailed {
		return res
	}
	last := executor.LastRan(steps)
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
