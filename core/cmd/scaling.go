package cmd

import (
	"context"
	"fmt"

	"github.com/podrunner/runner/core/internal/assembly"
	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/engine"
	"github.com/podrunner/runner/core/internal/executor/kubernetes"
	"github.com/podrunner/runner/core/internal/pluginhost"
	"github.com/podrunner/runner/core/internal/scale"
)

// Requests a second to the API server that scaling may make: a few for the lease, and now and then one for all else.
const scalingQPS, scalingBurst = 10, 20

// opinion notes a source that can say how many runners there should be.
func (s *service) opinion(p *config.Pipeline, source *pluginhost.Plugin) {
	recommender := assembly.Recommender(source)
	if recommender == nil {
		return
	}
	concurrency := s.config.Runner.Concurrency
	if p.Concurrency > 0 {
		concurrency = min(concurrency, p.Concurrency)
	}
	s.opinions = append(s.opinions, scale.Source{
		Pipeline: p.Name, Name: p.Source.Name, Concurrency: concurrency, Recommender: recommender,
	})
}

// scale has the runner take part in the scaling of its Deployment, if it is to, from now until ctx ends, which says that
// the runner is to stop.
func (s *service) scale(ctx context.Context, of *engine.Service) error {
	settings := s.config.Scaling
	if !settings.Enabled {
		return nil
	}
	if len(s.opinions) == 0 {
		return s.app.finish(assembly.NoOpinion(s.config), nil)
	}
	client, err := kubernetes.NewClient(config.Kubernetes{
		Kubeconfig: settings.Kubeconfig, Context: settings.Context, QPS: scalingQPS, Burst: scalingBurst, // each call has a deadline
	}, s.app.log)
	if err != nil {
		return infrastructureError(fmt.Errorf("scale the runners: %w", err))
	}
	scaler := scale.New(scale.Options{
		Client: client, Settings: settings, Sources: s.opinions, Metrics: s.metrics, Logger: s.app.log.Named("scale"),
	})
	of.Load = scaler.Load
	scaler.Start(ctx)
	s.later("scaling", func(ctx context.Context) error {
		defer client.Close()
		return scaler.Close(ctx)
	})
	return nil
}
