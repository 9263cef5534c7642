package kubernetes

import (
	"github.com/podrunner/runner/core/internal/executor"
)

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
