package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	toolswatch "k8s.io/client-go/tools/watch"

	"github.com/podrunner/runner/test/cluster/internal/debian"
	"github.com/podrunner/runner/test/cluster/internal/kubeconfig"
)

// packages are what the cluster takes from Debian. Its etcd is not among them: it is too old to tell how far a watch has
// come, so that each watch that starts from now would be closed after three seconds. Nor is iptables: no service is
// forwarded, and no pod's address is hidden.
var packages = []debian.Package{
	{Name: "containerd", File: "/usr/bin/containerd"},
	{Name: "runc", File: "/usr/sbin/runc"},
	{Name: "containernetworking-plugins", File: "/usr/lib/cni/bridge"},
	{Name: "busybox-static", File: "/bin/busybox"},
}

// Up makes the cluster run, from nothing or from whatever is left of it, and returns when pods can be made. On one that
// runs it changes nothing.
func (c *Cluster) Up(ctx context.Context) error {
	begin := time.Now()
	if os.Getuid() != 0 {
		return errors.New("a cluster needs root: its containers, its network and its mounts are the machine's")
	}
	if err := debian.Install(ctx, c.Out, packages); err != nil {
		return err
	}
	steps := []func() error{
		c.folders, c.saveSysctls, addAddress, c.credentials, c.configure,
		func() error { return c.startAll(ctx) },
		func() error { return c.nodeReady(ctx) },
		c.merge,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	c.say("the cluster is up after %s; context %s in %s", time.Since(begin).Round(100*time.Millisecond), Name, kubeconfig.Default())
	return nil
}

// startAll starts what does not run, side by side where nothing waits for the other.
func (c *Cluster) startAll(ctx context.Context) error {
	group, together := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := c.Start(together, []string{"containerd"}); err != nil {
			return err
		}
		return c.baseImages(together)
	})
	group.Go(func() error {
		if err := c.Start(together, []string{"etcd", "kube-apiserver"}); err != nil {
			return err
		}
		// Not before: they would wait for a minute before they try again.
		group.Go(func() error { return c.Start(together, []string{"kube-controller-manager"}) })
		group.Go(func() error { return c.Start(together, []string{"kube-scheduler"}) })
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return c.Start(ctx, []string{"kubelet"})
}

// nodeReady waits until pods can be made: the node is ready and no taint is on it, and the account that they run as is
// there.
func (c *Cluster) nodeReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	named := func(name string) metav1.ListOptions {
		return metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}
	}
	nodes, err := client.CoreV1().Nodes().Watch(ctx, named(nodeName))
	if err == nil {
		_, err = toolswatch.UntilWithoutRetry(ctx, nodes, func(e watch.Event) (bool, error) {
			n, ok := e.Object.(*corev1.Node)
			return ok && ready(n), nil
		})
	}
	if err != nil {
		return fmt.Errorf("wait for the node to be ready: %w; the log of its kubelet is %s", err, c.log("kubelet"))
	}
	accounts, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Watch(ctx, named("default"))
	if err == nil {
		_, err = toolswatch.UntilWithoutRetry(ctx, accounts, func(e watch.Event) (bool, error) { return e.Type == watch.Added, nil })
	}
	if err != nil {
		return fmt.Errorf("wait for the default service account: %w; the log of what makes it is %s", err, c.log("kube-controller-manager"))
	}
	return nil
}

func ready(n *corev1.Node) bool {
	for _, condition := range n.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue && len(n.Spec.Taints) == 0
		}
	}
	return false
}

// merge makes the cluster the one that kubectl and core talk to.
func (c *Cluster) merge() error {
	entry, err := c.entry("admin")
	if err != nil {
		return err
	}
	return kubeconfig.Merge(kubeconfig.Default(), entry)
}
