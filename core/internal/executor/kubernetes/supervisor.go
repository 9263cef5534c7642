package kubernetes

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/executor"
)

const (
	// eventsDelay is how long a pod may take before its events are looked at: most need no explanation.
	eventsDelay = 500 * time.Millisecond
	// settleTime is what the helper has to tell of a step whose container has ended, as the cluster says.
	settleTime = 3 * time.Second
	// goneTime is what a pod has to go once its grace period is over. One that does not is on a node that does not answer.
	goneTime = 5 * time.Second
	// deadlineSlack is what the kubelet may take to notice that a pod has passed its deadline.
	deadlineSlack = time.Minute
	// silentTime is how long a lost connection is nobody's concern: as a rule it is made anew in less.
	silentTime = 5 * time.Second
)

// supervisor follows a pod: it tells what the pod waits for, and concludes when waiting is of no use, or the pod has come
// to an end. Its methods are for one goroutine.
type supervisor struct {
	*run
	events *events

	// starting bounds the wait for the next step to run, patience that for something that does not pass as a rule, stuck the
	// time in which the helper must tell of a step whose container has ended, lost the life of a pod that is to be gone.
	starting, patience, stuck, lost, deadline *time.Timer
	// silent is when a connection that was lost, as cut says, is told of, and toldCut that it was.
	silent       *time.Timer
	cut, toldCut bool
	// impatient is what patience is about; its word is empty when there is none.
	impatient waiting
	// waits says that no step runs, and that the next one may.
	waits bool
	told  waiting
	// ends says that the job is asked to end, and that this was told.
	ends bool
	// running is the step that runs.
	running string
	// deleted is the grace of the deletion of the pod, in seconds; -1 when it is not deleted.
	deleted int64
	// doubted is the step whose container has ended of which the helper has not heard; empty for none. askedAgain says that the
	// helper has been asked again.
	doubted    string
	askedAgain bool
}

func newSupervisor(r *run, pod *corev1.Pod) *supervisor {
	s := &supervisor{run: r, waits: true, deleted: -1, events: newEvents(r.e.client, r.e.namespace)}
	s.starting = time.NewTimer(r.e.opts.Settings.StartTimeout - time.Since(r.begun))
	s.patience, s.stuck, s.lost, s.silent = stopped(), stopped(), stopped(), stopped()
	deadline := activeDeadline(r.e.opts.Settings)
	if pod.Spec.ActiveDeadlineSeconds != nil { // one that is found may have been made with other settings
		deadline = *pod.Spec.ActiveDeadlineSeconds
	}
	s.deadline = time.NewTimer(time.Duration(deadline)*time.Second + deadlineSlack)
	return s
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// follow returns when the job is over, or nobody wants it any more.
func (s *supervisor) follow() {
	for _, t := range []*time.Timer{s.starting, s.patience, s.stuck, s.lost, s.deadline, s.silent} {
		defer t.Stop()
	}
	watching, stop := context.WithCancel(s.life)
	defer stop()
	states := s.client.Watch(watching)
	s.start(func() { s.followEvents(watching) })
	for s.look(); ; {
		select {
		case <-s.pod.C:
			s.look()
		case <-s.events.C:
			s.explain()
		case state, ok := <-states:
			if ok {
				s.hear(state)
			} else {
				states = nil
			}
		case <-s.client.Lost():
			s.disconnected()
		case <-s.silent.C:
			s.tellCut()
		case <-s.starting.C:
			s.startTimedOut()
		case <-s.patience.C:
			s.giveUp(executor.Result{
				Outcome: s.impatient.reason.Info().Outcome, Reason: s.impatient.reason, Message: s.impatient.message,
			})
		case <-s.stuck.C:
			// What the helper has told may be old, when the connection was lost. A new watch begins with what it is.
			states, s.askedAgain = s.client.Watch(watching), true
		case <-s.lost.C:
			s.podEnded()
		case <-s.deadline.C:
			s.podEnded()
		case <-s.over:
			return
		case <-s.logged:
			return
		case <-s.life.Done():
			return
		}
	}
}

// followEvents follows the pod's events, if there still is anything to explain after eventsDelay.
func (s *supervisor) followEvents(ctx context.Context) {
	timer := time.NewTimer(eventsDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return
	}
	pod, _ := s.pod.latest()
	if pod == nil {
		return
	}
	s.mu.Lock()
	running := false
	for _, step := range s.state.Steps {
		running = running || step.Phase == agent.Running
	}
	s.mu.Unlock()
	if !running {
		s.events.follow(ctx, pod.UID)
	}
}

// look looks at the pod.
func (s *supervisor) look() {
	pod, gone := s.pod.latest()
	if s.isTaken(pod) {
		return
	}
	if gone || ended(pod) {
		s.podEnded()
		return
	}
	s.reach(pod)
	s.deletion(pod)
	s.doubt(pod)
	s.explain()
}

// reach has the client connect to the pod's helper, if enough is known of the pod.
func (r *run) reach(pod *corev1.Pod) {
	if !r.e.dialer.ready(pod) {
		return
	}
	select {
	case r.reachable <- struct{}{}:
	default:
	}
	r.client.Connect()
}

// isTaken tells whether another runner has the pod. One that was seen before this runner's claim was has another one, too.
func (s *supervisor) isTaken(pod *corev1.Pod) bool {
	mine := pod.Annotations[annotationInstance] == s.e.instance
	s.claimed = s.claimed || mine
	if mine || !s.claimed {
		return false
	}
	s.mu.Lock()
	left := s.left
	s.mu.Unlock()
	if !left {
		closeOnce(s.taken)
		s.conclude(executor.Lost(executor.ErrTaken.Error()))
	}
	return true
}

// closeOnce closes a channel that one goroutine closes.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// deletion sees to it that a pod that is deleted is not waited for longer than its grace. It counts from now, since the
// clock of the API server may be another one.
func (s *supervisor) deletion(pod *corev1.Pod) {
	if pod.DeletionTimestamp == nil {
		return
	}
	grace := int64(0)
	if pod.DeletionGracePeriodSeconds != nil {
		grace = *pod.DeletionGracePeriodSeconds
	}
	if s.deleted < 0 || grace < s.deleted {
		s.deleted = grace
		s.lost.Reset(time.Duration(grace)*time.Second + goneTime)
	}
}

// doubt takes note of a step whose container has ended and which waits to be run, as the helper says: after settleTime it
// is asked again, and then believed.
func (s *supervisor) doubt(pod *corev1.Pod) {
	doubted := ""
	for _, step := range s.steps {
		if _, over := stepCode(pod, step.name); over && s.phaseOf(step.name) == agent.Waiting {
			doubted = step.name
		}
	}
	switch {
	case doubted == "":
		s.stuck.Stop()
		s.askedAgain = false
	case s.doubted == "":
		s.stuck.Reset(settleTime)
	}
	s.doubted = doubted
}

// ended tells whether nothing can be read from a pod any more.
func ended(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return true
	}
	_, over := stepCode(pod, helperContainer)
	return over
}

// podEnded concludes from the end of the pod, or from that it does not end.
func (s *supervisor) podEnded() {
	pod, gone := s.pod.latest()
	if e, ok := explainEnd(pod, gone); ok {
		s.conclude(e.result())
		return
	}
	s.conclude(executor.Lost(fmt.Sprintf("the pod %q can't be reached, and its deadline has passed: %v", pod.Name, s.client.LastError())))
}

// explain tells what the pod waits for, if it does.
func (s *supervisor) explain() {
	pod, _ := s.pod.latest()
	w := explainWait(pod, s.events.all())
	if !s.anyWaits() { // what the cluster says of containers may be old, or of one that is none of core's
		w.patience = forever
	}
	s.lose(w)
	if !s.waits || w == s.told {
		return
	}
	s.told = w
	s.statuses.Send(executor.Pending, w.word, w.message)
}

// lose takes note of what patience is to be lost with. It starts anew only for another reason: a message may change with
// each attempt of the cluster.
func (s *supervisor) lose(w waiting) {
	switch {
	case w.patience < 0:
		s.patience.Stop()
		s.impatient = waiting{}
	case w.reason == s.impatient.reason:
		s.impatient = w
	default:
		s.impatient = w
		s.patience.Reset(w.patience)
	}
}

// hear hears what the helper says.
func (s *supervisor) hear(state agent.State) {
	s.mu.Lock()
	s.state, s.met = state, true
	s.mu.Unlock()
	running, waiting := "", false
	for _, step := range state.Steps {
		switch step.Phase {
		case agent.Running:
			running = step.Name
		case agent.Waiting:
			waiting = true
		}
	}
	if running != "" && running != s.running {
		s.statuses.Send(executor.Running, "", "step "+running)
	}
	s.running = running
	s.connected()
	if state.Ending != nil && !s.ends {
		s.ends = true
		s.statuses.Send(executor.Running, "Ending", "the job is asked to end: "+string(state.Ending.Why))
	}
	waits := running == "" && waiting
	if waits != s.waits {
		s.waits = waits
		if waits {
			s.starting.Reset(s.e.opts.Settings.StartTimeout)
		} else {
			s.starting.Stop()
		}
	}
	if s.askedAgain {
		s.checkStuck()
	}
	s.look()
}

// disconnected takes note of a lost connection. Before a step runs there is none to lose: what the pod waits for is told.
func (s *supervisor) disconnected() {
	if s.running != "" && !s.cut {
		s.cut = true
		s.silent.Reset(silentTime)
	}
}

func (s *supervisor) tellCut() {
	if err := s.client.LastError(); err != nil && s.running != "" {
		s.toldCut = true
		s.statuses.Send(executor.Running, "Reconnecting", fmt.Sprintf("the job goes on, but its pod can't be reached at the moment: %v", err))
	}
}

// connected takes note that the helper was heard.
func (s *supervisor) connected() {
	s.silent.Stop()
	if s.toldCut && s.running != "" {
		s.statuses.Send(executor.Running, "", "step "+s.running+": connected again")
	}
	s.cut, s.toldCut = false, false
}

// phaseOf is what is known of a step: what the helper says, unless records of it have come sooner than its word that it runs.
func (s *supervisor) phaseOf(step string) agent.Phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	phase := agent.Waiting
	for _, p := range s.state.Steps {
		if p.Name == step {
			phase = p.Phase
		}
	}
	if phase == agent.Waiting && s.printed[step] {
		return agent.Running
	}
	return phase
}

// runs tells whether a step runs, as far as is known.
func (s *supervisor) runs() bool {
	for _, step := range s.steps {
		if s.phaseOf(step.name) == agent.Running {
			return true
		}
	}
	return false
}

// anyWaits tells whether a step waits to be run, as far as is known.
func (s *supervisor) anyWaits() bool {
	for _, step := range s.steps {
		if s.phaseOf(step.name) == agent.Waiting {
			return true
		}
	}
	return false
}

// checkStuck concludes when a step's container has ended of which the helper has not heard.
func (s *supervisor) checkStuck() {
	pod, gone := s.pod.latest()
	for _, step := range s.steps {
		t, over := stepCode(pod, step.name)
		if !over || s.phaseOf(step.name) != agent.Waiting {
			continue
		}
		if e, ok := explainEnd(pod, gone); ok {
			s.conclude(e.result())
			return
		}
		s.conclude(executor.Lost(fmt.Sprintf("the container of step %q ended before its commands were run: %s", step.name, terminated(t))))
		return
	}
}
