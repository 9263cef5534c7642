package kubernetes

import (
	"context"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// pods follows the job pods of a namespace that are of one source, whichever runner's, with one watch, and tells each run of
// the news of its own.
type pods struct {
	informer cache.SharedIndexInformer
	log      hclog.Logger
	// others is told of all pods that there is news of; nil when nobody wants to know. It is set before run.
	others func(*corev1.Pod)

	mu sync.Mutex
	// watched are those of a pod's name: a job that is handed out twice has two runs and one pod.
	watched map[string][]*watched
}

// watched is a pod that a run follows.
type watched struct {
	name string
	// C gets a value after one change or many.
	C chan struct{}

	mu  sync.Mutex
	pod *corev1.Pod // nil before it has been seen
	// known says that it is known which pod it is; before, one of an earlier run may be seen.
	known bool
	// gone says that the pod was seen and is no more.
	gone bool
}

func newPods(client kubernetes.Interface, namespace string, selector *metav1.LabelSelector, log hclog.Logger) *pods {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = metav1.FormatLabelSelector(selector) }),
		informers.WithTransform(trim),
	)
	p := &pods{informer: factory.Core().V1().Pods().Informer(), log: log, watched: map[string][]*watched{}}
	// These fail only for an informer that runs already, or was stopped.
	_ = p.informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		p.log.Debug("the watch of the pods was lost; it is taken up again", "error", err)
	})
	_, _ = p.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { p.see(o, false) },
		UpdateFunc: func(_, o any) { p.see(o, false) },
		DeleteFunc: func(o any) { p.see(o, true) },
	})
	return p
}

// run follows the pods until ctx ends.
func (p *pods) run(ctx context.Context) { p.informer.RunWithContext(ctx) }

// trim takes out of a pod what nothing here looks at: a thousand of them are held in memory.
func trim(o any) (any, error) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	pod.ManagedFields = nil
	spec := corev1.PodSpec{NodeName: pod.Spec.NodeName}
	for _, c := range pod.Spec.Containers {
		spec.Containers = append(spec.Containers, corev1.Container{
			Name: c.Name, Image: c.Image, Resources: corev1.ResourceRequirements{Limits: c.Resources.Limits},
		})
	}
	pod.Spec = spec
	return pod, nil
}

// known waits until the pods have been seen for the first time; false when ctx ends before.
func (p *pods) known(ctx context.Context) bool {
	return cache.WaitForCacheSync(ctx.Done(), p.informer.HasSynced)
}

// runs is the number of pods that a run follows.
func (p *pods) runs() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.watched)
}

// all returns the pods as they were seen last.
func (p *pods) all() []*corev1.Pod {
	var all []*corev1.Pod
	for _, o := range p.informer.GetStore().List() {
		if pod, ok := o.(*corev1.Pod); ok {
			all = append(all, pod)
		}
	}
	return all
}

func (p *pods) see(o any, gone bool) {
	if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = unknown.Obj
	}
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	if p.others != nil {
		p.others(pod)
	}
	p.mu.Lock()
	all := slices.Clone(p.watched[pod.Name])
	p.mu.Unlock()
	for _, w := range all {
		w.see(pod, gone)
	}
}

// watch follows the pod of a name until forget.
func (p *pods) watch(name string) *watched {
	w := &watched{name: name, C: make(chan struct{}, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watched[name] = append(p.watched[name], w)
	return w
}

func (p *pods) forget(w *watched) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := slices.DeleteFunc(p.watched[w.name], func(other *watched) bool { return other == w })
	if len(left) == 0 {
		delete(p.watched, w.name)
		return
	}
	p.watched[w.name] = left
}

// see takes news, unless it is of another pod that had the name before, or that has it afterwards.
func (w *watched) see(pod *corev1.Pod, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.pod == nil && gone:
		return
	case w.pod != nil && w.pod.UID != pod.UID && (w.known || gone):
		return
	}
	w.pod, w.gone = pod, gone
	select {
	case w.C <- struct{}{}:
	default:
	}
}

// is says which pod it is that is followed: that one has been made, whatever was seen of its name before.
func (w *watched) is(pod *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known = true
	if w.pod == nil || w.pod.UID != pod.UID {
		w.pod, w.gone = pod, false
	}
}

// latest returns the pod as it was seen last, and whether it is gone; nil before it has been seen.
func (w *watched) latest() (pod *corev1.Pod, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pod, w.gone
}
