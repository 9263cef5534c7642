package kubernetes

import (
	"fmt"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/executor"
)

// startTimedOut concludes with what the pod waits for.
func (s *supervisor) startTimedOut() {
	s.waits = s.waits && !s.runs()
	if !s.waits {
		return
	}
	pod, _ := s.pod.latest()
	w := explainWait(pod, s.events.all())
	what, message := "no step of the job has started", w.message
	if s.phaseOf(s.steps[0].name) != agent.Waiting {
		what = fmt.Sprintf("step %q has not started", s.steps[len(s.steps)-1].name)
	}
	if err := s.client.LastError(); err != nil && w.word == wordStarting {
		// Steps do not wait for core: those of a helper that can't be reached may run.
		what = "no step of the job is known to have started"
		message += fmt.Sprintf("; the helper in the pod can't be reached: %v", err)
		if s.ranBefore() {
			s.conclude(executor.Lost(fmt.Sprintf("the helper in the pod of a job that has run can't be reached within start_timeout (%s): %v",
				s.e.opts.Settings.StartTimeout, err)))
			return
		}
	}
	s.giveUp(executor.Result{
		Outcome: w.reason.Info().Outcome, Reason: w.reason,
		Message: fmt.Sprintf("%s within start_timeout (%s): %s", what, s.e.opts.Settings.StartTimeout, message),
	})
}

// ranBefore tells whether another runner, which had the pod before, has delivered something of the job.
func (s *supervisor) ranBefore() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noted.Records > 0
}

// giveUp concludes that a job has not started, and sees to it that it does not any more: its pod is there until the source
// has heard of the result, and may get its image or its node before that.
func (r *run) giveUp(verdict executor.Result) {
	if !r.conclude(verdict) {
		return
	}
	r.mu.Lock()
	r.gaveUp = true
	r.mu.Unlock()
	r.start(r.forbid)
}

// forbid has the helper run no step, as soon as it can be reached. It returns when that is done, or the pod has ended.
func (r *run) forbid() {
	select {
	case <-r.supervised: // the pod's news are for this goroutine from here on
	case <-r.life.Done():
		return
	}
	select {
	case <-r.ready:
	default:
		return // there is no pod, or it is deleted as one that nobody may have heard of
	}
	told := make(chan struct{})
	r.start(func() {
		defer close(told)
		r.endInPod()
	})
	for {
		pod, gone := r.pod.latest()
		if gone || ended(pod) {
			return
		}
		r.reach(pod)
		select {
		case <-r.pod.C:
		case <-told:
			return
		case <-r.life.Done():
			return
		}
	}
}

// endInPod has the helper end the job at once, however long it takes to reach it.
func (r *run) endInPod() {
	select {
	case <-r.ready:
	case <-r.life.Done():
		return
	}
	if err := r.client.Cancel(r.life, 0); err == nil {
		r.e.opts.Logger.Debug("the helper of a job that is over runs no more steps", "pod", r.objects.name)
	}
}
