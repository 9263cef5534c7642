package scale

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// maxConflicts is how often a change is tried again because the Deployment has changed in between, as it does with each
// of its pods.
const maxConflicts = 5

// scaleUntil looks at the Deployment in each interval, the first time after one, until ctx ends.
func (s *Scaler) scaleUntil(ctx context.Context) {
	ticker := time.NewTicker(s.Settings.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		s.scaleOnce(ctx)
	}
}

// scaleOnce brings the Deployment to the number of replicas that it should have. It writes only if it has another one. A
// Deployment that somebody has scaled to nothing stays so, as with Kubernetes' own autoscaler.
func (s *Scaler) scaleOnce(ctx context.Context) {
	const doing = "scale the Deployment"
	now, err := s.read(ctx)
	if err == nil {
		current := int(now.Spec.Replicas)
		s.Metrics.Replicas(current)
		if current == 0 {
			s.Logger.Debug("the Deployment is scaled to nothing, and stays so")
			return
		}
		wished := s.ask(ctx, current)
		if ctx.Err() != nil {
			return
		}
		s.Metrics.RecommendedReplicas(wished)
		err = s.set(ctx, now, s.within(wished), wished)
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.failed("scale", doing, explain(err, "namespace or deployment"))
	default:
		s.worked(doing)
	}
}

// ask asks all sources at once, and returns the greatest of what they wish for.
//
// It is the greatest and not the sum, because each runner takes jobs of all pipelines, and because a source is told how
// many runners there are, and may answer with "as many as now": added up, two such answers would double the runners each
// time. What the greatest leaves undone makes its source ask for more the next time.
//
// A source that does not answer counts as one that wishes for what there is: so the others can still have more
// runners, but what one of them could do without is not taken from one of which nothing is known.
func (s *Scaler) ask(ctx context.Context, current int) int {
	wishes := make([]int, len(s.Sources))
	var asking sync.WaitGroup
	for i, source := range s.Sources {
		asking.Go(func() { wishes[i] = s.askOne(ctx, source, current) })
	}
	asking.Wait()
	return slices.Max(wishes)
}

func (s *Scaler) askOne(ctx context.Context, source Source, current int) int {
	doing := fmt.Sprintf("ask the source %s of the pipeline %s for the number of runners", source.Name, source.Pipeline)
	asking, cancel := context.WithTimeout(ctx, s.times.ask)
	defer cancel()
	n, err := source.Recommender.Recommend(asking, current, max(source.Concurrency, 1)*max(s.Settings.ConcurrencyFactor, 1))
	switch {
	case err == nil:
		s.worked(doing)
		s.Logger.Debug("the source has said how many runners there should be",
			"pipeline", source.Pipeline, "source", source.Name, "recommended", n, "replicas", current)
		return n
	case ctx.Err() == nil:
		s.failed("recommend", doing, err)
	}
	return current
}

// within puts a number between the bounds. When they contradict each other the lower one wins.
func (s *Scaler) within(n int) int {
	return max(min(n, s.Settings.MaxReplicas), s.Settings.MinReplicas)
}

// set changes the Deployment's number of replicas from what was read, unless it is the same. Should somebody else change
// it in the meantime, theirs stays until the next interval.
func (s *Scaler) set(ctx context.Context, read *autoscalingv1.Scale, wanted, wished int) error {
	before := read.Spec.Replicas
	if int(before) == wanted {
		return nil
	}
	for range maxConflicts {
		err := s.write(ctx, read.ResourceVersion, wanted)
		if err == nil {
			s.Metrics.Scaled()
			s.Metrics.Replicas(wanted)
			s.Logger.Info("scaled the Deployment", "before", before, "replicas", wanted, "recommended", wished)
			return nil
		}
		if !apierrors.IsConflict(err) {
			return err
		}
		if read, err = s.read(ctx); err != nil {
			return err
		}
		if read.Spec.Replicas != before {
			s.Logger.Info("somebody else has scaled the Deployment; it is left at that for now", "before", before, "replicas", read.Spec.Replicas, "recommended", wished)
			return nil
		}
	}
	return fmt.Errorf("the Deployment has changed %d times while it was to be scaled", maxConflicts)
}

func (s *Scaler) read(ctx context.Context) (*autoscalingv1.Scale, error) {
	ctx, cancel := context.WithTimeout(ctx, s.times.call)
	defer cancel()
	return s.Client.AppsV1().Deployments(s.Settings.Namespace).GetScale(ctx, s.Settings.Deployment, metav1.GetOptions{})
}

// write patches the subresource alone: what else the Deployment says is not core's affair, nor is the right to change it.
func (s *Scaler) write(ctx context.Context, version string, replicas int) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": version},
		"spec":     map[string]any{"replicas": replicas},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.times.call)
	defer cancel()
	_, err = s.Client.AppsV1().Deployments(s.Settings.Namespace).
		Patch(ctx, s.Settings.Deployment, types.MergePatchType, patch, metav1.PatchOptions{}, "scale")
	return err
}
