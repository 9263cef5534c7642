package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podrunner/runner/core/internal/executor"
)

const (
	// lookEvery is how often, about, pods of other runners are looked at.
	lookEvery = 10 * time.Second
	// sweepEvery is how many looks apart Leases of runners that have gone and left nothing are removed.
	sweepEvery = 30
	// keptFor is how long what is left of a job stays, after its pod has ended, when nobody can go on with it.
	keptFor = 7 * 24 * time.Hour
	// postponed is how long a job is left alone at first that this runner could not go on with, longestPostponed how long at most:
	// it doubles each time.
	postponed        = time.Minute
	longestPostponed = 32 * time.Minute
)

// orphans are the pods of runners that are gone.
//
// A runner is gone when its Lease is not there, or has not changed for as long as it is to last. That time is taken by the
// clock of whoever looks, from when he has seen the change: clocks of different machines are not compared. What a process of
// this runner's own name has left when this one started is an orphan at once.
type orphans struct {
	e *Executor
	// C gets a value when there may be more to adopt, look one when it is worth to look before the time.
	C, look chan struct{}

	mu sync.Mutex
	// waiting are the orphans' pods.
	waiting []*corev1.Pod
	// later are those that are left alone for a while, by their names; dropped are those of this process that it has no run
	// for any more, and that say something else.
	later   map[string]delay
	dropped map[string]bool

	// These belong to run. runners are those that have a Lease, by their names, looked the time of the last look at them;
	// heirs are the pods that a process of the same name has left, nil before they are known.
	runners map[string]*holder
	looked  time.Time
	looks   int
	heirs   map[types.UID]bool
}

// delay is for how long a job is left alone, and until when.
type delay struct {
	wait  time.Duration
	until time.Time
}

// holder is a runner's Lease as it was seen.
type holder struct {
	lease *coordinationv1.Lease
	// since is when it was seen to change.
	since time.Time
}

func newOrphans(e *Executor) *orphans {
	return &orphans{
		e: e, C: make(chan struct{}, 1), look: make(chan struct{}, 1), later: map[string]delay{}, dropped: map[string]bool{},
		runners: map[string]*holder{},
	}
}

// see is told of each pod that there is news of. One that was let go need not wait for the next look.
func (o *orphans) see(pod *corev1.Pod) {
	if pod.Annotations[annotationInstance] == "" {
		wake(o.look)
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run looks again and again, until ctx ends.
func (o *orphans) run(ctx context.Context) {
	if !o.e.pods.known(ctx) {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-o.look:
		case <-ctx.Done():
			return
		}
		o.find(ctx)
		timer.Reset(lookEvery*4/5 + rand.N(lookEvery*2/5)) //nolint:gosec // no secret
	}
}

// find finds out which pods are orphans.
func (o *orphans) find(ctx context.Context) {
	var others []*corev1.Pod
	all := o.e.pods.all()
	o.forget(all)
	for _, pod := range all {
		mine := pod.Annotations[annotationInstance] == o.e.instance && !o.isDropped(pod.Name)
		if pod.Annotations[annotationSource] == o.e.opts.Source && !mine && pod.DeletionTimestamp == nil {
			others = append(others, pod)
		}
	}
	if o.heirs == nil {
		o.heirs = map[types.UID]bool{}
		for _, pod := range others {
			if pod.Annotations[annotationRunner] == o.e.opts.Runner {
				o.heirs[pod.UID] = true
			}
		}
	}
	o.looks++
	if len(others) > 0 || o.looks%sweepEvery <= 2 { // two looks in a row tell what does not change
		if err := o.readLeases(ctx); err != nil {
			if ctx.Err() == nil {
				o.e.opts.Logger.Warn("can't find out which runners live; their jobs are left to them", "error", err)
			}
			return
		}
	}
	o.removeOld(ctx, others)
	o.sort(others)
	o.sweep(ctx, others)
}

// readLeases takes note of which runners have renewed their Leases. A time in which nobody could look counts for nobody.
func (o *orphans) readLeases(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := o.e.client.CoordinationV1().Leases(o.e.namespace).List(ctx, metav1.ListOptions{
		LabelSelector: metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: map[string]string{
			labelName: leaseApp, labelOrigin: labelValue(o.e.opts.Source),
		}}),
	})
	if err != nil {
		return fmt.Errorf("list the runners' Leases: %w", err)
	}
	now := time.Now()
	blind := now.Sub(o.looked) > 2*lookEvery
	o.looked = now
	runners := map[string]*holder{}
	for i := range list.Items {
		l := &list.Items[i]
		if l.Annotations[annotationSource] != o.e.opts.Source {
			continue
		}
		name := l.Annotations[annotationRunner]
		before := o.runners[name]
		if before == nil || blind || before.lease.ResourceVersion != l.ResourceVersion {
			before = &holder{since: now}
		}
		runners[name] = &holder{lease: l, since: before.since}
	}
	o.runners = runners
	return nil
}

// expired tells whether a Lease has not been renewed in time.
func (h *holder) expired(now time.Time) bool {
	duration := leaseDuration
	if s := h.lease.Spec.LeaseDurationSeconds; s != nil {
		duration = time.Duration(*s) * time.Second
	}
	return now.Sub(h.since) > duration
}

// isOrphan tells whether the runner of a pod is gone.
func (o *orphans) isOrphan(pod *corev1.Pod, now time.Time) bool {
	instance := pod.Annotations[annotationInstance]
	if instance == "" || instance == o.e.instance || o.heirs[pod.UID] {
		return true
	}
	h := o.runners[pod.Annotations[annotationRunner]]
	return h == nil || h.expired(now)
}

// sort finds the orphans among the pods of others.
func (o *orphans) sort(others []*corev1.Pod) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = o.waiting[:0]
	for _, pod := range others {
		if o.isOrphan(pod, now) && !now.Before(o.later[pod.Name].until) {
			o.waiting = append(o.waiting, pod)
		}
	}
	if len(o.waiting) > 0 {
		wake(o.C)
	}
}

// removeOld removes what is left of jobs that nobody has gone on with for a long time.
func (o *orphans) removeOld(ctx context.Context, others []*corev1.Pod) {
	now := time.Now()
	for _, pod := range others {
		ended := endedAt(pod)
		if ended.IsZero() || now.Sub(ended) < keptFor || !o.isOrphan(pod, now) {
			continue
		}
		o.e.opts.Logger.Error("nobody has gone on with a job since its pod has ended; what is left of it is removed",
			"pod", pod.Name, "job", pod.Annotations[annotationJobID], "after", now.Sub(ended).Round(time.Hour).String())
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		// The ConfigMap owns the rest.
		err := o.e.client.CoreV1().ConfigMaps(o.e.namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{})
		cancel()
		if err != nil && !apierrors.IsNotFound(err) {
			o.e.opts.Logger.Warn("what is left of a job could not be removed; it is tried again", "pod", pod.Name, "error", err)
		}
	}
}

// endedAt is when the last container of a pod has ended that has; zero for one that has not ended.
func endedAt(pod *corev1.Pod) (at time.Time) {
	if pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded {
		return at
	}
	at = pod.CreationTimestamp.Time
	for _, s := range pod.Status.ContainerStatuses {
		if t := s.State.Terminated; t != nil && t.FinishedAt.After(at) {
			at = t.FinishedAt.Time
		}
	}
	return at
}

// sweep removes the Leases of runners that are gone and have left nothing.
func (o *orphans) sweep(ctx context.Context, others []*corev1.Pod) {
	left := map[string]bool{o.e.opts.Runner: true}
	for _, pod := range others {
		left[pod.Annotations[annotationRunner]] = true
	}
	now := time.Now()
	for name, h := range o.runners {
		if left[name] || !h.expired(now) {
			continue
		}
		delete(o.runners, name)
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		err := o.e.client.CoordinationV1().Leases(o.e.namespace).Delete(ctx, h.lease.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{ResourceVersion: &h.lease.ResourceVersion},
		})
		cancel()
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			o.e.opts.Logger.Debug("the Lease of a runner that is gone could not be removed", "lease", h.lease.Name, "error", err)
		}
	}
}

// next returns one of the orphans, nil when there are no more.
func (o *orphans) next() *corev1.Pod {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		return nil
	}
	pod := o.waiting[0]
	o.waiting = o.waiting[1:]
	return pod
}

// forget forgets what was noted of pods that are no more.
func (o *orphans) forget(all []*corev1.Pod) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.later)+len(o.dropped) == 0 {
		return
	}
	there := map[string]bool{}
	for _, pod := range all {
		there[pod.Name] = true
	}
	maps.DeleteFunc(o.later, func(name string, _ delay) bool { return !there[name] })
	maps.DeleteFunc(o.dropped, func(name string, _ bool) bool { return !there[name] })
}

// drop says that this process has let go of a pod that could not be told.
func (o *orphans) drop(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropped[name] = true
}

// isDropped tells whether it has, and has not got hold of the pod since.
func (o *orphans) isDropped(name string) bool {
	if o == nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped[name]
}

// has says that this process has a pod.
func (o *orphans) has(name string) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.dropped, name)
}

// postpone leaves a job alone for a while: it could not be gone on with.
func (o *orphans) postpone(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	wait := min(max(2*o.later[name].wait, postponed), longestPostponed)
	o.later[name] = delay{wait, time.Now().Add(wait)}
}

// Orphans implements executor.Adopter.
func (e *Executor) Orphans() <-chan struct{} {
	if e.orphans == nil {
		return nil
	}
	return e.orphans.C
}

// Waiting implements executor.Adopter.
func (e *Executor) Waiting() int {
	if e.orphans == nil {
		return 0
	}
	e.orphans.mu.Lock()
	defer e.orphans.mu.Unlock()
	return len(e.orphans.waiting)
}

// Adopt implements executor.Adopter.
func (e *Executor) Adopt(ctx context.Context, reserve func(id string) bool) (*executor.Adopted, error) {
	if e.orphans == nil {
		return nil, nil
	}
	for pod := e.orphans.next(); pod != nil; pod = e.orphans.next() {
		if !reserve(pod.Annotations[annotationJobID]) {
			continue
		}
		adopted, err := e.adopt(ctx, pod)
		if err == nil {
			return adopted, nil
		}
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			continue // somebody else was faster, or it has changed otherwise: then it is found again
		}
		// A claim that got no answer may have come through, and a pod that could not be let go of is still claimed.
		e.orphans.drop(pod.Name)
		e.orphans.postpone(pod.Name)
		return nil, fmt.Errorf("take over the pod %q of runner %q: %w", pod.Name, pod.Annotations[annotationRunner], err)
	}
	return nil, nil
}

// adopt does not break off a claim when ctx ends: it may have come through, and then nobody has the pod, and nobody else takes it.
func (e *Executor) adopt(ctx context.Context, pod *corev1.Pod) (*executor.Adopted, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	// The claim is proof that the pod is as it was seen. What becomes of it from here on is news.
	w := e.pods.watch(pod.Name)
	w.is(pod)
	claimed, err := e.claim(ctx, pod, nil)
	if err != nil {
		e.pods.forget(w)
		return nil, err
	}
	e.orphans.has(pod.Name)
	o, err := e.recover(ctx, claimed)
	if err != nil {
		e.pods.forget(w)
		// A Secret that is not there is no sign that somebody else was faster.
		return nil, errors.New(errors.Join(err, e.release(ctx, pod.Name)).Error())
	}
	r := e.adopted(o, claimed, w)
	return &executor.Adopted{Job: o.job, Runner: pod.Annotations[annotationRunner], Delivered: r.noted, Kept: r.kept, Run: r}, nil
}
