// Package kubernetes runs each job in a pod of its own.
//
// A job is three objects of one name: a ConfigMap, which owns the others, a Secret and a Pod; see objects.go for what is in
// them. The pod has a container for each step and one for the helper, which serves the steps' output over a connection that
// only this job's key pair opens (package agent). Core follows the pod with one shared informer and the output with that
// connection; it never uses pods/exec or the kubelet's logs.
//
// A result rests on a step's exit record, or on what the cluster says of the pod. Nothing here concludes from the end of a
// stream that a job has ended.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
)

// reachTimeout bounds the first call to the cluster.
const reachTimeout = 10 * time.Second

// Options say how jobs are run.
type Options struct {
	Settings config.Kubernetes
	// Runner is the name of the runner, Pipeline that of the pipeline. Source tells the jobs of one source from those of
	// another: a job is known by its id and this. Mode is the source's word for labels, such as "api"; may be empty.
	Runner, Pipeline, Source, Mode string
	// Keep leaves a job's objects when it is over.
	Keep bool
	// Logger may be nil.
	Logger hclog.Logger
}

// Executor runs jobs in one namespace of one cluster.
type Executor struct {
	opts      Options
	access    *access
	client    kubernetes.Interface
	namespace string
	selector  *metav1.LabelSelector
	pods      *pods
	dialer    dialer
	budget    *budget
	// life ends with Close; all that runs for the executor ends with it.
	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup
}

var _ executor.Executor = (*Executor)(nil)

// New connects to the cluster. The error says what keeps core from it, and what to do.
func New(ctx context.Context, opts Options) (*Executor, error) {
	if opts.Logger == nil {
		opts.Logger = hclog.NewNullLogger()
	}
	client, err := NewClient(opts.Settings, opts.Logger)
	if err != nil {
		return nil, err
	}
	access := client.access
	selector := metav1.LabelSelector{MatchLabels: map[string]string{
		labelName: appName, labelManagedBy: managedBy(opts.Runner),
	}}
	if err := reach(ctx, client, access, &selector); err != nil {
		return nil, err
	}
	e := &Executor{
		opts: opts, access: access, client: client, namespace: access.namespace, selector: &selector,
		pods: newPods(client, access.namespace, &selector, opts.Logger),
	}
	e.life, e.end = context.WithCancel(context.Background())
	e.dialer = newDialer(access, opts.Settings.Transport)
	e.budget = newBudget(client, access.namespace)
	e.running.Go(func() { e.pods.run(e.life) })
	return e, nil
}

// reach makes sure that the cluster answers and that the account may see its pods.
func reach(ctx context.Context, client kubernetes.Interface, access *access, selector *metav1.LabelSelector) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	_, err := client.CoreV1().Pods(access.namespace).List(ctx, metav1.ListOptions{
		LabelSelector: metav1.FormatLabelSelector(selector), Limit: 1,
	})
	if err == nil {
		return nil
	}
	return access.explain(err)
}

// Reach asks the cluster whether it answers. The error says what keeps core from it.
func (e *Executor) Reach(ctx context.Context) error {
	return reach(ctx, e.client, e.access, e.selector)
}

// Close ends what runs for the executor. Close all runs first.
func (e *Executor) Close() error {
	e.end()
	e.running.Wait()
	e.access.http.CloseIdleConnections()
	return nil
}

// Start implements executor.Executor. The objects are made by the run: what the cluster has against them is a result of
// the job.
func (e *Executor) Start(_ context.Context, j *job.Job) (executor.Run, error) {
	if e.life.Err() != nil {
		return nil, errors.New("the executor is closed")
	}
	r := newRun(e, j)
	go r.supervise()
	return r, nil
}

// Kept says how to look at what is left of a job whose objects are kept, and how to remove it.
func (e *Executor) Kept(id string) string {
	name := objectName(e.opts.Source, id)
	return fmt.Sprintf("The pod is left. Look at it:\n  kubectl -n %[1]s describe pod %[2]s\nRemove it, with its ConfigMap and its Secret:\n"+
		"  kubectl -n %[1]s delete configmap %[2]s\n", e.namespace, name)
}
