package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/contribsys/faktory/client"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podrunner/runner/test/e2e/runner"
	"github.com/podrunner/runner/test/faktory"
)

// fleet is a Deployment whose pods stand for runners, and the runners: processes of core on this machine, each of which
// takes itself for one of the pods. What they do to the cluster for scaling, they do with the rights of the Role in
// docs/operations.md and no others.
type fleet struct {
	*space
	server *faktory.Server
	// scaler is the kubeconfig of the account with these rights.
	scaler string
}

const (
	fleetName = "runner"
	fleetApp  = "app=runner"
)

// newFleet makes a Deployment of so many pods, and a queue for the runners.
func (s *space) newFleet(replicas int32) *fleet {
	s.t.Helper()
	dir, err := os.MkdirTemp("", "e2e-")
	s.must(err)
	s.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	scaler := &space{t: s.t, name: s.name, server: s.server, token: s.account("scaler", "operations.md", "scaling-role")}
	f := &fleet{space: s, server: s.faktory(dir), scaler: scaler.kubeconfig()}
	labels, now := map[string]string{"app": "runner"}, int64(0)
	_, err = admin.AppsV1().Deployments(s.name).Create(s.t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: fleetName},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: &now,
					Containers:                    []corev1.Container{{Name: "runner", Image: busybox, Command: []string{"sleep", "3600"}, ImagePullPolicy: corev1.PullIfNotPresent}},
				},
			},
		},
	}, metav1.CreateOptions{})
	s.must(err)
	// What goes on in the pods of jobs whose runner has been killed is nobody's affair any more.
	s.t.Cleanup(func() {
		ctx := context.Background()
		options := metav1.ListOptions{LabelSelector: appLabel}
		s.must(admin.CoreV1().ConfigMaps(s.name).DeleteCollection(ctx, metav1.DeleteOptions{}, options))
		s.must(admin.CoreV1().Secrets(s.name).DeleteCollection(ctx, metav1.DeleteOptions{}, options))
		s.must(admin.CoreV1().Pods(s.name).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, options))
	})
	return f
}

// pods waits until the Deployment has so many pods, all of them ready, and returns their names.
func (f *fleet) pods(n int) (names []string) {
	f.t.Helper()
	f.until(fmt.Sprint(n, " pods are ready"), func() bool {
		names = nil
		list, err := admin.CoreV1().Pods(f.name).List(f.t.Context(), metav1.ListOptions{LabelSelector: fleetApp})
		f.must(err)
		for _, pod := range list.Items {
			ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
			})
			if pod.DeletionTimestamp != nil || !ready {
				return false
			}
			names = append(names, pod.Name)
		}
		return len(names) == n
	})
	slices.Sort(names)
	return names
}

// until waits until something is so.
func (f *fleet) until(what string, so func() bool) {
	f.t.Helper()
	runner.Eventually(f.t, what, so)
}

// runner starts core as the runner in a pod, with jobs from the queue.
func (f *fleet) runner(pod, scaling string) *service {
	f.t.Helper()
	return f.runnerOf(pod, scaling, fmt.Sprintf(`source "faktory" {
    config {
      url    = %q
      queues = ["runner"]
    }
  }`, f.server.URL()))
}

// runnerOf starts core as the runner in a pod, with jobs from a source.
func (f *fleet) runnerOf(pod, scaling, source string) *service {
	f.t.Helper()
	v := &service{space: f.space, server: f.server}
	v.run(fmt.Sprintf(`
runner {
  name          = %[1]q
  concurrency   = 1
  drain_timeout = "1s"
  plugin_dir    = %[2]q
}
telemetry {
  address = "127.0.0.1:0"
}
scaling {
  enabled            = true
  pod                = %[1]q
  namespace          = %[3]q
  deployment         = %[4]q
  interval           = "1s"
  concurrency_factor = 1
  kubeconfig         = %[5]q
%[6]s
}
kubernetes {
%[7]s
}
pipeline "default" {
  %[8]s
  processor "sanitize" {}
}
`, pod, filepath.Join(root, "bin", "plugins"), f.name, fleetName, f.scaler, scaling, small, source))
	return v
}

// push pushes n jobs that run for long.
func (f *fleet) push(n int) {
	f.t.Helper()
	for range n {
		_, err := f.server.Push("legacy", nil, map[string]any{"image": busybox, "commands": []string{"sleep 600"}})
		f.must(err)
	}
}

// lease is the Lease, nil when there is none yet.
func (f *fleet) lease() *coordinationv1.Lease {
	f.t.Helper()
	list, err := admin.CoordinationV1().Leases(f.name).List(f.t.Context(), metav1.ListOptions{})
	f.must(err)
	for _, lease := range list.Items {
		if lease.Name == fleetName {
			return &lease
		}
	}
	return nil
}

// leader waits until one of some runners leads, and returns its pod.
func (f *fleet) leader(of ...string) (pod string) {
	f.t.Helper()
	f.until(fmt.Sprintf("one of %q leads", of), func() bool {
		lease := f.lease()
		if lease == nil || lease.Spec.HolderIdentity == nil {
			return false
		}
		pod = *lease.Spec.HolderIdentity
		return slices.Contains(of, pod)
	})
	return pod
}

func (f *fleet) deployment() *appsv1.Deployment {
	f.t.Helper()
	d, err := admin.AppsV1().Deployments(f.name).Get(f.t.Context(), fleetName, metav1.GetOptions{})
	f.must(err)
	return d
}

// replicas waits until the Deployment asks for so many.
func (f *fleet) replicas(n int32) {
	f.t.Helper()
	f.until(fmt.Sprint("the Deployment asks for ", n), func() bool { return *f.deployment().Spec.Replicas == n })
}

// costs waits until the pods have these deletion costs.
func (f *fleet) costs(want map[string]string) {
	f.t.Helper()
	f.until(fmt.Sprintf("the costs are %v", want), func() bool {
		for name, cost := range want {
			pod, err := admin.CoreV1().Pods(f.name).Get(f.t.Context(), name, metav1.GetOptions{})
			f.must(err)
			if pod.Annotations[corev1.PodDeletionCost] != cost {
				return false
			}
		}
		return true
	})
}

// untouched fails the test if the Deployment, which must be at rest, changes within some intervals.
func (f *fleet) untouched(intervals int) {
	f.t.Helper()
	before := f.deployment()
	f.until("the Deployment is at rest", func() bool {
		time.Sleep(500 * time.Millisecond)
		d := f.deployment()
		rests := d.ResourceVersion == before.ResourceVersion && d.Status.ReadyReplicas == *d.Spec.Replicas
		before = d
		return rests
	})
	time.Sleep(time.Duration(intervals) * time.Second)
	if after := f.deployment(); after.ResourceVersion != before.ResourceVersion || after.Generation != before.Generation {
		f.t.Errorf("the Deployment has changed: version %s, generation %d; before it was %s, %d",
			after.ResourceVersion, after.Generation, before.ResourceVersion, before.Generation)
	}
}

// TestScaling: two runners elect one that scales their Deployment by the queue, within bounds and only on change; when it is
// killed the other one goes on; and when there is less to do, it is the pods of idle runners that go.
func TestScaling(t *testing.T) {
	t.Parallel()
	f := newSpace(t, nil).newFleet(2)
	pods := f.pods(2)
	const bounds = "  min_replicas = 2\n  max_replicas = 4"
	runners := map[string]*service{}
	for _, pod := range pods {
		runners[pod] = f.runner(pod, bounds)
	}
	first := f.leader(pods...)
	f.costs(map[string]string{pods[0]: "0", pods[1]: "0"})
	f.until("the leader scales", func() bool {
		return strings.Contains(runners[first].get("/metrics"), "opslevel_runner_scaling_replicas 2")
	})
	f.untouched(5)

	f.push(1)
	var busy, idle string
	f.until("one runner has the job", func() bool {
		for i, pod := range pods {
			if strings.Contains(runners[pod].Log.String(), "job started") {
				busy, idle = pod, pods[1-i]
			}
		}
		return busy != ""
	})
	f.costs(map[string]string{busy: "1", idle: "0"})

	f.push(2)
	f.replicas(3) // two run, one waits
	f.push(7)
	f.replicas(4) // ten, but no more than four
	f.pods(4)
	f.costs(map[string]string{busy: "1", idle: "1"})
	f.untouched(3)
	if metrics := runners[first].get("/metrics"); !strings.Contains(metrics, "opslevel_runner_scaling_leader 1") ||
		!strings.Contains(metrics, "opslevel_runner_scaling_recommended_replicas 10") || !strings.Contains(metrics, "opslevel_runner_scaling_writes_total 2") {
		t.Errorf("the leader's metrics are\n%s", scalingOf(metrics))
	}

	second := pods[0]
	if second == first {
		second = pods[1]
	}
	if metrics := runners[second].get("/metrics"); !strings.Contains(metrics, "opslevel_runner_scaling_leader 0") || strings.Contains(metrics, "opslevel_runner_scaling_replicas ") {
		t.Errorf("the metrics of one that does not lead are\n%s", scalingOf(metrics))
	}
	killed := time.Now()
	f.must(runners[first].Cmd.Process.Kill())
	f.leader(second)
	took := time.Since(killed)
	t.Logf("another runner leads %s after the leader was killed", took.Round(time.Millisecond))
	if took > 20*time.Second {
		t.Errorf("it took %s", took)
	}

	f.must(f.server.Do(func(c *client.Client) error { return c.Flush() }))
	f.replicas(2) // nothing is left, but no fewer than two
	if left := f.pods(2); !slices.Equal(left, pods) {
		t.Errorf("the pods %q are left, want those of runners with jobs: %q", left, pods)
	}
	for pod, r := range runners {
		if text := r.Log.String(); strings.Contains(text, "could not") {
			t.Errorf("the runner of %s had trouble:\n%s", pod, text)
		}
	}
}

// scalingOf is the part of metrics that is about scaling.
func scalingOf(metrics string) string {
	return strings.Join(regexp.MustCompile(`(?m)^opslevel_runner_scaling_.*$`).FindAllString(metrics, -1), "\n")
}

// TestLeaseIsTakenAway: a runner that has lost its lease stops scaling, and seeks the lease until it has it again.
func TestLeaseIsTakenAway(t *testing.T) {
	t.Parallel()
	f := newSpace(t, nil).newFleet(1)
	pod := f.pods(1)[0]
	v := f.runner(pod, "")
	f.leader(pod)
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{
		"holderIdentity": "somebody", "leaseDurationSeconds": 5, "renewTime": time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"),
	}})
	f.must(err)
	_, err = admin.CoordinationV1().Leases(f.name).Patch(t.Context(), fleetName, types.MergePatchType, patch, metav1.PatchOptions{})
	f.must(err)
	f.until("it knows", func() bool { return strings.Contains(v.Log.String(), "this runner has lost the lease") })
	if metrics := scalingOf(v.get("/metrics")); !strings.Contains(metrics, "opslevel_runner_scaling_leader 0") {
		t.Errorf("the metrics are\n%s", metrics)
	}
	f.leader(pod)
	f.push(3)
	f.replicas(3)
}

// TestLeaderStops: a leader that is told to stop gives the lease back at once, and its Deployment up; so one that is scaled
// to nothing by hand stays so.
func TestLeaderStops(t *testing.T) {
	t.Parallel()
	f := newSpace(t, nil).newFleet(2)
	pods := f.pods(2)
	runners := map[string]*service{pods[0]: f.runner(pods[0], ""), pods[1]: f.runner(pods[1], "")}
	first := f.leader(pods...)
	second := pods[0]
	if second == first {
		second = pods[1]
	}
	f.until("the other one is ready", func() bool { return strings.Contains(runners[second].Log.String(), "leader="+first) })
	begun := time.Now()
	runners[first].stop(0)
	f.leader(second)
	if took := time.Since(begun); took > 12*time.Second { // a lease that is not given back lasts 15 s
		t.Errorf("it took %s", took)
	}
	f.replicas(1) // there is nothing to do
	zero := int32(0)
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"replicas": zero}})
	f.must(err)
	_, err = admin.AppsV1().Deployments(f.name).Patch(t.Context(), fleetName, types.MergePatchType, patch, metav1.PatchOptions{})
	f.must(err)
	f.push(5)
	f.untouched(4)
	if n := *f.deployment().Spec.Replicas; n != zero {
		t.Errorf("a Deployment that was scaled to nothing has %d replicas", n)
	}
}
