package kubernetes

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
)

// claim makes a pod this process's, unless it has changed since it was seen: of several runners one succeeds. The others get
// a conflict. More annotations are set with it.
func (e *Executor) claim(ctx context.Context, pod *corev1.Pod, more map[string]string) (*corev1.Pod, error) {
	annotations := map[string]string{annotationRunner: e.opts.Runner, annotationInstance: e.instance}
	maps.Copy(annotations, more)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": pod.ResourceVersion,
		"labels":          map[string]string{labelManagedBy: managedBy(e.opts.Runner)},
		"annotations":     annotations,
	}})
	if err != nil {
		return nil, err
	}
	return e.client.CoreV1().Pods(e.namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{})
}

// release lets go of a pod that was claimed and that this process can't go on with.
func (e *Executor) release(ctx context.Context, name string) error {
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:""}}}`, annotationInstance)
	_, err := e.client.CoreV1().Pods(e.namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// change sets annotations of a run's pod, unless another runner has the pod.
func (r *run) change(ctx context.Context, annotations map[string]string) error {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value string `json:"value"`
	}
	at := func(annotation string) string {
		return "/metadata/annotations/" + strings.ReplaceAll(annotation, "/", "~1")
	}
	operations := []operation{{"test", at(annotationInstance), r.e.instance}}
	for key, value := range annotations {
		operations = append(operations, operation{"add", at(key), value})
	}
	patch, err := json.Marshal(operations)
	if err != nil {
		return err
	}
	_, err = r.e.client.CoreV1().Pods(r.e.namespace).Patch(ctx, r.objects.name, types.JSONPatchType, patch, metav1.PatchOptions{})
	return err
}

// found takes from a pod that another process had what that one has noted on it.
func (r *run) found(pod *corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// What can't be read was noted by nobody: then the log is taken up at its beginning, and the result found out.
	_ = json.Unmarshal([]byte(pod.Annotations[annotationProgress]), &r.noted)
	r.kept = keptOn(pod)
}

// noted is a variable of the job as a runner that takes the job over needs it. Its value is that of the step's variables,
// unless another variable of the job hides it there.
type noted struct {
	Key       string    `json:"key"`
	Sensitive bool      `json:"sensitive,omitempty"`
	Scope     job.Scope `json:"scope,omitempty"`
	Value     *string   `json:"value,omitempty"`
}

// takeover is what the Secret holds for a runner that takes the job over.
type takeover struct {
	Labels    map[string]string `json:"labels,omitempty"`
	Variables []noted           `json:"variables"`
}

// noted notes the variables that p has the values of.
func (o *objects) noted(p payload) ([]byte, error) {
	values, err := stepVariables(p.secret)
	if err != nil {
		return nil, err
	}
	t := takeover{Labels: o.job.Labels, Variables: []noted{}}
	for _, v := range o.job.Variables {
		n := noted{Key: v.Key, Sensitive: v.Sensitive, Scope: v.Scope}
		if value, ok := values.of(n); !ok || value != v.Value {
			n.Value = &v.Value
		}
		t.Variables = append(t.Variables, n)
	}
	return json.Marshal(t)
}

// stepValues are the values of the steps' variables by their names.
type stepValues map[string]map[string]string

// stepVariables reads them out of the data of a Secret.
func stepVariables(data map[string][]byte) (stepValues, error) {
	values := stepValues{}
	for _, step := range []string{record.StepInit, record.StepJob} {
		text, ok := data[variablesKey(step)]
		if !ok {
			continue
		}
		var env []string
		if err := json.Unmarshal(text, &env); err != nil {
			return nil, fmt.Errorf("the variables of step %q are no JSON array of texts", step) // the error may show a value
		}
		values[step] = map[string]string{}
		for _, v := range env {
			key, value, _ := strings.Cut(v, "=")
			values[step][key] = value
		}
	}
	return values, nil
}

// of returns the value of a variable in a step that sees it.
func (s stepValues) of(n noted) (string, bool) {
	step := record.StepJob
	if n.Scope == job.ScopeInit {
		step = record.StepInit
	}
	value, ok := s[step][n.Key]
	return value, ok
}

// recover finds out what job a pod is of, and how to reach it.
func (e *Executor) recover(ctx context.Context, pod *corev1.Pod) (*objects, error) {
	secret, err := e.client.CoreV1().Secrets(e.namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get the job's Secret: %w", err)
	}
	j, err := recoverJob(pod, secret.Data)
	if err != nil {
		return nil, err
	}
	return &objects{
		settings: e.opts.Settings, job: j, mode: e.opts.Mode, name: pod.Name,
		runner: e.opts.Runner, instance: e.instance, pipeline: e.opts.Pipeline, source: e.opts.Source,
		keys: agent.Keys{Certificate: secret.Data[keyCertificate], Private: secret.Data[keyPrivate]},
	}, nil
}

// recoverJob is the job of a pod, without its commands and files: those have been handed to its steps.
func recoverJob(pod *corev1.Pod, secret map[string][]byte) (*job.Job, error) {
	var t takeover
	if json.Unmarshal(secret[keyVariables], &t) != nil { // the error may show a value
		return nil, fmt.Errorf("the key %q of the job's Secret can't be read", keyVariables)
	}
	handle, err := base64.StdEncoding.DecodeString(pod.Annotations[annotationHandle])
	if err != nil {
		return nil, fmt.Errorf("read the annotation %s: %w", annotationHandle, err)
	}
	attempt, err := strconv.Atoi(pod.Annotations[annotationAttempt])
	if err != nil {
		return nil, fmt.Errorf("read the annotation %s: %w", annotationAttempt, err)
	}
	j := &job.Job{
		ID: pod.Annotations[annotationJobID], Attempt: attempt, Number: pod.Annotations[annotationNumber], Handle: handle, Labels: t.Labels,
	}
	for _, c := range pod.Spec.Containers {
		switch c.Name {
		case record.StepInit:
			j.InitImage, j.InitCommands = c.Image, []string{""} // that there are some is all that counts now
		case record.StepJob:
			j.Image = c.Image
		}
	}
	values, err := stepVariables(secret)
	if err != nil {
		return nil, err
	}
	for _, n := range t.Variables {
		v := job.Variable{Key: n.Key, Sensitive: n.Sensitive, Scope: n.Scope}
		if n.Value != nil {
			v.Value = *n.Value
		} else if v.Value, _ = values.of(n); v.Value == "" && n.Sensitive {
			if _, ok := values.of(n); !ok {
				return nil, fmt.Errorf("the value of the sensitive variable %q is missing in the job's Secret", n.Key)
			}
		}
		j.Variables = append(j.Variables, v)
	}
	return j, nil
}

// maxKeptBytes bounds the annotation with a job's result: all annotations of an object may have 256 KiB.
const maxKeptBytes = 64 << 10

// keptResult is the annotation with what a job has come to.
type keptResult struct {
	Outcome   job.Outcome    `json:"outcome"`
	Reason    job.Reason     `json:"reason,omitempty"`
	Message   string         `json:"message,omitempty"`
	ExitCode  *int           `json:"exit_code,omitempty"`
	Variables []keptVariable `json:"variables,omitempty"`
	Records   uint64         `json:"records,omitempty"`
	Started   *time.Time     `json:"started,omitempty"`
	Finished  *time.Time     `json:"finished,omitempty"`
}

type keptVariable struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// Keep implements executor.Lasting.
func (r *run) Keep(ctx context.Context, kept executor.Kept) error {
	res := kept.Result
	k := keptResult{
		Outcome: res.Outcome, Reason: res.Reason, Message: res.Message, ExitCode: res.ExitCode,
		Records: kept.Records,
	}
	for _, v := range res.Variables {
		k.Variables = append(k.Variables, keptVariable(v))
	}
	if !kept.Started.IsZero() {
		k.Started, k.Finished = &kept.Started, &kept.Finished
	}
	text, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("keep the result: %w", err)
	}
	if len(text) > maxKeptBytes {
		return fmt.Errorf("keep the result: it has %d KiB, and an annotation of the pod has room for %d", len(text)>>10, maxKeptBytes>>10)
	}
	annotations := r.progress()
	annotations[annotationOutcome] = string(text)
	if err := r.change(ctx, annotations); err != nil {
		return fmt.Errorf("keep the result on pod %q: %w", r.objects.name, err)
	}
	return nil
}

// keptOn is what is kept on a pod; nil when nothing is.
func keptOn(pod *corev1.Pod) *executor.Kept {
	var k keptResult
	if json.Unmarshal([]byte(pod.Annotations[annotationOutcome]), &k) != nil || !k.Outcome.Valid() {
		return nil
	}
	kept := &executor.Kept{
		Result:  job.Result{Outcome: k.Outcome, Reason: k.Reason, Message: k.Message, ExitCode: k.ExitCode},
		Records: k.Records,
	}
	for _, v := range k.Variables {
		kept.Result.Variables = append(kept.Result.Variables, job.OutcomeVariable(v))
	}
	if k.Started != nil && k.Finished != nil {
		kept.Started, kept.Finished = *k.Started, *k.Finished
	}
	return kept
}

// adopted starts the run of a job whose pod this process has claimed, and has watched since.
func (e *Executor) adopted(o *objects, pod *corev1.Pod, w *watched) *run {
	r := runWith(e, o, w)
	r.found(pod)
	if r.kept != nil { // a pod that was given up may still be about to start
		r.start(r.endInPod)
	}
	go r.supervise(func(context.Context) (*corev1.Pod, error) { return pod, nil })
	return r
}

// Taken implements executor.Lasting.
func (r *run) Taken() <-chan struct{} { return r.taken }

func (r *run) setLeft(left bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = left
}

// Leave implements executor.Lasting.
func (r *run) Leave(ctx context.Context) error {
	r.setLeft(true)
	annotations := r.progress()
	annotations[annotationInstance] = ""
	var err error
	select {
	case <-r.taken:
	default:
		err = retry(ctx, func(ctx context.Context) error { return r.change(ctx, annotations) })
	}
	switch {
	case apierrors.IsNotFound(err):
		r.setLeft(false)
		return fmt.Errorf("let go of pod %q: %w: %w", r.objects.name, executor.ErrNothingLeft, err)
	case err != nil && r.e.orphans != nil:
		// It is known here, and to everybody when this process has ended.
		r.e.orphans.drop(r.objects.name)
		r.e.opts.Logger.Warn("could not note on a pod that its job is there to be taken over", "pod", r.objects.name, "error", err)
		err = nil
	}
	if r.e.orphans != nil {
		r.e.orphans.postpone(r.objects.name)
	}
	return errors.Join(err, r.letGo())
}
