package scale

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// load is how many jobs the runner has.
type load struct {
	changed chan struct{}

	mu   sync.Mutex
	jobs int
}

// Load says how many jobs the runner has. It returns at once.
func (s *Scaler) Load(jobs int) {
	s.load.mu.Lock()
	s.load.jobs = jobs
	s.load.mu.Unlock()
	select {
	case s.load.changed <- struct{}{}:
	default:
	}
}

func (l *load) now() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.jobs
}

// showLoad keeps the pod's deletion cost at the number of the runner's jobs, until ctx ends: of the pods that are equal in
// all else, the cluster ends the one of the lowest cost first.
//
// The cost says what would be cut off, and so it is the number of jobs also when the runner drains. A draining runner
// takes no more jobs, which speaks for ending it first; but it ends by itself, and until then its jobs are worth as much
// as those of any other.
//
// It is written at the start in any case, since the process may not be the first one in its pod. After that, changes are
// gathered for a while when one has just been written: the API server has to store each, and to tell everybody who follows
// pods.
func (s *Scaler) showLoad(ctx context.Context) {
	const doing = "note the number of jobs on the runner's pod"
	shown := -1
	for {
		if jobs := s.load.now(); jobs != shown {
			pause := s.times.calm
			switch err := s.annotate(ctx, jobs); {
			case ctx.Err() != nil:
				return
			case err != nil:
				s.failed("deletion_cost", doing, explain(err, "pod or namespace"))
				pause = s.times.again
			default:
				shown = jobs
				s.worked(doing)
			}
			if !waitFor(ctx, pause) {
				return
			}
			continue
		}
		select {
		case <-s.load.changed:
		case <-ctx.Done():
			return
		}
	}
}

// annotate writes the cost.
func (s *Scaler) annotate(ctx context.Context, jobs int) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{corev1.PodDeletionCost: strconv.Itoa(jobs)},
	}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.times.call)
	defer cancel()
	_, err = s.Client.CoreV1().Pods(s.Settings.Namespace).Patch(ctx, s.Settings.Pod, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// waitFor waits, and reports false when ctx has ended before.
func waitFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
