// Package kubernetes runs each job in a pod of its own.
//
// A job is three objects of one name: a ConfigMap, which owns the others, a Secret and a Pod; see objects.go for what is in
// them. The pod has a container for each step and one for the helper, which serves the steps' output over a connection that
// only this job's key pair opens (package agent). Core follows the pod with one shared informer and the output with that
// connection; it never uses pods/exec or the kubelet's logs.
//
// Pods outlive core. Each carries what another runner has to know to go on with its job (see takeover.go); a runner says by a
// Lease that it lives, and looks for the pods of those that do not (see orphans.go).
//
// A result rests on a step's exit record, or on what the cluster says of the pod. Nothing here concludes from the end of a
// stream that a job has ended.
package kubernetes

import (
	"context"
	"crypto/rand"
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
	// Lasting has a Lease say that this runner lives, and has it look for jobs of the same Source whose runner does not. Only
	// one of several processes with the same Runner and Source has it.
	Lasting bool
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
	// instance tells this process from others of the same name.
	instance string
	// lease and orphans are nil when Options.Lasting is not set.
	lease   *lease
	orphans *orphans
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
		labelName: appName, labelOrigin: labelValue(opts.Source),
	}}
	if err := reach(ctx, client, access, &selector); err != nil {
		return nil, err
	}
	e := &Executor{
		opts: opts, access: access, client: client, namespace: access.namespace, selector: &selector, instance: rand.Text(),
		pods: newPods(client, access.namespace, &selector, opts.Logger),
	}
	e.life, e.end = context.WithCancel(context.Background())
	e.dialer = newDialer(access, opts.Settings.Transport)
	e.budget = newBudget(client, access.namespace)
	if opts.Lasting {
		if err := e.last(ctx); err != nil {
			e.end()
			return nil, access.explain(err)
		}
	}
	e.running.Go(func() { e.pods.run(e.life) })
	return e, nil
}

// last takes the Lease, before there is a pod that somebody could find to have no runner, and looks for orphans.
func (e *Executor) last(ctx context.Context) error {
	e.lease = newLease(e)
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	if err := e.lease.take(ctx); err != nil {
		return err
	}
	e.orphans = newOrphans(e)
	e.pods.others = e.orphans.see
	e.running.Go(func() { e.lease.keep(e.life) })
	e.running.Go(func() { e.orphans.run(e.life) })
	return nil
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

// Close ends what runs for the executor, and lets go of the runner's Lease. Close or leave all runs first.
func (e *Executor) Close() error {
	e.end()
	e.running.Wait()
	var err error
	if e.lease != nil {
		err = e.lease.remove()
	}
	e.access.http.CloseIdleConnections()
	return err
}

// Start implements executor.Executor. The objects are made by the run: what the cluster has against them is a result of
// the job.
func (e *Executor) Start(_ context.Context, j *job.Job) (executor.Run, error) {
	if e.life.Err() != nil {
		return nil, errors.New("the executor is closed")
	}
	r := newRun(e, j)
	go r.supervise(r.create)
	return r, nil
}

// Kept says how to look at what is left of a job whose objects are kept, and how to remove it.
func (e *Executor) Kept(id string) string {
	name := objectName(e.opts.Source, id)
	return fmt.Sprintf("The pod is left. Look at it:\n  kubectl -n %[1]s describe pod %[2]s\nRemove it, with its ConfigMap and its Secret:\n"+
		"  kubectl -n %[1]s delete configmap %[2]s\n", e.namespace, name)
}
