package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	k8stesting "k8s.io/client-go/testing"

	"github.com/podrunner/runner/core/internal/job"
)

// orphansTest is a runner that looks for orphans when the test says so.
type orphansTest struct {
	*orphans
	t      *testing.T
	client *fake.Clientset
}

func newOrphansTest(t *testing.T, objects ...runtime.Object) orphansTest {
	t.Helper()
	client := cluster(t, objects...)
	e := otherOf(t, client, nil, nil)
	e.orphans = newOrphans(e)
	return orphansTest{e.orphans, t, client}
}

// orphanSeen makes a pod, and another executor that has seen that it is an orphan.
func orphanSeen(t *testing.T, edit func(*Executor)) (*fake.Clientset, *Executor) {
	t.Helper()
	client := cluster(t)
	if _, err := runOf(t, executorOf(t, client, nil)).create(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := otherOf(t, client, nowhere{}, edit)
	seeOrphan(t, e)
	return client, e
}

// seeOrphan has an executor look for orphans once it knows of the one pod that there is.
func seeOrphan(t *testing.T, e *Executor) {
	t.Helper()
	e.orphans = newOrphans(e)
	await(t, "the pod is seen", func() bool { return len(e.pods.all()) == 1 })
	e.orphans.find(t.Context())
}

// waitingPods are the names of the orphans after a look.
func (o orphansTest) waitingPods() []string {
	o.t.Helper()
	o.find(o.t.Context())
	var names []string
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, pod := range o.waiting {
		names = append(names, pod.Name)
	}
	slices.Sort(names)
	return names
}

// pass lets time pass, in which somebody has looked every few seconds.
func (o orphansTest) pass(d time.Duration) {
	for _, h := range o.runners {
		h.since = h.since.Add(-d)
	}
}

func (o orphansTest) renew(runner string) {
	o.t.Helper()
	api := o.e.client.CoordinationV1().Leases("jobs")
	l, err := api.Get(o.t.Context(), leaseName("source", runner), metav1.GetOptions{})
	if err != nil {
		o.t.Fatal(err)
	}
	l.ResourceVersion += "1"
	if _, err := api.Update(o.t.Context(), l, metav1.UpdateOptions{}); err != nil {
		o.t.Fatal(err)
	}
}

func orphanPod(name, runner, instance string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "jobs", UID: types.UID(name), Labels: map[string]string{labelName: appName, labelOrigin: "source"},
		Annotations: map[string]string{annotationRunner: runner, annotationInstance: instance, annotationSource: "source", annotationJobID: name},
	}}
}

func leaseOf(runner string) *coordinationv1.Lease {
	seconds := int32(15)
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: leaseName("source", runner), Namespace: "jobs", ResourceVersion: "1",
			Labels:      map[string]string{labelName: leaseApp, labelOrigin: "source"},
			Annotations: map[string]string{annotationRunner: runner, annotationSource: "source"},
		},
		Spec: coordinationv1.LeaseSpec{LeaseDurationSeconds: &seconds},
	}
}

func TestWhoIsGone(t *testing.T) {
	foreign := orphanPod("foreign", "dead", "x")
	foreign.Annotations[annotationSource] = "source/of another pipeline"
	ending := orphanPod("ending", "dead", "x")
	now := metav1.Now()
	ending.DeletionTimestamp, ending.Finalizers = &now, []string{"test/stays"}
	o := newOrphansTest(t,
		orphanPod("of-the-dead", "dead", "x"), orphanPod("of-the-living", "living", "y"), orphanPod("of-the-silent", "silent", "z"),
		orphanPod("let-go", "living", ""), orphanPod("mine", "runner-2", "instance-2"), orphanPod("inherited", "runner-2", "instance-0"),
		foreign, ending, leaseOf("living"), leaseOf("silent"), leaseOf("runner-2"),
	)
	check := func(when string, want ...string) {
		t.Helper()
		if got := o.waitingPods(); !slices.Equal(got, want) {
			t.Errorf("%s: orphans are %v, want %v", when, got, want)
		}
	}
	check("at first", "inherited", "let-go", "of-the-dead")
	o.pass(10 * time.Second)
	o.renew("living")
	check("after 10s", "inherited", "let-go", "of-the-dead")
	o.pass(6 * time.Second)
	check("after 16s", "inherited", "let-go", "of-the-dead", "of-the-silent")
	o.renew("silent")
	check("when one is back", "inherited", "let-go", "of-the-dead")
	o.postpone("let-go")
	check("when one is postponed", "inherited", "of-the-dead")
}

// TestOneOfTheSameName: what a process of the same name makes after this one has started is not inherited from it.
func TestOneOfTheSameName(t *testing.T) {
	o := newOrphansTest(t, leaseOf("runner-2"))
	if got := o.waitingPods(); got != nil {
		t.Errorf("orphans are %v", got)
	}
	if _, err := o.e.client.CoreV1().Pods("jobs").Create(t.Context(), orphanPod("later", "runner-2", "instance-3"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the pod is seen", func() bool { return len(o.e.pods.all()) == 1 })
	if got := o.waitingPods(); got != nil {
		t.Errorf("orphans are %v", got)
	}
}

// TestTimeInWhichNobodyLooked: after the API server was away, everybody has time to renew.
func TestTimeInWhichNobodyLooked(t *testing.T) {
	o := newOrphansTest(t, orphanPod("a", "silent", "z"), leaseOf("silent"))
	if got := o.waitingPods(); got != nil {
		t.Errorf("at first, orphans are %v", got)
	}
	o.pass(time.Minute)
	o.looked = o.looked.Add(-time.Minute)
	if got := o.waitingPods(); got != nil {
		t.Errorf("after a minute in which nobody looked, orphans are %v", got)
	}
	o.pass(16 * time.Second)
	if got := o.waitingPods(); len(got) != 1 {
		t.Errorf("after 16s more, orphans are %v", got)
	}
}

// TestLeasesThatCannotBeRead: who can't know takes nothing.
func TestLeasesThatCannotBeRead(t *testing.T) {
	o := newOrphansTest(t, orphanPod("a", "dead", "z"))
	o.client.PrependReactor("list", "leases", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("the API server is away")
	})
	if got := o.waitingPods(); got != nil {
		t.Errorf("orphans are %v", got)
	}
}

// TestPostpone: a job that can't be gone on with is left alone for longer and longer.
func TestPostpone(t *testing.T) {
	o := newOrphansTest(t, orphanPod("a", "dead", "x"))
	var waits []time.Duration
	for range 8 {
		o.postpone("a")
		waits = append(waits, o.later["a"].wait)
	}
	if want := []time.Duration{1, 2, 4, 8, 16, 32, 32, 32}; !slices.EqualFunc(waits, want, func(a, b time.Duration) bool { return a == b*time.Minute }) {
		t.Errorf("the waits are %v", waits)
	}
	o.postpone("gone")
	if got := o.waitingPods(); got != nil {
		t.Errorf("orphans are %v", got)
	}
	if _, ok := o.later["gone"]; ok {
		t.Error("a pod is remembered that is no more")
	}
	o.later["a"] = delay{time.Minute, time.Now()}
	if got := o.waitingPods(); len(got) != 1 {
		t.Errorf("after the time, orphans are %v", got)
	}
}

// TestSweep: the Lease of a runner that has gone and left nothing is removed, once nothing is left of it.
func TestSweep(t *testing.T) {
	o := newOrphansTest(t, orphanPod("a", "dead", "z"), leaseOf("dead"), leaseOf("living"), leaseOf("idle"), leaseOf("runner-2"))
	leases := func() int {
		all, err := o.e.client.CoordinationV1().Leases("jobs").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return len(all.Items)
	}
	o.waitingPods()
	o.pass(16 * time.Second)
	o.renew("living")
	o.waitingPods()
	if n := leases(); n != 3 {
		t.Errorf("%d Leases are left, want those of dead, living and runner-2", n)
	}
}

// TestRemoveOld: what nobody has gone on with for a week is removed.
func TestRemoveOld(t *testing.T) {
	pod := func(name, runner string, phase corev1.PodPhase, ago time.Duration) *corev1.Pod {
		p := orphanPod(name, runner, "x")
		p.CreationTimestamp = metav1.NewTime(time.Now().Add(-30 * 24 * time.Hour))
		p.Status.Phase = phase
		if ago > 0 {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(time.Now().Add(-ago))},
			}}}
		}
		return p
	}
	pods := []*corev1.Pod{
		pod("old", "dead", corev1.PodFailed, keptFor+time.Hour), pod("young", "dead", corev1.PodFailed, keptFor-time.Hour),
		pod("running", "dead", corev1.PodRunning, keptFor+time.Hour), pod("of-the-living", "living", corev1.PodFailed, keptFor+time.Hour),
		pod("unknown-end", "dead", corev1.PodSucceeded, 0),
	}
	objects := []runtime.Object{leaseOf("living")}
	for _, p := range pods {
		objects = append(objects, p, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: "jobs"}})
	}
	o := newOrphansTest(t, objects...)
	o.waitingPods()
	left, err := o.client.CoreV1().ConfigMaps("jobs").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range left.Items {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	if want := []string{"of-the-living", "running", "young"}; !slices.Equal(names, want) {
		t.Errorf("left are %v, want %v", names, want)
	}
}

// TestAdopt: a job is adopted once, and not when it runs here.
func TestAdopt(t *testing.T) {
	client := cluster(t)
	first := executorOf(t, client, nil)
	if _, err := runOf(t, first).create(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, third := otherOf(t, client, nowhere{}, nil), otherOf(t, client, nowhere{}, func(e *Executor) { e.opts.Runner, e.instance = "runner-3", "instance-3" })
	for _, e := range []*Executor{second, third} {
		seeOrphan(t, e)
		if e.Waiting() != 1 {
			t.Fatalf("%d orphans", e.Waiting())
		}
	}
	if adopted, err := second.Adopt(t.Context(), func(string) bool { return false }); adopted != nil || err != nil {
		t.Errorf("a job that runs here was adopted: %v, %v", adopted, err)
	}
	second.orphans.find(t.Context())
	adopted, err := second.Adopt(t.Context(), func(id string) bool { return id == "1" })
	if err != nil || adopted == nil {
		t.Fatalf("adopted %v, error %v", adopted, err)
	}
	defer adopted.Run.Leave(context.WithoutCancel(t.Context())) //nolint:errcheck // the test is over
	if adopted, err := second.Adopt(t.Context(), func(string) bool { return true }); adopted != nil || err != nil {
		t.Errorf("there is one more: %v, %v", adopted, err)
	}
}

// TestAdoptWhatIsBroken: a pod that can't be gone on with is let go of, and left alone for a while.
func TestAdoptWhatIsBroken(t *testing.T) {
	o := newOrphansTest(t, orphanPod("a", "dead", "x"))
	o.waitingPods()
	if adopted, err := o.e.Adopt(t.Context(), func(string) bool { return true }); adopted != nil || err == nil {
		t.Errorf("adopted %v, error %v", adopted, err)
	}
	await(t, "the pod is let go of", func() bool { return o.e.pods.all()[0].Annotations[annotationInstance] == "" })
	if got := o.waitingPods(); got != nil {
		t.Errorf("orphans are %v", got)
	}
}

// TestNewsWhileAJobIsTakenOver: what becomes of a pod between its claim and its run is not lost: there may be no more news.
func TestNewsWhileAJobIsTakenOver(t *testing.T) {
	client, e := orphanSeen(t, func(e *Executor) { e.opts.Settings.StartTimeout = 5 * time.Second })
	name := onlyPod(t, client).Name
	client.PrependReactor("get", "secrets", func(k8stesting.Action) (bool, runtime.Object, error) {
		if err := client.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), "jobs", name); err != nil {
			t.Error(err)
		}
		await(t, "it is seen to be gone", func() bool { return len(e.pods.all()) == 0 })
		time.Sleep(50 * time.Millisecond) // and everybody has been told
		return false, nil, nil
	})
	adopted, err := e.Adopt(t.Context(), func(string) bool { return true })
	if err != nil || adopted == nil {
		t.Fatalf("adopted %v, error %v", adopted, err)
	}
	res, _ := follow(t, adopted.Run)
	want(t, res, job.Failed, job.ReasonPodDeleted, "deleted")
	closing, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := adopted.Run.Close(closing); err != nil {
		t.Error(err)
	}
	if n := e.pods.runs(); n != 0 {
		t.Errorf("%d pods are watched still", n)
	}
}

// TestClaimWithoutAnAnswer: a claim that fails may have come through all the same. The pod is not left with nobody.
func TestClaimWithoutAnAnswer(t *testing.T) {
	client, e := orphanSeen(t, nil)
	failing := true
	client.PrependReactor("patch", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
		if !failing {
			return false, nil, nil
		}
		failing = false
		pod := e.pods.all()[0].DeepCopy()
		pod.Annotations[annotationRunner], pod.Annotations[annotationInstance] = e.opts.Runner, e.instance
		if err := client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), pod, "jobs"); err != nil {
			t.Error(err)
		}
		return true, nil, apierrors.NewTimeoutError("the answer is lost", 0)
	})
	if adopted, err := e.Adopt(t.Context(), func(string) bool { return true }); adopted != nil || err == nil {
		t.Fatalf("adopted %v, error %v", adopted, err)
	}
	await(t, "the claim is seen", func() bool { return e.pods.all()[0].Annotations[annotationInstance] == e.instance })
	e.orphans.find(t.Context())
	if n := e.Waiting(); n != 0 {
		t.Errorf("it is not left alone for a while: %d", n)
	}
	e.orphans.later = map[string]delay{}
	if e.orphans.find(t.Context()); e.Waiting() != 1 {
		t.Fatal("this process has claimed a pod, follows it not, and takes it for its own")
	}
	adopted, err := e.Adopt(t.Context(), func(string) bool { return true })
	if err != nil || adopted == nil {
		t.Fatalf("adopted %v, error %v", adopted, err)
	}
	if e.orphans.find(t.Context()); e.Waiting() != 0 {
		t.Error("it is an orphan still")
	}
	if err := adopted.Run.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	if n := e.pods.runs(); n != 0 {
		t.Errorf("%d pods are watched still", n)
	}
}

// TestHandedOutAfterAClaimWithoutAnAnswer: a pod that this process has claimed without knowing is taken over like another's.
func TestHandedOutAfterAClaimWithoutAnAnswer(t *testing.T) {
	client := cluster(t)
	e := executorOf(t, client, nil)
	e.orphans = newOrphans(e)
	if _, err := runOf(t, e).create(t.Context()); err != nil {
		t.Fatal(err)
	}
	j := plainJob()
	j.Attempt = 2
	r := newRun(e, j)
	t.Cleanup(r.end)
	e.orphans.drop(r.objects.name)
	if _, err := r.create(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := onlyPod(t, client).Annotations; a[annotationAttempt] != "2" || e.orphans.isDropped(r.objects.name) {
		t.Errorf("the pod has %v, and dropped is %v", a, e.orphans.dropped)
	}
}

// TestClaimWhileTheRunnerDrains: a claim that is under way when no more jobs are to be taken over is not broken off: nobody could
// tell whether it has come through.
func TestClaimWhileTheRunnerDrains(t *testing.T) {
	client, e := orphanSeen(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var answer any
		var err error
		kind, name := path.Base(path.Dir(r.URL.Path)), path.Base(r.URL.Path)
		switch kind {
		case "pods":
			cancel()
			answer, err = client.CoreV1().Pods("jobs").Get(context.Background(), name, metav1.GetOptions{})
		case "secrets":
			answer, err = client.CoreV1().Secrets("jobs").Get(context.Background(), name, metav1.GetOptions{})
		default:
			err = apierrors.NewNotFound(corev1.Resource(kind), name)
		}
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}))
	defer server.Close()
	var err error
	if e.client, err = kubernetes.NewForConfig(&rest.Config{Host: server.URL}); err != nil {
		t.Fatal(err)
	}
	adopted, err := e.Adopt(ctx, func(string) bool { return true })
	if err != nil || adopted == nil {
		t.Fatalf("adopted %v, error %v", adopted, err)
	}
	if err := adopted.Run.Leave(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLease(t *testing.T) {
	client := cluster(t)
	first, second := executorOf(t, client, nil), executorOf(t, client, nil)
	second.instance = "instance-2"
	a, b := newLease(first), newLease(second)
	holder := func() string {
		l, err := client.CoordinationV1().Leases("jobs").Get(t.Context(), leaseName("source", "runner-1"), metav1.GetOptions{})
		if err != nil {
			return ""
		}
		return *l.Spec.HolderIdentity
	}
	if err := a.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := holder(); got != "runner-1/instance-1" {
		t.Errorf("the holder is %q", got)
	}
	if err := b.take(t.Context()); err != nil { // a second process of the name
		t.Fatal(err)
	}
	if got := holder(); got != "runner-1/instance-2" {
		t.Errorf("the holder is %q", got)
	}
	if err := b.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := client.CoordinationV1().Leases("jobs").Delete(t.Context(), leaseName("source", "runner-1"), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := b.renew(t.Context()); err != nil || holder() != "runner-1/instance-2" {
		t.Errorf("a Lease that somebody has removed is not made anew: %v", err)
	}
	if err := b.remove(); err != nil || holder() != "" {
		t.Errorf("the holder is %q, error %v", holder(), err)
	}
	if err := b.remove(); err != nil {
		t.Error(err)
	}
}

// TestLeaseRenewedWithoutAnAnswer: a conflict with a renewal of this process's own is no sign of another one of its name.
func TestLeaseRenewedWithoutAnAnswer(t *testing.T) {
	for name, holder := range map[string]string{"its own": "runner-1/instance-1", "another's": "runner-1/instance-2"} {
		t.Run(name, func(t *testing.T) {
			client := cluster(t)
			e := executorOf(t, client, nil)
			var said bytes.Buffer
			e.opts.Logger = hclog.New(&hclog.LoggerOptions{Output: &said})
			l := newLease(e)
			if err := l.take(t.Context()); err != nil {
				t.Fatal(err)
			}
			there, err := client.CoordinationV1().Leases("jobs").Get(t.Context(), l.is.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			there.Spec.HolderIdentity = &holder
			if _, err := client.CoordinationV1().Leases("jobs").Update(t.Context(), there, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			stale := true
			client.PrependReactor("update", "leases", func(k8stesting.Action) (bool, runtime.Object, error) {
				defer func() { stale = false }()
				return stale, nil, apierrors.NewConflict(coordinationv1.Resource("leases"), l.is.Name, errors.New("it has been modified"))
			})
			if err := l.renew(t.Context()); err != nil {
				t.Error(err)
			}
			if got, want := strings.Contains(said.String(), "has the same name"), name == "another's"; got != want {
				t.Errorf("that another runner has the name is told: %v, want %v: %s", got, want, said.String())
			}
		})
	}
}

// TestLeaseRemovedAfterARenewalWithoutAnAnswer: a renewal that was broken off at the end may have come through.
func TestLeaseRemovedAfterARenewalWithoutAnAnswer(t *testing.T) {
	for name, holder := range map[string]string{"its own": "runner-1/instance-1", "another's": "runner-1/instance-2"} {
		t.Run(name, func(t *testing.T) {
			client := cluster(t)
			l := newLease(executorOf(t, client, nil))
			if err := l.take(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.is.ResourceVersion = "1"
			now := l.is.DeepCopy()
			now.ResourceVersion, now.Spec.HolderIdentity = "2", &holder
			if err := client.Tracker().Update(coordinationv1.SchemeGroupVersion.WithResource("leases"), now, "jobs"); err != nil {
				t.Fatal(err)
			}
			client.PrependReactor("delete", "leases", func(a k8stesting.Action) (bool, runtime.Object, error) {
				options := a.(k8stesting.DeleteAction).GetDeleteOptions() //nolint:forcetypeassert // a test
				stale := *options.Preconditions.ResourceVersion != "2"
				return stale, nil, apierrors.NewConflict(coordinationv1.Resource("leases"), l.is.Name, errors.New("it has been modified"))
			})
			if err := l.remove(); err != nil {
				t.Error(err)
			}
			_, err := client.CoordinationV1().Leases("jobs").Get(t.Context(), l.is.Name, metav1.GetOptions{})
			if gone := apierrors.IsNotFound(err); gone != (name == "its own") {
				t.Errorf("the Lease is gone: %v", gone)
			}
		})
	}
}

// nowhere reaches no pod.
type nowhere struct{}

func (nowhere) ready(*corev1.Pod) bool { return false }

func (nowhere) dial(context.Context, *corev1.Pod, int) (net.Conn, error) {
	return nil, errors.New("there is no network")
}
