package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
	"github.com/podrunner/runner/core/internal/spool"
)

// node is a node with room for one pod: the helper is the real one, the steps are what the test says.
type node struct {
	t      *testing.T
	client *fake.Clientset
	dir    string
	addr   string
	// away makes the pod unreachable.
	away atomic.Bool
	work sync.WaitGroup
	end  context.CancelFunc
	// helper is the helper's process, ended is closed when it has.
	helper *os.Process
	ended  chan struct{}
}

// step is what the container of a step does: it gets what comes from the helper after its input, and writes its spool.
type stepFunc func(orders <-chan struct{}, w *spool.Writer)

func (n *node) ready(pod *corev1.Pod) bool { return pod.Spec.NodeName != "" }

func (n *node) dial(ctx context.Context, _ *corev1.Pod, _ int) (net.Conn, error) {
	if n.away.Load() {
		return nil, errors.New("the network is away")
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", n.addr)
}

// lateDialer reaches a node's pod from when its address is known.
type lateDialer struct {
	*node
	known atomic.Bool
}

func (d *lateDialer) ready(*corev1.Pod) bool { return d.known.Load() }

// newNode makes a node, and an executor that knows it.
func newNode(t *testing.T) (*node, *Executor) {
	t.Helper()
	dir, err := os.MkdirTemp("", "node-") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, client: cluster(t), dir: dir, addr: free.Addr().String(), end: func() {}}
	_ = free.Close()
	return n, executorOf(t, n.client, n)
}

// start runs j, and its pod when it has been made.
func (n *node) start(e *Executor, j *job.Job, steps map[string]stepFunc) executor.Run {
	n.t.Helper()
	r, err := e.Start(n.t.Context(), j)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			n.t.Error(err)
		}
		n.stop()
	})
	n.runPod(objectName("source", j.ID), steps)
	return r
}

// startLasting is start for a test about jobs that another runner takes over.
func (n *node) startLasting(e *Executor, j *job.Job, steps map[string]stepFunc) executor.Lasting {
	n.t.Helper()
	r, ok := n.start(e, j, steps).(executor.Lasting)
	if !ok {
		n.t.Fatal("the run does not last")
	}
	return r
}

// runPod is the kubelet.
func (n *node) runPod(name string, steps map[string]stepFunc) {
	n.t.Helper()
	var pod *corev1.Pod
	var err error
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if pod, err = n.client.CoreV1().Pods("jobs").Get(n.t.Context(), name, metav1.GetOptions{}); err == nil {
			break
		}
		if time.Now().After(deadline) {
			n.t.Fatal(err)
		}
	}
	secret, err := n.client.CoreV1().Secrets("jobs").Get(n.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		n.t.Fatal(err)
	}
	configMap, err := n.client.CoreV1().ConfigMaps("jobs").Get(n.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		n.t.Fatal(err)
	}
	data := maps.Clone(secret.Data)
	for key, text := range configMap.Data {
		data[key] = []byte(text)
	}
	config := agent.Config{Listen: n.addr, Inputs: filepath.Join(n.dir, "in"), Steps: filepath.Join(n.dir, "steps")}
	if err := os.Mkdir(config.Inputs, 0o700); err != nil {
		n.t.Fatal(err)
	}
	for key, value := range data {
		if err := os.WriteFile(filepath.Join(config.Inputs, key), value, 0o600); err != nil {
			n.t.Fatal(err)
		}
	}
	for _, c := range pod.Spec.Containers[1:] {
		config.Names = append(config.Names, c.Name)
		if err := os.MkdirAll(filepath.Join(config.Steps, c.Name), 0o700); err != nil {
			n.t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.end = cancel
	text, err := json.Marshal(config)
	if err != nil {
		n.t.Fatal(err)
	}
	helper := exec.CommandContext(ctx, os.Args[0])
	helper.Env = append(os.Environ(), asHelper+"="+string(text))
	if err := helper.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.helper, n.ended = helper.Process, make(chan struct{})
	n.work.Go(func() {
		defer close(n.ended)
		_ = helper.Wait()
	})
	for step, run := range steps {
		n.work.Go(func() { n.runStep(ctx, filepath.Join(config.Steps, step), run) })
	}
	n.change(func(pod *corev1.Pod) { pod.Spec.NodeName, pod.Status.Phase = "node-1", corev1.PodRunning })
}

// runStep does what runner-helper's entrypoint does, without a shell.
func (n *node) runStep(ctx context.Context, dir string, run stepFunc) {
	var conn net.Conn
	for ctx.Err() == nil {
		var err error
		if conn, err = (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "control")); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if conn == nil {
		return
	}
	defer conn.Close() //nolint:errcheck // its end is all that counts
	messages := json.NewDecoder(conn)
	var input map[string]json.RawMessage
	if messages.Decode(&input) != nil || input["skip"] != nil {
		return
	}
	orders := make(chan struct{})
	n.work.Go(func() {
		defer close(orders)
		_ = messages.Decode(&input) // the first order, or the end of the connection
	})
	w, err := spool.NewWriter(filepath.Join(dir, "spool"), spool.Options{Shared: true})
	if err != nil {
		n.t.Error(err)
		return
	}
	defer w.Close() //nolint:errcheck // Finish has told
	run(orders, w)
}

// change changes the pod, as the kubelet and the control plane do.
func (n *node) change(edit func(*corev1.Pod)) {
	n.t.Helper()
	all, err := n.client.CoreV1().Pods("jobs").List(n.t.Context(), metav1.ListOptions{})
	if err != nil || len(all.Items) != 1 {
		n.t.Fatalf("%d pods, error %v", len(all.Items), err)
	}
	pod := all.Items[0].DeepCopy()
	edit(pod)
	if _, err := n.client.CoreV1().Pods("jobs").Update(n.t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		n.t.Fatal(err)
	}
}

// stop stops the pod's processes.
func (n *node) stop() {
	n.end()
	n.work.Wait()
}

// prints is a step that prints lines and ends with a code.
func prints(code int, lines ...string) stepFunc {
	return func(_ <-chan struct{}, w *spool.Writer) {
		begun := time.Now()
		for _, line := range lines {
			_ = w.Append(context.Background(), []record.Record{{Text: []byte(line), Time: time.Now().UnixNano()}})
		}
		_ = w.Finish(spool.Exit{Code: code, Started: begun, Finished: time.Now()})
	}
}

// printMany is a step that prints so many lines of a size, and ends well.
func printMany(w *spool.Writer, lines, bytes int) {
	begun := time.Now()
	for range lines {
		_ = w.Append(context.Background(), []record.Record{{Text: make([]byte, bytes), Time: time.Now().UnixNano()}})
	}
	_ = w.Finish(spool.Exit{Started: begun, Finished: time.Now()})
}

// forgotten tells whether the first records of a step are there no more.
func (n *node) forgotten(step string) bool {
	r, err := spool.NewReader(filepath.Join(n.dir, "steps", step, "spool"), step, 1)
	if err != nil {
		return false
	}
	defer r.Close() //nolint:errcheck // it was only read
	r.WriterGone()
	_, err = r.Next(context.Background())
	return errors.As(err, new(*spool.ReleasedError))
}

// follow reads the log to its end, and returns the result and the number of records.
func follow(t *testing.T, r executor.Run) (executor.Result, uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var n uint64
	for {
		batch, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n += uint64(batch.Len())
		r.Ack(n)
	}
	res, err := r.Result(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range r.Status() { //nolint:revive // it is closed when the job is over
	}
	return res, n
}

// awaitRunning waits for core to have heard from the helper that a step runs.
func awaitRunning(r executor.Run) {
	for status := range r.Status() {
		if status.Phase == executor.Running {
			return
		}
	}
}

func want(t *testing.T, res executor.Result, outcome job.Outcome, reason job.Reason, message string) {
	t.Helper()
	if res.Outcome != outcome || res.Reason != reason || !strings.Contains(res.Message, message) {
		t.Errorf("got %q, %q, %q; want %q, %q, and in the message %q", res.Outcome, res.Reason, res.Message, outcome, reason, message)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	n, e := newNode(t)
	r := n.start(e, withInit(), map[string]stepFunc{"init": prints(0, "a", "b"), "job": prints(0, "c")})
	res, records := follow(t, r)
	want(t, res, job.Success, "", "")
	if records != 3 || res.Records != 3 || res.Gap != "" {
		t.Errorf("%d records were read, %d written, gap %q", records, res.Records, res.Gap)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	pods, _ := n.client.CoreV1().Pods("jobs").List(t.Context(), metav1.ListOptions{})
	if len(pods.Items) != 0 {
		t.Error("the pod is left")
	}
	r.Ack(3) // is of no harm
	r.Cancel(time.Second)
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	n, e := newNode(t)
	res, _ := follow(t, n.start(e, withInit(), map[string]stepFunc{"init": prints(3, "a"), "job": prints(0, "never")}))
	want(t, res, job.Failed, job.ReasonInitFailed, "exit code 3")
}

// TestHelperKnowsThatAllIsFetched has all of a log acknowledged at once, when all of it has been read: a helper that is told to end
// waits for nobody.
func TestHelperKnowsThatAllIsFetched(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code    int
		records uint64
	}{"two steps": {0, 3}, "an init step that fails": {1, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, e := newNode(t)
			r := n.start(e, withInit(), map[string]stepFunc{"init": prints(c.code, "a", "b"), "job": prints(0, "c")})
			for {
				if _, err := r.Next(t.Context()); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			r.Ack(c.records)
			if err := n.helper.Signal(unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
			select {
			case <-n.ended:
			case <-time.After(10 * time.Second):
				t.Error("the helper waits for what has been fetched")
			}
		})
	}
}

// TestLogOfAPodThatHasEnded has a pod of whose end the cluster tells before its log has been read.
func TestLogOfAPodThatHasEnded(t *testing.T) {
	t.Parallel()
	n, e := newNode(t)
	met, written := make(chan struct{}), make(chan struct{})
	r := n.start(e, plainJob(), map[string]stepFunc{"job": func(orders <-chan struct{}, w *spool.Writer) {
		<-met
		prints(0, "a", "b")(orders, w)
		close(written)
	}})
	awaitRunning(r)
	close(met)
	<-written
	n.change(func(pod *corev1.Pod) {
		pod.Status.Phase = corev1.PodFailed
		pod.Status.Conditions = disruption("EvictionByEvictionAPI", "Eviction API: evicting")
	})
	<-r.(*run).over //nolint:forcetypeassert // the verdict comes before the first Next
	res, records := follow(t, r)
	want(t, res, job.Success, "", "")
	if records != 2 {
		t.Errorf("%d records were read", records)
	}
}

// TestNextAfterAVerdict has a choice between what is over and what is there to be read, a hundred times.
func TestNextAfterAVerdict(t *testing.T) {
	e := executorOf(t, cluster(t), nil)
	for range 100 {
		r := runOf(t, e)
		r.steps = nil // all have been read
		close(r.ready)
		r.conclude(executor.Lost("x"))
		if _, err := r.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		select {
		case <-r.logged:
		default:
			t.Fatal("the log was left unread, since the job is over")
		}
	}
}

// TestNoExitRecord has a step that dies, its pod with it: there is no evidence, and so no success.
func TestNoExitRecord(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		status  corev1.PodStatus
		reason  job.Reason
		message string
	}{
		{"its entrypoint broke", corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			terminates("job", corev1.ContainerStateTerminated{ExitCode: 125, Reason: "Error", Message: "runner-helper: no room"}),
		}}, job.ReasonInfrastructure, "exit code 125: runner-helper: no room"},
		{"its container ended well", corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			terminates("job", corev1.ContainerStateTerminated{ExitCode: 0, Reason: "Completed"}),
		}}, job.ReasonInfrastructure, ""},
		{"out of memory", corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			terminates("job", corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}),
		}}, job.ReasonOOMKilled, ""},
		{"the pod ended well", corev1.PodStatus{Phase: corev1.PodSucceeded}, job.ReasonInfrastructure, ""},
		{"evicted", corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "low on memory"}, job.ReasonEvicted, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, e := newNode(t)
			r := n.start(e, plainJob(), map[string]stepFunc{"job": func(_ <-chan struct{}, w *spool.Writer) {
				_ = w.Append(context.Background(), []record.Record{{Text: []byte("a"), Time: time.Now().UnixNano()}})
				n.change(func(pod *corev1.Pod) {
					pod.Status.ContainerStatuses = c.status.ContainerStatuses
					pod.Status.Phase, pod.Status.Reason, pod.Status.Message = c.status.Phase, c.status.Reason, c.status.Message
				})
			}})
			res, _ := follow(t, r)
			want(t, res, job.Failed, c.reason, c.message)
		})
	}
}

// TestPodIsDeleted has a pod that somebody deletes, and whose node is never heard of again.
func TestPodIsDeleted(t *testing.T) {
	t.Parallel()
	n, e := newNode(t)
	running := make(chan struct{})
	r := n.start(e, plainJob(), map[string]stepFunc{"job": func(orders <-chan struct{}, _ *spool.Writer) {
		close(running)
		<-orders
	}})
	<-running
	if err := n.client.CoreV1().Pods("jobs").Delete(t.Context(), objectName("source", "1"), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	res, _ := follow(t, r)
	want(t, res, job.Failed, job.ReasonPodDeleted, "deleted")
}

func TestCancel(t *testing.T) {
	t.Parallel()
	t.Run("a step that runs", func(t *testing.T) {
		t.Parallel()
		n, e := newNode(t)
		r := n.start(e, plainJob(), map[string]stepFunc{"job": func(orders <-chan struct{}, w *spool.Writer) {
			begun := time.Now()
			<-orders
			_ = w.Finish(spool.Exit{Code: 143, Signal: 15, Started: begun, Finished: time.Now()})
		}})
		awaitRunning(r)
		r.Cancel(time.Second)
		r.Cancel(time.Second)
		res, _ := follow(t, r)
		want(t, res, job.Canceled, job.ReasonCanceled, "canceled")
	})
	for name, heard := range map[string]bool{"a step of which only records have come": true, "a step of which nothing has come": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, e := newNode(t)
			last := prints(3, "last words")
			r, ok := n.start(e, plainJob(), map[string]stepFunc{"job": func(orders <-chan struct{}, w *spool.Writer) {
				_ = w.Append(context.Background(), []record.Record{{Text: []byte("ready"), Time: time.Now().UnixNano()}})
				<-orders
				last(nil, w)
			}}).(*run)
			if !ok {
				t.Fatal("it is no run of this package")
			}
			if _, err := r.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.mu.Lock()
			if !r.met {
				t.Error("the records that have come are not taken for a sign of the helper")
			}
			r.met = heard
			r.mu.Unlock()
			r.Cancel(10 * time.Second)
			res, records := follow(t, r)
			want(t, res, job.Canceled, job.ReasonCanceled, "")
			if records != 1 || res.Records != 2 || res.ExitCode == nil || *res.ExitCode != 3 {
				t.Errorf("%d records were read behind the first, %d written, exit code %v", records, res.Records, res.ExitCode)
			}
		})
	}
	t.Run("a step of a pod whose address is not known yet", func(t *testing.T) {
		t.Parallel()
		n, _ := newNode(t)
		late := &lateDialer{node: n}
		e := executorOf(t, n.client, late)
		printed := make(chan struct{})
		r := n.start(e, plainJob(), map[string]stepFunc{"job": func(orders <-chan struct{}, w *spool.Writer) { //nolint:forcetypeassert // it is one
			_ = w.Append(context.Background(), []record.Record{{Text: []byte("ready"), Time: time.Now().UnixNano()}})
			close(printed)
			<-orders
			prints(3, "last words")(nil, w)
		}}).(*run)
		<-printed
		await(t, "the pod is seen to have a node", func() bool {
			pod, _ := r.pod.latest()
			return pod != nil && pod.Spec.NodeName != ""
		})
		r.Cancel(10 * time.Second)
		late.known.Store(true)
		n.change(func(pod *corev1.Pod) { pod.Status.PodIP = "10.0.0.1" })
		res, records := follow(t, r)
		want(t, res, job.Canceled, job.ReasonCanceled, "")
		if records != 2 || res.Records != 2 {
			t.Errorf("%d records were read, %d written", records, res.Records)
		}
	})
	for name, c := range map[string]struct {
		status  corev1.ContainerStatus
		message string
	}{
		"a pod whose images are pulled": {waits("job", "ContainerCreating", "").Status.ContainerStatuses[0], "before it ran"},
		"a pod that can't be reached": {
			corev1.ContainerStatus{Name: "job", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}, "the end of its log is missing",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, e := newNode(t)
			n.away.Store(true)
			r := n.start(e, plainJob(), nil).(*run) //nolint:forcetypeassert // it is one
			n.change(func(pod *corev1.Pod) { pod.Status.ContainerStatuses = []corev1.ContainerStatus{c.status} })
			await(t, "the pod can be dialled, and tells of its container", func() bool {
				pod, _ := r.pod.latest()
				return r.scheduled() && len(pod.Status.ContainerStatuses) > 0
			})
			r.Cancel(time.Second)
			res, _ := follow(t, r)
			want(t, res, job.Canceled, job.ReasonCanceled, c.message)
		})
	}
	t.Run("objects that can't be made", func(t *testing.T) {
		t.Parallel()
		n, e := newNode(t)
		n.client.PrependReactor("create", "secrets", func(k8stesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewServiceUnavailable("x")
		})
		r, err := e.Start(t.Context(), plainJob())
		if err != nil {
			t.Fatal(err)
		}
		r.Cancel(time.Second)
		res, _ := follow(t, r)
		want(t, res, job.Canceled, job.ReasonCanceled, "")
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRefusedPod(t *testing.T) {
	t.Parallel()
	n, e := newNode(t)
	n.client.PrependReactor("create", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(podResource, "x", errors.New("exceeded quota: jobs"))
	})
	r, err := e.Start(t.Context(), plainJob())
	if err != nil {
		t.Fatal(err)
	}
	res, _ := follow(t, r)
	want(t, res, job.Failed, job.ReasonQuota, "exceeded quota: jobs")
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if left, _ := n.client.CoreV1().ConfigMaps("jobs").List(t.Context(), metav1.ListOptions{}); len(left.Items) != 0 {
		t.Error("the ConfigMap is left")
	}
}

func TestImageThatThereIsNot(t *testing.T) {
	t.Parallel()
	n, e := newNode(t)
	r := n.start(e, plainJob(), nil)
	n.change(func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = waits("job", "ErrImagePull", "alpine:none: not found").Status.ContainerStatuses
	})
	res, _ := follow(t, r)
	want(t, res, job.Failed, job.ReasonImageNotFound, "alpine:none: not found")
}

func TestStartTimeout(t *testing.T) {
	t.Parallel()
	n, e := newNode(t)
	e.opts.Settings.StartTimeout = 3 * time.Second // enough for the pod to get a node, on a busy machine
	n.away.Store(true)
	r := n.start(e, plainJob(), nil)
	n.change(func(pod *corev1.Pod) {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue}}
	})
	res, _ := follow(t, r)
	want(t, res, job.PodTimeout, job.ReasonStartTimeout, "the network is away")
}

// TestGivenUp: a pod that was given up is there until the source has heard of it. When its step starts all the same it is
// not run, or told to end at once.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	starts := func(t *testing.T, n *node) {
		t.Helper()
		over := make(chan struct{})
		ctx, cancel := context.WithCancel(context.Background())
		n.work.Go(func() {
			defer close(over)
			n.runStep(ctx, filepath.Join(n.dir, "steps", "job"), func(orders <-chan struct{}, w *spool.Writer) {
				<-orders
				prints(143)(orders, w)
			})
		})
		select {
		case <-over:
		case <-time.After(20 * time.Second):
			t.Error("the step runs on")
		}
		cancel()
	}
	t.Run("its helper runs", func(t *testing.T) {
		t.Parallel()
		n, e := newNode(t)
		r := n.start(e, plainJob(), nil)
		n.change(func(pod *corev1.Pod) {
			pod.Status.ContainerStatuses = waits("job", "ErrImagePull", "alpine:none: not found").Status.ContainerStatuses
		})
		res, _ := follow(t, r)
		want(t, res, job.Failed, job.ReasonImageNotFound, "alpine:none: not found")
		starts(t, n)
	})
	t.Run("its helper comes later", func(t *testing.T) {
		t.Parallel()
		n, e := newNode(t)
		late := &lateDialer{node: n}
		e.dialer = late
		e.opts.Settings.StartTimeout = 3 * time.Second
		r := n.start(e, plainJob(), nil)
		res, _ := follow(t, r)
		want(t, res, job.PodTimeout, job.ReasonStartTimeout, "no step of the job has started")
		late.known.Store(true)
		n.change(func(pod *corev1.Pod) { pod.Status.PodIP = "10.0.0.1" })
		starts(t, n)
	})
	t.Run("by another runner", func(t *testing.T) {
		t.Parallel()
		n, e := newNode(t)
		late := &lateDialer{node: n}
		e.dialer = late
		e.opts.Settings.StartTimeout = 3 * time.Second
		r := n.startLasting(e, plainJob(), nil)
		res, _ := follow(t, r)
		if err := r.Keep(t.Context(), executor.Kept{Result: job.Result{Outcome: res.Outcome, Reason: res.Reason}}); err != nil {
			t.Fatal(err)
		}
		if err := r.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		second := otherOf(t, n.client, n, nil)
		last(t, n.client, second)
		a := takeOver(t, second)
		defer a.Run.Close(context.Background()) //nolint:errcheck // the pod is deleted as well as it may be
		if a.Kept == nil || a.Kept.Result.Reason != job.ReasonStartTimeout {
			t.Errorf("what is kept is %+v", a.Kept)
		}
		starts(t, n)
	})
}

// TestWhatIsKnownWhenTheStartTimesOut: what the helper tells of its steps may come later than what they print, or not at all.
func TestWhatIsKnownWhenTheStartTimesOut(t *testing.T) {
	e := executorOf(t, cluster(t), nil)
	states := func(init, main agent.Phase) agent.State {
		return agent.State{Steps: []agent.StepState{{Name: record.StepInit, Phase: init}, {Name: record.StepJob, Phase: main}}}
	}
	for _, c := range []struct {
		name    string
		state   agent.State
		printed []string
		noted   executor.Progress
		away    bool
		reason  job.Reason
		message string
	}{
		{name: "nothing", reason: job.ReasonStartTimeout, message: "no step of the job has started within"},
		{name: "they wait", state: states(agent.Waiting, agent.Waiting), reason: job.ReasonStartTimeout, message: "no step of the job has started within"},
		{name: "the second one waits", state: states(agent.Ended, agent.Waiting), reason: job.ReasonStartTimeout, message: `step "job" has not started within`},
		{name: "the first one has printed", printed: []string{record.StepInit}},
		{name: "the second one has printed", state: states(agent.Ended, agent.Waiting), printed: []string{record.StepInit, record.StepJob}},
		{name: "the first one has printed, and ended", state: states(agent.Ended, agent.Waiting), printed: []string{record.StepInit}, reason: job.ReasonStartTimeout, message: `step "job" has not`},
		{name: "the helper is away", away: true, reason: job.ReasonStartTimeout, message: "no step of the job is known to have started within"},
		{name: "the helper is away, but another runner has read", away: true, noted: executor.Progress{Records: 3}, reason: job.ReasonInfrastructure, message: "a job that has run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(e, withInit())
			t.Cleanup(r.end)
			keys, err := agent.NewKeys()
			if err != nil {
				t.Fatal(err)
			}
			r.client, err = agent.NewClient(keys, func(ctx context.Context) (net.Conn, error) {
				if !c.away {
					<-ctx.Done()
				}
				return nil, errors.New("the network is away")
			})
			if err != nil {
				t.Fatal(err)
			}
			defer r.client.Close() //nolint:errcheck // it had no connection
			if c.away {
				<-r.client.Lost()
			}
			pod := podOf("a", "node-1")
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue}}
			r.pod.is(pod)
			for _, step := range c.printed {
				r.meet(step)
			}
			r.state, r.noted = c.state, c.noted
			s := newSupervisor(r, pod)
			s.startTimedOut()
			switch {
			case c.reason == "" && r.verdict != nil:
				t.Errorf("a job that runs has the verdict %+v", r.verdict)
			case c.reason == "" && s.waits:
				t.Error("a step that waits after this one has no start_timeout")
			case c.reason != "" && r.verdict == nil:
				t.Error("there is no verdict")
			case c.reason != "":
				want(t, *r.verdict, c.reason.Info().Outcome, c.reason, c.message)
			}
		})
	}
}

// TestContainerThatEndsUnheard has a step whose container ends without a word to the helper.
func TestContainerThatEndsUnheard(t *testing.T) {
	t.Parallel()
	n, e := newNode(t)
	r := n.start(e, plainJob(), nil)
	n.change(func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{
			terminates("job", corev1.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: "exec format error"}),
		}
	})
	res, _ := follow(t, r)
	want(t, res, job.Failed, job.ReasonContainerStart, "exec format error")
}

// TestContainerThatEndsUnseen has one that did its work while core could not reach the helper: the cluster tells of its end
// long before the helper can.
func TestContainerThatEndsUnseen(t *testing.T) {
	t.Parallel()
	n, e := newNode(t)
	n.away.Store(true)
	written := make(chan struct{})
	r := n.start(e, plainJob(), map[string]stepFunc{"job": func(orders <-chan struct{}, w *spool.Writer) {
		prints(0, "a")(orders, w)
		close(written)
	}})
	<-written
	n.change(func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{
			terminates("job", corev1.ContainerStateTerminated{ExitCode: 0, Reason: "Completed"}),
		}
	})
	time.AfterFunc(settleTime+time.Second, func() { n.away.Store(false) })
	res, records := follow(t, r)
	want(t, res, job.Success, "", "")
	if records != 1 {
		t.Errorf("%d records were read", records)
	}
}

func TestCloseOfARunThatNobodyReads(t *testing.T) {
	t.Parallel()
	n, e := newNode(t)
	r := n.start(e, plainJob(), map[string]stepFunc{"job": prints(0, "a")})
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("Next returns %v", err)
	}
	if res, err := r.Result(t.Context()); err != nil || res.Outcome == job.Success {
		t.Errorf("the result is %+v, %v", res, err)
	}
}
