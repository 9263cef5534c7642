package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// podLimit bounds the life of a bare pod, and the wait for the namespace to be ready.
	podLimit = time.Minute
	// removeLimit bounds the call that deletes the namespace.
	removeLimit = 15 * time.Second
	barePod     = "bare"
)

// cluster is a namespace of its own in the cluster of the kubeconfig.
type cluster struct {
	client    kubernetes.Interface
	namespace string
	version   string
	nodes     int
}

func newCluster(ctx context.Context, o options) (*cluster, error) {
	rest, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{CurrentContext: o.kubeContext}).ClientConfig()
	if err != nil {
		return nil, err
	}
	rest.Timeout = podLimit + 5*time.Second
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return nil, err
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		return nil, err
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	namespace, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-"}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("make a namespace: %w", err)
	}
	c := &cluster{client: client, namespace: namespace.Name, version: version.GitVersion, nodes: len(nodes.Items)}
	// No pod can be made before its account is there.
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, podLimit, true, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ServiceAccounts(c.namespace).Get(ctx, "default", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wait for the account of namespace %s: %w", c.namespace, err), c.remove())
	}
	return c, nil
}

// remove deletes the namespace with all that is in it. The cluster does so in its own time.
func (c *cluster) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), removeLimit) // also of a run that was interrupted
	defer cancel()
	if err := c.client.CoreV1().Namespaces().Delete(ctx, c.namespace, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("delete the namespace %s: %w", c.namespace, err)
	}
	return nil
}

// runBare runs the trivial job's command in a pod without core, and returns the time from its creation to the news that it
// has succeeded. Then the pod is deleted, and has gone.
func (c *cluster) runBare(ctx context.Context, image string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, podLimit)
	defer cancel()
	api := c.client.CoreV1().Pods(c.namespace)
	news, err := api.Watch(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", barePod).String()})
	if err != nil {
		return 0, fmt.Errorf("watch the bare pod: %w", err)
	}
	defer news.Stop()
	begun := time.Now()
	if _, err := api.Create(ctx, bare(image), metav1.CreateOptions{}); err != nil {
		return 0, fmt.Errorf("make the bare pod: %w", err)
	}
	if err := await(ctx, news, func(e watch.Event, pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodSucceeded }); err != nil {
		return 0, err
	}
	took := time.Since(begun)
	now := int64(0)
	if err := api.Delete(ctx, barePod, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		return 0, fmt.Errorf("delete the bare pod: %w", err)
	}
	return took, await(ctx, news, func(e watch.Event, pod *corev1.Pod) bool { return e.Type == watch.Deleted })
}

// await waits for a piece of news.
func await(ctx context.Context, news watch.Interface, is func(watch.Event, *corev1.Pod) bool) error {
	for {
		select {
		case e, ok := <-news.ResultChan():
			pod, isPod := e.Object.(*corev1.Pod)
			switch {
			case !ok:
				return errors.New("the watch of the bare pod has ended")
			case !isPod:
				return fmt.Errorf("the watch of the bare pod: %w", apierrors.FromObject(e.Object))
			case is(e, pod):
				return nil
			case pod.Status.Phase == corev1.PodFailed:
				return fmt.Errorf("the bare pod has failed: %+v", pod.Status)
			}
		case <-ctx.Done():
			return fmt.Errorf("wait for the bare pod: %w", context.Cause(ctx))
		}
	}
}

func bare(image string) *corev1.Pod {
	automount := false
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: barePod},
		Spec: corev1.PodSpec{
			RestartPolicy:                corev1.RestartPolicyNever,
			AutomountServiceAccountToken: &automount,
			Containers: []corev1.Container{{
				Name: "job", Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"/bin/sh", "-c", trivialCommand},
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{
						corev1.ResourceCPU: resource.MustParse(requestCPU), corev1.ResourceMemory: resource.MustParse(requestMemory),
					},
					Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limitMemory)},
				},
			}},
		},
	}
}
