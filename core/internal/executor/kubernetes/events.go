package kubernetes

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// maxEvents bounds what is kept of a pod's events: the newest tell what it waits for.
const maxEvents = 64

// events follows the events of one pod. They alone tell of volumes and of pulls that are under way; a core that may not see
// them tells less.
type events struct {
	client    kubernetes.Interface
	namespace string
	// C gets a value after one event or many.
	C chan struct{}

	mu   sync.Mutex
	seen []*corev1.Event
}

func newEvents(client kubernetes.Interface, namespace string) *events {
	return &events{client: client, namespace: namespace, C: make(chan struct{}, 1)}
}

// follow follows the events of a pod until ctx ends.
func (e *events) follow(ctx context.Context, pod types.UID) {
	backoff := retryBackoff()
	for {
		w, err := e.client.CoreV1().Events(e.namespace).Watch(ctx, metav1.ListOptions{
			FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(pod)).String(),
		})
		if apierrors.IsForbidden(err) {
			return
		}
		if err == nil {
			stop := context.AfterFunc(ctx, w.Stop)
			for event := range w.ResultChan() {
				if seen, ok := event.Object.(*corev1.Event); ok {
					e.see(seen)
				}
			}
			stop()
			w.Stop()
		}
		timer := time.NewTimer(backoff.Step())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (e *events) see(event *corev1.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	// An event that happens again is the same object with a higher count: it becomes the newest.
	for i, old := range e.seen {
		if old.UID == event.UID {
			e.seen = append(e.seen[:i:i], e.seen[i+1:]...)
			break
		}
	}
	e.seen = append(e.seen, event)
	if len(e.seen) > maxEvents {
		e.seen = e.seen[1:]
	}
	select {
	case e.C <- struct{}{}:
	default:
	}
}

// all returns the events, the oldest first. The slice is not changed afterwards.
func (e *events) all() []*corev1.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen[:len(e.seen):len(e.seen)]
}
