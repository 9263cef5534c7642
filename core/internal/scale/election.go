package scale

import (
	"context"

	"k8s.io/client-go/tools/leaderelection"
)

// lead seeks leadership, and leads, until ctx ends. A leader that has lost its lease seeks it again.
func (s *Scaler) lead(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.candidacy(ctx); err != nil {
			// Only times that contradict each other lead here, and those are constants.
			s.failed("elect", "seek leadership", err)
			return
		}
	}
}

// candidacy is one try for the lease, and what follows from it: until the lease is lost, or ctx ends.
func (s *Scaler) candidacy(ctx context.Context) error {
	// It lasts longer than ctx: the lease is given back when nothing is under way any more that was done in its name.
	standing, resign := context.WithCancel(context.WithoutCancel(ctx))
	elected := make(chan context.Context, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: s.Settings.Deployment, Lock: s.newLease(resign), ReleaseOnCancel: true,
		LeaseDuration: s.times.lease, RenewDeadline: s.times.renew, RetryPeriod: s.times.retry,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(term context.Context) { elected <- term },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		resign()
		return err
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		elector.Run(standing)
	}()
	defer func() {
		resign()
		<-over
	}()
	select {
	case term := <-elected:
		s.reign(ctx, term)
	case <-ctx.Done():
	case <-over:
	}
	return nil
}

// reign does a leader's work until ctx ends, or term, which is the lease.
func (s *Scaler) reign(ctx, term context.Context) {
	leading, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(term, stop)()
	s.Metrics.Scaling(true)
	defer s.Metrics.Scaling(false)
	s.Logger.Info("this runner scales the Deployment from now on", "leader", s.Settings.Pod)
	s.scaleUntil(leading)
	if ctx.Err() == nil {
		s.Logger.Warn("this runner has lost the lease, and does not scale the Deployment any more; it seeks the lease again", "leader", s.Settings.Pod)
	}
}
