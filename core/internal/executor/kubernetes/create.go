package kubernetes

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/config"
)

// callTimeout bounds one call to the API server with all that the client does about it, waiting for its turn included. How
// long the server may take to answer, request_timeout says.
const callTimeout = config.MaxRequestTimeout

// retryBackoff is how often a call is tried again that has failed for a reason that passes. The client itself heeds
// Retry-After besides.
func retryBackoff() wait.Backoff {
	return wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.3, Cap: 5 * time.Second, Steps: 1 << 20}
}

// create makes the job's objects, or finds those that are there: a job that is handed out twice has one pod. It tries
// again what fails for a reason that passes, until ctx ends.
func (r *run) create(ctx context.Context) (*corev1.Pod, error) {
	if r.e.opts.Settings.DisruptionBudget {
		if err := r.e.budget.ensure(ctx); err != nil {
			return nil, err
		}
	}
	var err error
	if r.objects.keys, err = agent.NewKeys(); err != nil {
		return nil, fmt.Errorf("make the key pair of the job: %w", err)
	}
	payload, err := r.objects.payload()
	if err != nil {
		return nil, &invalidJob{err}
	}
	owner, err := r.createOwner(ctx, r.objects.configMap(payload))
	if err != nil {
		return nil, err
	}
	if err := r.createSecret(ctx, payload, owner); err != nil {
		return nil, err
	}
	pod, err := r.objects.pod(payload, owner)
	if err != nil {
		return nil, err
	}
	made, err := r.createPod(ctx, pod)
	if err != nil || made.Annotations[annotationInstance] == r.e.instance && !r.e.orphans.isDropped(made.Name) {
		return made, err
	}
	return r.claim(ctx)
}

// claim takes over a pod that is there, whoever has it: the source has handed out its job again, and to this runner.
func (r *run) claim(ctx context.Context) (*corev1.Pod, error) {
	var pod *corev1.Pod
	err := retry(ctx, func(ctx context.Context) error {
		there, err := r.e.client.CoreV1().Pods(r.e.namespace).Get(ctx, r.objects.name, metav1.GetOptions{})
		if err == nil {
			pod, err = r.e.claim(ctx, there, r.objects.ofAttempt())
		}
		if apierrors.IsConflict(err) {
			err = &passing{err}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take over the job's pod, which exists already: %w", err)
	}
	r.e.orphans.has(pod.Name)
	r.found(pod)
	return pod, nil
}

// createOwner makes the ConfigMap. One that is being deleted is waited for: it belongs to an earlier run of the job, and
// so does a pod that bears its name.
func (r *run) createOwner(ctx context.Context, c *corev1.ConfigMap) (types.UID, error) {
	api := r.e.client.CoreV1().ConfigMaps(r.e.namespace)
	var uid types.UID
	err := retry(ctx, func(ctx context.Context) error {
		made, err := api.Create(ctx, c, metav1.CreateOptions{})
		if err == nil {
			uid = made.UID
			return nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create the job's ConfigMap: %w", err)
		}
		there, err := api.Get(ctx, c.Name, metav1.GetOptions{})
		if err != nil {
			return lookAt("ConfigMap", err)
		}
		if there.DeletionTimestamp != nil {
			return &passing{fmt.Errorf("the job's ConfigMap of an earlier run is still being deleted")}
		}
		uid = there.UID
		return nil
	})
	return uid, err
}

// createSecret makes the Secret; from one that is there it takes the keys.
func (r *run) createSecret(ctx context.Context, p payload, owner types.UID) error {
	api := r.e.client.CoreV1().Secrets(r.e.namespace)
	return retry(ctx, func(ctx context.Context) error {
		_, err := api.Create(ctx, r.objects.secret(p, owner), metav1.CreateOptions{})
		if err == nil {
			return nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create the job's Secret: %w", err)
		}
		there, err := api.Get(ctx, r.objects.name, metav1.GetOptions{})
		if err != nil {
			return lookAt("Secret", err)
		}
		if there.DeletionTimestamp != nil || !ownedBy(there.OwnerReferences, owner) {
			return &passing{fmt.Errorf("the job's Secret of an earlier run is still being deleted")}
		}
		r.objects.keys = agent.Keys{Certificate: there.Data[keyCertificate], Private: there.Data[keyPrivate]}
		return nil
	})
}

// createPod makes the pod, or returns the one that is there.
func (r *run) createPod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	api := r.e.client.CoreV1().Pods(r.e.namespace)
	var made *corev1.Pod
	err := retry(ctx, func(ctx context.Context) error {
		var err error
		if made, err = api.Create(ctx, pod, metav1.CreateOptions{}); err == nil {
			return nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create the job's pod: %w", err)
		}
		if made, err = api.Get(ctx, pod.Name, metav1.GetOptions{}); err != nil {
			return lookAt("pod", err)
		}
		if made.DeletionTimestamp != nil || !ownedBy(made.OwnerReferences, pod.OwnerReferences[0].UID) {
			return &passing{fmt.Errorf("the job's pod of an earlier run is still being deleted")}
		}
		return nil
	})
	return made, err
}

// lookAt is the error of a look at an object that exists already. One that has gone in the meantime can be made now.
func lookAt(what string, err error) error {
	if apierrors.IsNotFound(err) && !noNamespace.MatchString(err.Error()) {
		return &passing{fmt.Errorf("the job's %s of an earlier run has just been deleted", what)}
	}
	return fmt.Errorf("look at the job's %s, which exists already: %w", what, err)
}

func ownedBy(references []metav1.OwnerReference, owner types.UID) bool {
	for _, r := range references {
		if r.UID == owner {
			return true
		}
	}
	return false
}

// retry calls until there is no error, or one that does not pass, or ctx ends. Each call has callTimeout.
func retry(ctx context.Context, call func(context.Context) error) error {
	backoff := retryBackoff()
	for {
		one, cancel := context.WithTimeout(ctx, callTimeout)
		err := call(one)
		cancel()
		if err == nil || !passes(err) {
			return err
		}
		timer := time.NewTimer(backoff.Step())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w; the last attempt: %w", context.Cause(ctx), err)
		}
	}
}
