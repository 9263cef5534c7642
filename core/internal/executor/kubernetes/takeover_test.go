package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/spool"
)

// otherOf is another runner of the same cluster and source; edit changes what it is before it begins.
func otherOf(t *testing.T, client *fake.Clientset, d dialer, edit func(*Executor)) *Executor {
	t.Helper()
	e := executorOf(t, client, d)
	e.opts.Runner, e.instance = "runner-2", "instance-2"
	if edit != nil {
		edit(e)
	}
	return e
}

// onlyPod is the only pod there is.
func onlyPod(t *testing.T, client *fake.Clientset) *corev1.Pod {
	t.Helper()
	all, err := client.CoreV1().Pods("jobs").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(all.Items) != 1 {
		t.Fatalf("%d pods, error %v", len(all.Items), err)
	}
	return &all.Items[0]
}

// await waits until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 10s still not: %s", what)
		}
	}
}

// TestRecover has a runner find out from the cluster what job a pod is of.
func TestRecover(t *testing.T) {
	for _, c := range []struct {
		name string
		job  job.Job
	}{
		{"plain", job.Job{ID: "1", Attempt: 1, Image: "alpine"}},
		{"what a source has noted", job.Job{
			ID: "Z2lkOi8vb3BzbGV2ZWwvUnVubmVyczo6Sm9iUnVuLzEyMzQ1", Attempt: 3, Number: "12345", Handle: []byte("\x00binary\xff"),
			Image: "alpine", Labels: map[string]string{"team": "platform", "odd": "ü \" <"},
		}},
		{"an init step", job.Job{ID: "1", Attempt: 1, Image: "alpine", InitImage: "git", InitCommands: []string{""}}},
		{"variables", job.Job{
			ID: "1", Attempt: 1, Image: "alpine", InitImage: "alpine", InitCommands: []string{""},
			Variables: []job.Variable{
				{Key: "A", Value: "1"},
				{Key: "TOKEN", Value: "hunter2\nand a second line=", Sensitive: true},
				{Key: "EMPTY", Value: "", Sensitive: true},
				{Key: "B", Value: "init", Scope: job.ScopeInit, Sensitive: true},
				{Key: "B", Value: "main", Scope: job.ScopeMain},
			},
		}},
		{"variables that others hide", job.Job{
			ID: "1", Attempt: 1, Image: "alpine",
			Variables: []job.Variable{
				{Key: "TOKEN", Value: "an old secret", Sensitive: true},
				{Key: "TOKEN", Value: "a new one"},
				{Key: "I", Value: "of a step that is not there", Sensitive: true, Scope: job.ScopeInit},
				{Key: "BOTH", Value: "hidden in main", Sensitive: true},
				{Key: "BOTH", Value: "main", Scope: job.ScopeMain},
			},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := c.job
			j.Commands = []string{"echo hunter2"}
			o := objectsOf(&j, defaults())
			p, err := o.payload()
			if err != nil {
				t.Fatal(err)
			}
			pod, err := o.pod(p, "uid")
			if err != nil {
				t.Fatal(err)
			}
			got, err := recoverJob(pod, p.secret)
			if err != nil {
				t.Fatal(err)
			}
			want := c.job
			if len(want.InitCommands) == 0 {
				want.InitImage = ""
			}
			if diff := cmp.Diff(&want, got, cmpEmpty); diff != "" {
				t.Errorf("the job (-want +got):\n%s", diff)
			}
			if text := strings.Join(mapValues(pod.Annotations), "\n"); strings.Contains(text, "hunter2") || strings.Contains(text, "secret") {
				t.Errorf("an annotation holds a sensitive value: %s", text)
			}
		})
	}
}

// cmpEmpty takes no bytes and empty ones for the same.
var cmpEmpty = cmp.Transformer("empty", func(b []byte) string { return string(b) })

func mapValues(m map[string]string) (values []string) {
	for _, v := range m {
		values = append(values, v)
	}
	return values
}

func TestRecoverWhatIsBroken(t *testing.T) {
	o := objectsOf(&job.Job{ID: "1", Image: "alpine", Variables: []job.Variable{{Key: "TOKEN", Value: "hunter2", Sensitive: true}}}, defaults())
	for _, c := range []struct {
		name   string
		edit   func(pod *corev1.Pod, secret map[string][]byte)
		reason string
	}{
		{"no variables", func(_ *corev1.Pod, s map[string][]byte) { delete(s, keyVariables) }, `the key "variables" of the job's Secret can't be read`},
		{"no values", func(_ *corev1.Pod, s map[string][]byte) { delete(s, variablesKey("job")) }, `the value of the sensitive variable "TOKEN" is missing`},
		{"broken values", func(_ *corev1.Pod, s map[string][]byte) { s[variablesKey("job")] = []byte(`["TOKEN=hunter2"`) }, "no JSON array"},
		{"handle", func(p *corev1.Pod, _ map[string][]byte) { p.Annotations[annotationHandle] = "%" }, annotationHandle},
		{"attempt", func(p *corev1.Pod, _ map[string][]byte) { p.Annotations[annotationAttempt] = "one" }, annotationAttempt},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := o.payload()
			if err != nil {
				t.Fatal(err)
			}
			pod, err := o.pod(p, "uid")
			if err != nil {
				t.Fatal(err)
			}
			c.edit(pod, p.secret)
			_, err = recoverJob(pod, p.secret)
			if err == nil || !strings.Contains(err.Error(), c.reason) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error is %v, want %q and no value", err, c.reason)
			}
		})
	}
}

// TestClaim has two runners claim what they have seen of one pod: one gets it.
func TestClaim(t *testing.T) {
	client := cluster(t)
	first, second := executorOf(t, client, nil), otherOf(t, client, nil, nil)
	r := runOf(t, first)
	pod, err := r.create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pod.ResourceVersion = "1" // what the fake has is never looked at
	claimed, err := second.claim(t.Context(), pod, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := claimed.Annotations; a[annotationRunner] != "runner-2" || a[annotationInstance] != "instance-2" || claimed.Labels[labelManagedBy] != "runner-runner-2" {
		t.Errorf("the pod has %v", a)
	}
	var patch string
	for _, a := range client.Actions() {
		if p, ok := a.(interface{ GetPatch() []byte }); ok {
			patch = string(p.GetPatch())
		}
	}
	if !strings.Contains(patch, `"resourceVersion":"1"`) {
		t.Errorf("the claim does not depend on what was seen: %s", patch)
	}
	if err := r.change(t.Context(), map[string]string{annotationDelivered: "7"}); err == nil {
		t.Error("the first runner has changed a pod that is not its own any more")
	}
	if onlyPod(t, client).Annotations[annotationDelivered] != "0" {
		t.Error("the first runner has noted something")
	}
}

// takeOver adopts the only orphan.
func takeOver(t *testing.T, e *Executor) *executor.Adopted {
	t.Helper()
	select {
	case <-e.Orphans():
	case <-time.After(10 * time.Second):
		t.Fatal("there is no orphan")
	}
	adopted, err := e.Adopt(t.Context(), func(string) bool { return true })
	if err != nil || adopted == nil {
		t.Fatalf("adopted %v, error %v", adopted, err)
	}
	return adopted
}

// last gives an executor a Lease, and has it look for orphans.
func last(t *testing.T, client *fake.Clientset, e *Executor) {
	t.Helper()
	before := watches(client)
	e.end() // the pods' informer has to be told before it begins
	e.running.Wait()
	e.opts.Lasting = true
	e.pods = newPods(e.client, "jobs", &metav1.LabelSelector{MatchLabels: map[string]string{labelName: appName}}, e.opts.Logger)
	e.life, e.end = context.WithCancel(context.Background())
	if err := e.last(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.running.Go(func() { e.pods.run(e.life) })
	awaitWatch(t, client, e, before)
}

// TestTakeOver has a runner go in the middle of a job, and another one go on with it: the log comes again from its
// beginning, and with it what was delivered.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	n, first := newNode(t)
	goOn := make(chan struct{})
	r := n.startLasting(first, withInit(), map[string]stepFunc{
		"init": prints(0, "a", "b"),
		"job": func(orders <-chan struct{}, w *spool.Writer) {
			<-goOn
			prints(0, "c", "d")(orders, w)
		},
	})
	batch, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	delivered := executor.Progress{Records: uint64(batch.Len()), At: 1, Lines: 1, Sent: 2}
	r.Note(delivered)
	r.Ack(uint64(batch.Len()))
	if err := r.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := otherOf(t, n.client, n, nil)
	last(t, n.client, second)
	adopted := takeOver(t, second)
	if adopted.Runner != "runner-1" || adopted.Kept != nil || adopted.Job.ID != withInit().ID || adopted.Delivered != delivered {
		t.Errorf("adopted %+v", adopted)
	}
	close(goOn)
	res, records := follow(t, adopted.Run)
	want(t, res, job.Success, "", "")
	if records != 4 || res.Gap != "" || res.Note != "" || res.Kept != nil {
		t.Errorf("%d records were read, gap %q, note %q", records, res.Gap, res.Note)
	}
	if err := adopted.Run.Close(t.Context()); err != nil {
		t.Error(err)
	}
	pods, _ := n.client.CoreV1().Pods("jobs").List(t.Context(), metav1.ListOptions{})
	if len(pods.Items) != 0 {
		t.Error("the pod is left")
	}
}

// readAtLeast reads some records of a run, and returns how many they were.
func readAtLeast(t *testing.T, r executor.Run, n uint64) (read uint64) {
	t.Helper()
	for read < n {
		batch, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		read += uint64(batch.Len())
	}
	return read
}

// TestTakeOverWithoutTheBeginning has the helper forget what was delivered: the log is taken up behind it.
func TestTakeOverWithoutTheBeginning(t *testing.T) {
	t.Parallel()
	n, first := newNode(t)
	r := n.startLasting(first, withInit(), map[string]stepFunc{
		"init": prints(0, "a", "b"),
		"job": func(_ <-chan struct{}, w *spool.Writer) {
			printMany(w, 1000, 30<<10) // more than a segment or two
		},
	})
	read := readAtLeast(t, r, 900)
	r.Note(executor.Progress{Records: read, At: read, Lines: read, Sent: read})
	r.Ack(read)
	await(t, "the beginning is forgotten", func() bool { return n.forgotten("job") })
	if err := r.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := otherOf(t, n.client, n, nil)
	last(t, n.client, second)
	adopted := takeOver(t, second)
	res, records := follow(t, adopted.Run)
	want(t, res, job.Success, "", "")
	// The init step is there as a whole.
	if got, want := adopted.Run.Missing(), (executor.Hole{After: 2, Records: read - 2, At: read}); got != want {
		t.Errorf("missing %+v, want %+v", got, want)
	}
	if records != 1002-read+2 || res.Gap != "" || !strings.Contains(res.Note, "kept no longer") {
		t.Errorf("%d records were read of 1002 behind %d, gap %q, note %q", records, read, res.Gap, res.Note)
	}
	if n := adopted.Run.(*run).place.delivered; n != 1002 { //nolint:forcetypeassert // the test is about that
		t.Errorf("%d records count as delivered, want 1002", n)
	}
	if err := adopted.Run.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestTakeOverBehindAStep has the helper forget the beginning of the init step, when some of the next step was delivered, too.
func TestTakeOverBehindAStep(t *testing.T) {
	t.Parallel()
	n, first := newNode(t)
	r := n.startLasting(first, withInit(), map[string]stepFunc{
		"init": func(_ <-chan struct{}, w *spool.Writer) { printMany(w, 400, 30<<10) },
		"job":  prints(0, "a", "b", "c"),
	})
	readAtLeast(t, r, 401)
	r.Note(executor.Progress{Records: 401, At: 401, Lines: 401, Sent: 401})
	r.(*run).client.Ack("init", 400) //nolint:forcetypeassert // what a delivery does in the end
	await(t, "the beginning is forgotten", func() bool { return n.forgotten("init") })
	if err := r.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := otherOf(t, n.client, n, nil)
	last(t, n.client, second)
	adopted := takeOver(t, second)
	res, records := follow(t, adopted.Run)
	want(t, res, job.Success, "", "")
	if hole := adopted.Run.Missing(); records != 2 || res.Gap != "" || hole != (executor.Hole{Records: 401, At: 401}) {
		t.Errorf("%d records were read, gap %q, missing %+v", records, res.Gap, hole)
	}
	if err := adopted.Run.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestTaken has another runner take over a job whose runner lives: that one learns of it, and leaves the pod alone.
func TestTaken(t *testing.T) {
	t.Parallel()
	n, first := newNode(t)
	r := n.startLasting(first, plainJob(), map[string]stepFunc{"job": func(orders <-chan struct{}, w *spool.Writer) {
		<-orders
		prints(1, "a")(orders, w)
	}})
	awaitRunning(r)
	n.change(func(pod *corev1.Pod) {
		pod.Annotations[annotationRunner], pod.Annotations[annotationInstance] = "runner-2", "instance-2"
	})
	select {
	case <-r.Taken():
	case <-time.After(10 * time.Second):
		t.Fatal("the run does not learn that the job was taken over")
	}
	if err := r.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	if pod := onlyPod(t, n.client); pod.Annotations[annotationInstance] != "instance-2" {
		t.Errorf("the pod has %v", pod.Annotations)
	}
	n.stop()
}

// TestHandedOutAgain has the source give a job to another runner while the first one lives: that one has it from then on.
func TestHandedOutAgain(t *testing.T) {
	client := cluster(t)
	first, second := executorOf(t, client, nil), otherOf(t, client, nil, nil)
	if _, err := runOf(t, first).create(t.Context()); err != nil {
		t.Fatal(err)
	}
	j := plainJob()
	j.Attempt, j.Handle = 2, []byte("another")
	r := newRun(second, j)
	t.Cleanup(r.end)
	if _, err := r.create(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := onlyPod(t, client).Annotations
	if a[annotationInstance] != "instance-2" || a[annotationAttempt] != "2" || a[annotationHandle] != "YW5vdGhlcg==" {
		t.Errorf("the pod has %v", a)
	}
}

// TestKeep keeps a result and finds it again.
func TestKeep(t *testing.T) {
	client := cluster(t)
	e := executorOf(t, client, nil)
	r := runOf(t, e)
	if _, err := r.create(t.Context()); err != nil {
		t.Fatal(err)
	}
	code, begun := 3, time.Now().UTC().Truncate(time.Second)
	kept := executor.Kept{
		Result: job.Result{
			Outcome: job.Failed, Reason: job.ReasonExit, Message: "the commands ended with exit code 3", ExitCode: &code,
			Variables: []job.OutcomeVariable{{Key: "b", Value: []byte("\xff")}, {Key: "a", Value: []byte("1")}, {Key: "b", Value: nil}},
		},
		Records: 12, Started: begun, Finished: begun.Add(time.Minute),
	}
	r.Note(executor.Progress{Records: 12, At: 11, Lines: 11, Sent: 13})
	if err := r.Keep(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	pod := onlyPod(t, client)
	if diff := cmp.Diff(&kept, keptOn(pod), cmpEmpty); diff != "" {
		t.Errorf("what is kept (-want +got):\n%s", diff)
	}
	if want := `{"records":12,"at":11,"lines":11,"sent":13}`; pod.Annotations[annotationProgress] != want {
		t.Errorf("the progress is %s", pod.Annotations[annotationProgress])
	}
	kept.Result.Message = strings.Repeat("x", maxKeptBytes)
	if err := r.Keep(t.Context(), kept); err == nil || !strings.Contains(err.Error(), "64") {
		t.Errorf("the error of a result that is too large is %v", err)
	}
	r.mu.Lock()
	r.closed = true // there is no helper to note anything
	r.mu.Unlock()
}

func TestKeptByNobody(t *testing.T) {
	for _, text := range []string{"", "{", `{"outcome":"fine"}`} {
		if kept := keptOn(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{annotationOutcome: text}}}); kept != nil {
			t.Errorf("%q is %+v", text, kept)
		}
	}
}

// TestLeaveWhatIsNotThere: a job without a pod can't be left to anybody.
func TestLeaveWhatIsNotThere(t *testing.T) {
	client := cluster(t)
	e := executorOf(t, client, nowhere{})
	client.PrependReactor("create", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "x", errors.New("exceeded quota"))
	})
	started, err := e.Start(t.Context(), plainJob())
	if err != nil {
		t.Fatal(err)
	}
	r := started.(executor.Lasting) //nolint:forcetypeassert // the test is about that
	res, _ := follow(t, r)
	want(t, res, job.Failed, job.ReasonQuota, "")
	if err := r.Leave(t.Context()); !errors.Is(err, executor.ErrNothingLeft) {
		t.Errorf("the error is %v", err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if c, err := client.CoreV1().ConfigMaps("jobs").List(t.Context(), metav1.ListOptions{}); err != nil || len(c.Items) != 0 {
		t.Errorf("%d ConfigMaps are left, error %v", len(c.Items), err)
	}
}

// TestLeaveUntold: a pod that could not be let go of is an orphan to the process that has it, and to nobody else.
func TestLeaveUntold(t *testing.T) {
	client := cluster(t)
	first, second := executorOf(t, client, nowhere{}), otherOf(t, client, nowhere{}, nil)
	first.orphans, second.orphans = newOrphans(first), newOrphans(second)
	if err := newLease(first).take(t.Context()); err != nil {
		t.Fatal(err)
	}
	started, err := first.Start(t.Context(), plainJob())
	if err != nil {
		t.Fatal(err)
	}
	r := started.(executor.Lasting) //nolint:forcetypeassert // the test is about that
	for _, e := range []*Executor{first, second} {
		await(t, "the pod is seen", func() bool { return len(e.pods.all()) == 1 })
	}
	client.PrependReactor("patch", "pods", func(a k8stesting.Action) (bool, runtime.Object, error) {
		failing := a.(k8stesting.PatchAction).GetPatchType() == types.JSONPatchType //nolint:forcetypeassert // it is one
		return failing, nil, errors.New("the API server is away")
	})
	if err := r.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.orphans.find(t.Context())
	if n := first.Waiting(); n != 0 {
		t.Errorf("it is not left alone for a while: %d", n)
	}
	first.orphans.later = map[string]delay{}
	for e, want := range map[*Executor]int{first: 1, second: 0} {
		if e.orphans.find(t.Context()); e.Waiting() != want {
			t.Errorf("to %s there are %d orphans, want %d", e.opts.Runner, e.Waiting(), want)
		}
	}
	adopted, err := first.Adopt(t.Context(), func(string) bool { return true })
	if err != nil || adopted == nil {
		t.Fatalf("adopted %v, error %v", adopted, err)
	}
	if first.orphans.find(t.Context()); first.Waiting() != 0 {
		t.Error("it is an orphan still")
	}
	if err := adopted.Run.Leave(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNoteInterval(t *testing.T) {
	e := executorOf(t, cluster(t), nil)
	e.opts.Settings.QPS = 50
	for _, c := range []struct {
		runs int
		want time.Duration
	}{{1, time.Second}, {12, time.Second}, {50, 4 * time.Second}, {1000, 10 * time.Second}} {
		for n := e.pods.runs(); n < c.runs; n++ {
			e.pods.watch(fmt.Sprint("pod-", n))
		}
		if got := e.noteInterval(); got != c.want {
			t.Errorf("with %d jobs it is %s, want %s", c.runs, got, c.want)
		}
	}
}
