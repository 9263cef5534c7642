package kubernetes

import (
	"context"
	"fmt"
	"math"

	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
)

// budget is the one PodDisruptionBudget for all job pods of a namespace. It stays when no job runs: it costs nothing then,
// and the next job needs it.
type budget struct {
	client    kubernetes.Interface
	namespace string

	// turn holds a value while somebody makes the budget: others wait for their turn as long as their contexts last.
	turn chan struct{}
	made bool
}

func newBudget(client kubernetes.Interface, namespace string) *budget {
	return &budget{client: client, namespace: namespace, turn: make(chan struct{}, 1)}
}

// ensure makes the budget, once. Its minimum is an integer that is never reached, for that is what the API documents for
// pods with no controller; so no eviction is allowed while a job runs.
func (b *budget) ensure(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for the PodDisruptionBudget of the jobs: %w", context.Cause(ctx))
	}
	defer func() { <-b.turn }()
	if b.made {
		return nil
	}
	never := intstr.FromInt32(math.MaxInt32)
	err := retry(ctx, func(ctx context.Context) error {
		_, err := b.client.PolicyV1().PodDisruptionBudgets(b.namespace).Create(ctx, &policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Name: appName + "s", Labels: map[string]string{labelName: appName}},
			Spec: policyv1.PodDisruptionBudgetSpec{
				MinAvailable: &never,
				Selector:     &metav1.LabelSelector{MatchLabels: map[string]string{labelName: appName}},
			},
		}, metav1.CreateOptions{})
		return err
	})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create the PodDisruptionBudget of the jobs: %w", err)
	}
	b.made = true
	return nil
}
