// Package scale sees to it that there are as many runners as the sources have work for. It is for runners that are the pods
// of one Deployment.
//
// They elect one of them by a Lease; it asks the sources how many runners there should be, and scales the Deployment. And
// each of them notes on its own pod how many jobs it runs, so that the cluster ends an idle runner before a busy one.
//
// All of this is beside the jobs: whatever fails here is logged, counted and tried again, and touches none of them.
package scale

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/telemetry"
)

// Options say what is scaled, by whom, and who knows how far.
type Options struct {
	// Client is that of the cluster which the runner itself is in.
	Client kubernetes.Interface
	// Settings have been checked: Pod is not empty.
	Settings config.Scaling
	// Sources are those that have an opinion; there is at least one.
	Sources []Source
	// Metrics and Logger may be nil. What is logged may quote a source.
	Metrics *telemetry.Metrics
	Logger  hclog.Logger
}

// Source is the source of a pipeline that has an opinion on the number of runners.
type Source struct {
	// Pipeline and Name are for people: the names of the pipeline and of its source.
	Pipeline, Name string
	// Concurrency is how many jobs of the pipeline one runner takes at once.
	Concurrency int
	Recommender Recommender
}

// Recommender says how many runners there should be. It is called by one goroutine at a time.
type Recommender interface {
	// Recommend returns the number of runners when there are current ones, and each is to do for concurrency jobs.
	Recommend(ctx context.Context, current, concurrency int) (replicas int, err error)
}

// Scaler is a runner's part in the scaling of the Deployment that it belongs to. Its methods are safe for concurrent use.
type Scaler struct {
	Options

	times times
	load  load

	end     context.CancelFunc
	running sync.WaitGroup

	mu sync.Mutex
	// troubles are the errors that have been told of and still last, by what was being done.
	troubles map[string]string
}

// times are how long things take. Tests have shorter ones.
type times struct {
	// lease is how long a leader that has died is still taken for one; renew is how long a leader tries to keep its lease
	// before it gives up, which has to be less; retry is the time between two tries. They are those of opslevel-runner.
	lease, renew, retry time.Duration
	// look is how often a runner that does not lead looks at the lease.
	look time.Duration
	// call bounds a call to the API server, ask one to a source.
	call, ask time.Duration
	// calm is the least time between two changes of the pod's annotation, again that after one that has failed.
	calm, again time.Duration
}

var defaultTimes = times{
	lease: 15 * time.Second, renew: 10 * time.Second, retry: 2 * time.Second,
	// A dead leader is found out 15 to 17 s after its last renewal. With the elector's own tries, each of which waits for 2 to
	// 4.4 s, it could be 24 s.
	look: time.Second,
	call: 5 * time.Second, ask: 30 * time.Second,
	calm: 5 * time.Second, again: 30 * time.Second,
}

// New makes a Scaler, which does nothing before Start.
func New(o Options) *Scaler {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	o.Logger = o.Logger.With("deployment", o.Settings.Deployment)
	return &Scaler{
		Options: o, times: defaultTimes, load: load{changed: make(chan struct{}, 1)}, end: func() {}, troubles: map[string]string{},
	}
}

// Start has the scaler work until Close. When ctx ends, which says that the runner is to stop, it does not lead any more:
// the Deployment may be on its way to nothing, and must not be scaled up by its last pods. The load is still shown, as
// long as the last jobs take. Start is called once.
func (s *Scaler) Start(ctx context.Context) {
	leading, end := context.WithCancel(ctx)
	showing, endShowing := context.WithCancel(context.WithoutCancel(ctx))
	s.end = func() { end(); endShowing() }
	s.Metrics.Scaling(false)
	s.running.Go(func() { s.lead(leading) })
	s.running.Go(func() { s.showLoad(showing) })
}

// Close ends what Start has begun, gives a lease back, and waits for both as long as ctx lasts.
func (s *Scaler) Close(ctx context.Context) error {
	s.end()
	over := make(chan struct{})
	go func() {
		s.running.Wait()
		close(over)
	}()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("give the Lease %s back: %w", s.Settings.Deployment, ctx.Err())
	}
}

// failed counts a step that has failed. It tells of it unless it has told of the very same already and nothing has worked
// since: a cluster that is away would fill the log. step is one of telemetry.ScalingSteps, doing what was being done.
func (s *Scaler) failed(step, doing string, err error) {
	s.Metrics.ScalingFailed(step)
	text := err.Error()
	s.mu.Lock()
	news := s.troubles[doing] != text
	s.troubles[doing] = text
	s.mu.Unlock()
	if news {
		s.Logger.Warn("scaling: could not "+doing+"; it is tried again", "error", text)
	}
}

// worked says that what was being done is done.
func (s *Scaler) worked(doing string) {
	s.mu.Lock()
	_, again := s.troubles[doing]
	delete(s.troubles, doing)
	s.mu.Unlock()
	if again {
		s.Logger.Info("scaling: could " + doing + " again")
	}
}

// explain says what to do about an error of the API server's. setting names the settings that say what was asked for.
func explain(err error, setting string) error {
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("core's account lacks a right: %w. docs/operations.md has the Role that it needs for scaling", err)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s. Mend %s in the block scaling", strings.TrimSuffix(err.Error(), "."), setting)
	}
	return err
}
