package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/job"
)

// cluster is an API server in memory. It gives each object a UID, as a real one does.
func cluster(t *testing.T, objects ...runtime.Object) *fake.Clientset {
	t.Helper()
	client := fake.NewClientset(objects...)
	var last atomic.Int64
	client.PrependReactor("create", "*", func(a k8stesting.Action) (bool, runtime.Object, error) {
		object := a.(k8stesting.CreateAction).GetObject().(metav1.Object) //nolint:forcetypeassert // all objects are
		object.SetUID(types.UID(fmt.Sprintf("uid-%d", last.Add(1))))
		return false, nil, nil
	})
	return client
}

// executorOf is one that uses such a client, and reaches pods by d.
func executorOf(t *testing.T, client *fake.Clientset, d dialer) *Executor {
	t.Helper()
	e := &Executor{
		opts:   Options{Settings: defaults(), Runner: "runner-1", Pipeline: "default", Source: "source", Logger: hclog.NewNullLogger()},
		client: client, namespace: "jobs", dialer: d, budget: newBudget(client, "jobs"), instance: "instance-1",
	}
	e.pods = newPods(client, "jobs", &metav1.LabelSelector{MatchLabels: map[string]string{labelName: appName}}, e.opts.Logger)
	e.life, e.end = context.WithCancel(context.Background())
	before := watches(client)
	e.running.Go(func() { e.pods.run(e.life) })
	t.Cleanup(func() {
		e.end()
		e.running.Wait()
	})
	awaitWatch(t, client, e, before)
	return e
}

// watches is the number of watches of pods that there have been.
func watches(client *fake.Clientset) int {
	n := 0
	for _, a := range client.Actions() {
		if a.Matches("watch", "pods") {
			n++
		}
	}
	return n
}

// awaitWatch waits until an executor follows the pods, when so many watches were there before. What happens between the list
// and the watch is told by a cluster, but not by the fake.
func awaitWatch(t *testing.T, client *fake.Clientset, e *Executor, before int) {
	t.Helper()
	await(t, "the pods are watched", func() bool { return e.pods.informer.HasSynced() && watches(client) > before })
}

// runOf is a run of plainJob that nobody supervises.
func runOf(t *testing.T, e *Executor) *run {
	t.Helper()
	r := newRun(e, plainJob())
	t.Cleanup(r.end)
	var err error
	if r.objects.keys, err = agent.NewKeys(); err != nil {
		t.Fatal(err)
	}
	return r
}

// writes are the calls that change something, in order.
func writes(client *fake.Clientset) []string {
	var out []string
	for _, a := range client.Actions() {
		switch a.GetVerb() {
		case "get", "list", "watch":
		default:
			out = append(out, a.GetVerb()+" "+a.GetResource().Resource)
		}
	}
	return out
}

func TestCreate(t *testing.T) {
	client := cluster(t)
	r := runOf(t, executorOf(t, client, nil))
	pod, err := r.create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"create configmaps", "create secrets", "create pods"}, writes(client)); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	c, err := client.CoreV1().ConfigMaps("jobs").Get(t.Context(), r.objects.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := client.CoreV1().Secrets("jobs").Get(t.Context(), r.objects.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.OwnerReferences) != 0 || !ownedBy(s.OwnerReferences, c.UID) || !ownedBy(pod.OwnerReferences, c.UID) {
		t.Errorf("owners: ConfigMap %v, Secret %v, pod %v", c.OwnerReferences, s.OwnerReferences, pod.OwnerReferences)
	}
}

func TestBudgetIsMadeOnce(t *testing.T) {
	client := cluster(t)
	e := executorOf(t, client, nil)
	e.opts.Settings.DisruptionBudget = true
	for range 2 {
		if _, err := runOf(t, e).create(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	made := 0
	for _, call := range writes(client) {
		if call == "create poddisruptionbudgets" {
			made++
		}
	}
	if made != 1 {
		t.Errorf("the budget was made %d times", made)
	}
	// Another runner finds it.
	if err := newBudget(client, "jobs").ensure(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestNoRunWaitsForTheBudgetOfAnother has a run that may take long, and one that is to end.
func TestNoRunWaitsForTheBudgetOfAnother(t *testing.T) {
	client := cluster(t)
	entered := make(chan struct{})
	var once sync.Once
	client.PrependReactor("create", "poddisruptionbudgets", func(k8stesting.Action) (bool, runtime.Object, error) {
		once.Do(func() { close(entered) })
		return true, nil, apierrors.NewServiceUnavailable("starting")
	})
	b := newBudget(client, "jobs")
	long, end := context.WithCancel(t.Context())
	var first sync.WaitGroup
	first.Go(func() { _ = b.ensure(long) })
	<-entered
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := b.ensure(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	end()
	first.Wait()
}

// TestAdoption has a job that is handed out twice: the second run has the pod and the keys of the first.
func TestAdoption(t *testing.T) {
	client := cluster(t)
	e := executorOf(t, client, nil)
	first, second := runOf(t, e), runOf(t, e)
	made, err := first.create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found, err := second.create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if made.UID != found.UID {
		t.Errorf("made %q, found %q", made.UID, found.UID)
	}
	if diff := cmp.Diff(first.objects.keys, second.objects.keys); diff != "" {
		t.Errorf("the keys differ:\n%s", diff)
	}
}

// TestAnEarlierRunIsWaitedFor has objects of an earlier run that go at some time, each of them at its own.
func TestAnEarlierRunIsWaitedFor(t *testing.T) {
	now := metav1.Now()
	name := objectName("source", "1")
	meta := func(owner types.UID, deleted bool) metav1.ObjectMeta {
		m := metav1.ObjectMeta{Name: name, Namespace: "jobs", UID: "old", Finalizers: []string{"test/stays"}}
		if deleted {
			m.DeletionTimestamp = &now
		}
		if owner != "" {
			m.OwnerReferences = []metav1.OwnerReference{{UID: owner}}
		}
		return m
	}
	for _, c := range []struct {
		name     string
		old      runtime.Object
		resource string
	}{
		{"a ConfigMap that is deleted", &corev1.ConfigMap{ObjectMeta: meta("", true)}, "configmaps"},
		{"a Secret that is deleted", &corev1.Secret{ObjectMeta: meta("", true)}, "secrets"},
		{"a Secret of an earlier owner", &corev1.Secret{ObjectMeta: meta("old-owner", false)}, "secrets"},
		{"a pod that is deleted", &corev1.Pod{ObjectMeta: meta("", true)}, "pods"},
		{"a pod of an earlier owner", &corev1.Pod{ObjectMeta: meta("old-owner", false)}, "pods"},
	} {
		for _, between := range []bool{false, true} {
			title := c.name
			if between {
				title += ", and goes between two calls"
			}
			t.Run(title, func(t *testing.T) {
				client := cluster(t, c.old)
				resource := schema.GroupVersionResource{Version: "v1", Resource: c.resource}
				var looks atomic.Int32
				client.PrependReactor("get", c.resource, func(k8stesting.Action) (bool, runtime.Object, error) {
					if looks.Add(1) < 2 && !between {
						return false, nil, nil
					}
					_ = client.Tracker().Delete(resource, "jobs", name)
					return false, nil, nil // not found
				})
				r := runOf(t, executorOf(t, client, nil))
				pod, err := r.create(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if pod.UID == "old" {
					t.Error("the pod of the earlier run was taken")
				}
			})
		}
	}
}

// TestNoWaitWithoutBound has a ConfigMap that never goes.
func TestNoWaitWithoutBound(t *testing.T) {
	now := metav1.Now()
	client := cluster(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: objectName("source", "1"), Namespace: "jobs", DeletionTimestamp: &now, Finalizers: []string{"test/stays"},
	}})
	r := runOf(t, executorOf(t, client, nil))
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("start_timeout is over"))
	defer cancel()
	_, err := r.create(ctx)
	if err == nil || !strings.Contains(err.Error(), "start_timeout is over") || !strings.Contains(err.Error(), "still being deleted") {
		t.Errorf("error %v: want why, and what was waited for", err)
	}
}

func TestRetry(t *testing.T) {
	t.Run("what passes", func(t *testing.T) {
		client := cluster(t)
		var calls atomic.Int32
		client.PrependReactor("create", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
			if calls.Add(1) < 3 {
				return true, nil, apierrors.NewInternalError(errors.New("etcdserver: leader changed"))
			}
			return false, nil, nil
		})
		if _, err := runOf(t, executorOf(t, client, nil)).create(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("what does not", func(t *testing.T) {
		client := cluster(t)
		var calls atomic.Int32
		client.PrependReactor("create", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
			calls.Add(1)
			return true, nil, apierrors.NewForbidden(podResource, "x", errors.New("exceeded quota: jobs"))
		})
		_, err := runOf(t, executorOf(t, client, nil)).create(t.Context())
		if calls.Load() != 1 || refusal(err, "jobs").Reason != job.ReasonQuota {
			t.Errorf("%d calls, error %v", calls.Load(), err)
		}
	})
}

func TestDelete(t *testing.T) {
	t.Run("all of it", func(t *testing.T) {
		client := cluster(t)
		r := runOf(t, executorOf(t, client, nil))
		pod, err := r.create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.pod.is(pod)
		if err := r.delete(t.Context()); err != nil {
			t.Fatal(err)
		}
		pods, _ := client.CoreV1().Pods("jobs").List(t.Context(), metav1.ListOptions{})
		configMaps, _ := client.CoreV1().ConfigMaps("jobs").List(t.Context(), metav1.ListOptions{})
		secrets, _ := client.CoreV1().Secrets("jobs").List(t.Context(), metav1.ListOptions{})
		if n := len(pods.Items) + len(configMaps.Items) + len(secrets.Items); n != 0 {
			t.Errorf("%d objects are left", n)
		}
	})
	t.Run("nothing there", func(t *testing.T) {
		if err := runOf(t, executorOf(t, cluster(t), nil)).delete(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a pod that does not go", func(t *testing.T) {
		client := cluster(t)
		client.PrependReactor("delete", "pods", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, nil })
		r := runOf(t, executorOf(t, client, nil))
		pod, err := r.create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.pod.is(pod)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := r.delete(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a pod that may not be deleted", func(t *testing.T) {
		client := cluster(t)
		client.PrependReactor("delete", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(podResource, "x", errors.New("no"))
		})
		r := runOf(t, executorOf(t, client, nil))
		pod, err := r.create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.pod.is(pod)
		if err := r.delete(t.Context()); !apierrors.IsForbidden(err) {
			t.Errorf("error %v", err)
		}
	})
}
