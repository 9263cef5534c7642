package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
)

// run is a job in its pod. One goroutine, supervise, makes the objects and follows the pod until the job is over: until
// its log has been read to the end, which Next tells, or until there is nothing to be read from any more.
type run struct {
	e        *Executor
	objects  *objects
	statuses executor.Statuses
	begun    time.Time

	// life ends with Close.
	life context.Context
	end  context.CancelFunc
	// helpers are the goroutines beside supervise; they end with life.
	helpers    sync.WaitGroup
	supervised chan struct{}

	pod *watched
	// taken is closed when another runner has taken the job over. claimed says that the pod has been seen to be this runner's;
	// it belongs to supervise.
	taken   chan struct{}
	claimed bool
	// reachable gets a value when the pod may have become reachable.
	reachable chan struct{}

	// ready is closed when the client is there.
	ready  chan struct{}
	client *agent.Client
	steps  []*stepRun

	// logged is closed when Next has come to the end of the log, over when verdict is set: the job is over, whatever is in
	// the log.
	logged, over chan struct{}
	// drained ends some time after over: what is on its way is still read.
	drained context.Context
	drain   context.CancelCauseFunc

	// mu is taken last: nobody takes another lock of the run while they hold it.
	mu sync.Mutex
	// closed says that Close has begun: no more helpers are started.
	closed  bool
	verdict *executor.Result
	// gaveUp says that the verdict is that of a job that has not started.
	gaveUp bool
	// canceled is when the first Cancel came; zero before.
	canceled time.Time
	// state is what the helper has told last; met says that it has been heard: it has told a state, or sent records.
	state agent.State
	met   bool
	// printed are the steps of which records have come.
	printed map[string]bool
	// noted is how far the log was delivered when another process had the pod, kept what that one has kept.
	noted executor.Progress
	kept  *executor.Kept
	// left says that Leave has begun.
	left bool

	// reading is held by Next.
	reading sync.Mutex
	place   place
	// hurry gets a value when what has been delivered should be noted soon; noteTurn is held while it is.
	hurry    chan struct{}
	noteTurn sync.Mutex
}

// stepRun is a step as Next reads it. It belongs to whoever holds run.reading.
type stepRun struct {
	name     string
	follower *agent.Follower
	evidence executor.Evidence
	// begun: records have been read. torn: the first of them was in the middle of the outcome file.
	begun, torn bool
}

// drainTime is what is on its way from a pod that has ended has to arrive.
const drainTime = 2 * time.Second

func newRun(e *Executor, j *job.Job) *run {
	o := &objects{
		settings: e.opts.Settings, job: j, mode: e.opts.Mode, name: objectName(e.opts.Source, j.ID),
		runner: e.opts.Runner, instance: e.instance, pipeline: e.opts.Pipeline, source: e.opts.Source,
	}
	return runWith(e, o, e.pods.watch(o.name))
}

// runWith makes the run of a job that has these objects, or is to have them, and whose pod is watched.
func runWith(e *Executor, o *objects, pod *watched) *run {
	r := &run{
		e: e, objects: o, begun: time.Now(), statuses: executor.NewStatuses(), supervised: make(chan struct{}),
		pod: pod, reachable: make(chan struct{}, 1), ready: make(chan struct{}),
		logged: make(chan struct{}), over: make(chan struct{}), taken: make(chan struct{}),
		hurry: make(chan struct{}, 1), printed: map[string]bool{},
	}
	r.life, r.end = context.WithCancel(context.Background())
	r.drained, r.drain = context.WithCancelCause(r.life)
	for _, s := range o.steps() {
		r.steps = append(r.steps, &stepRun{name: s.name, evidence: executor.Evidence{Name: s.name}})
	}
	return r
}

// start starts a goroutine that Close waits for, unless Close has begun.
func (r *run) start(helper func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.helpers.Go(helper)
	}
}

// supervise finds the pod, and has it made if need be, and follows it.
func (r *run) supervise(find func(context.Context) (*corev1.Pod, error)) {
	defer close(r.supervised)
	defer r.statuses.Close()
	defer r.statuses.Send(executor.Done, "", "")
	r.statuses.Send(executor.Pending, wordCreating, fmt.Sprintf("pod %q in the namespace %q", r.objects.name, r.e.namespace))
	starting, cancel := context.WithTimeoutCause(r.life, r.e.opts.Settings.StartTimeout,
		fmt.Errorf("start_timeout of %s is over", r.e.opts.Settings.StartTimeout))
	defer cancel()
	stop := context.AfterFunc(r.drained, cancel)
	defer stop()
	pod, err := find(starting)
	if err != nil {
		r.conclude(refusal(err, r.e.namespace))
		return
	}
	r.pod.is(pod)
	client, err := agent.NewClient(r.objects.keys, r.connect)
	if err != nil {
		r.conclude(executor.Lost("prepare the connection to the job's pod: " + err.Error()))
		return
	}
	r.reading.Lock()
	r.client = client
	for _, s := range r.steps {
		s.follower = client.Follow(s.name)
	}
	r.reading.Unlock()
	close(r.ready)
	newSupervisor(r, pod).follow()
}

// conclude sets what the job comes to unless its log tells otherwise. The first verdict counts; it returns whether this is it.
func (r *run) conclude(verdict executor.Result) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.verdict != nil {
		return false
	}
	r.verdict = &verdict
	close(r.over)
	cause := errors.New(verdict.Message)
	wait := drainTime
	select {
	case <-r.ready:
		if !r.met { // nobody has been connected to, so nothing is on its way
			wait = 0
		}
	default: // the objects are being made: a call that is broken off may leave one
	}
	time.AfterFunc(wait, func() { r.drain(cause) })
	return true
}

// Status implements executor.Run.
func (r *run) Status() <-chan executor.Status { return r.statuses.C }

// cancelSlack is what the helper has, beside the grace, to answer a Cancel.
const cancelSlack = 5 * time.Second

// Cancel implements executor.Run. A pod that no helper runs in yet has nothing to end in order. One that has not been heard
// of may have: steps do not wait for core, and what they write comes by another way than their state.
func (r *run) Cancel(grace time.Duration) {
	r.mu.Lock()
	if r.canceled.IsZero() {
		r.canceled = time.Now()
	}
	met := r.met
	r.mu.Unlock()
	switch {
	case met:
		r.start(func() { r.cancelInPod(grace, grace+cancelSlack) })
	case r.scheduled():
		r.start(func() { r.cancelInPod(grace, cancelSlack) })
	default:
		r.giveUp(canceled("the job was canceled before it ran"))
	}
}

// scheduled tells whether there may be a helper to be talked to. Where it can be reached is known only some time after its steps
// may have begun: the kubelet tells the pod's address with the next status.
func (r *run) scheduled() bool {
	select {
	case <-r.ready:
	default:
		return false
	}
	pod, gone := r.pod.latest()
	return !gone && pod != nil && pod.Spec.NodeName != ""
}

// cancelInPod has the helper end the job. When it can't be reached within so much time the job is over as far as core can
// tell; Close deletes the pod.
func (r *run) cancelInPod(grace, within time.Duration) {
	ctx, cancel := context.WithTimeout(r.life, within)
	defer cancel()
	err := r.client.Cancel(ctx, grace)
	if err == nil || r.life.Err() != nil {
		return
	}
	if !r.mayHaveRun() { // the helper's own image, for one, may still be pulled
		r.giveUp(canceled("the job was canceled before it ran"))
		return
	}
	r.e.opts.Logger.Warn("the job's helper can't be told to end the job; its pod is deleted", "pod", r.objects.name, "error", err)
	r.conclude(canceled("the job was canceled; its helper could not be reached, so the end of its log is missing"))
}

// mayHaveRun tells whether a step was heard of, here or by the runner that had the pod before, or its container was started.
func (r *run) mayHaveRun() bool {
	r.mu.Lock()
	heard := r.met || r.noted.Records > 0
	r.mu.Unlock()
	if heard {
		return true
	}
	pod, _ := r.pod.latest()
	for _, s := range pod.Status.ContainerStatuses {
		if isStep(s.Name) && (s.State.Running != nil || s.State.Terminated != nil) {
			return true
		}
	}
	return false
}

// canceled is the result of a job that is over since it was canceled.
func canceled(message string) executor.Result {
	c := executor.Canceled(time.Now())
	return executor.Result{Outcome: c.Outcome, Reason: c.Reason, Message: message}
}
