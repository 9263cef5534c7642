package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/podrunner/runner/core/internal/assembly"
	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/engine"
	"github.com/podrunner/runner/core/internal/executor/kubernetes"
	"github.com/podrunner/runner/core/internal/pluginhost"
	"github.com/podrunner/runner/core/internal/scale"
	"github.com/podrunner/runner/core/internal/suggest"
	"github.com/podrunner/runner/core/internal/telemetry"
	"github.com/podrunner/runner/core/internal/version"
)

// clusterCheckEvery is how long an answer of the cluster stands for its health.
const clusterCheckEvery = 10 * time.Second

type runFlags struct{ pipelines []string }

func newRun(a *app) *cobra.Command {
	var flags runFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "Take jobs from the sources, run them, and report on them, until told to stop",
		Long: "Run takes jobs from the source of each pipeline, as many at once as `concurrency` says, runs each, pipes its log\n" +
			"through the pipeline's processors, and gives log and result back to the source.\n\n" +
			"The first SIGTERM or Ctrl-C drains: no more jobs are taken, those that run have `drain_timeout` to end by themselves,\n" +
			"then they are ended, and all that they have printed is delivered. The second ends core at once: pods go on without\n" +
			"it, for another runner to take over.\n\n" +
			"Exit code 0 says that all jobs are over and reported, 1 that core was ended at once while jobs ran, or left jobs that it could\n" +
			"not report, 2 that the command line or the configuration has to be mended, 3 that something that core rests on is broken.",
		Example: "  core run\n  core run -c /etc/runner/runner.hcl --log-format json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runRun(cmd.Context(), a, flags) },
	}
	a.addSet(c)
	c.Flags().StringSliceVar(&flags.pipelines, "pipeline", nil, "`names` of the pipelines to serve (default: all that have a source)")
	return c
}

func runRun(ctx context.Context, a *app, flags runFlags) error {
	again, release := secondSignal()
	defer release()
	s := &service{app: a, closed: make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		defer s.close()
		done <- s.run(ctx, flags)
	}()
	select {
	case err := <-done:
		<-s.closed
		return err
	case <-again:
		a.log.Warn("stopped at once; jobs in pods go on, and wait there with their logs for the next runner")
		s.witnesses.close(hurriedTimeout)
		return silent(exitJobFailed)
	}
}

// secondSignal returns a channel that is closed when core is told to stop a second time; the first signal ends the
// command's context.
func secondSignal() (again <-chan struct{}, release func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, stopSignals()...)
	second, quit := make(chan struct{}), make(chan struct{})
	go func() {
		defer signal.Stop(signals)
		// The first one comes here, too.
		for range 2 {
			select {
			case <-signals:
			case <-quit:
				return
			}
		}
		close(second)
	}()
	return second, func() { close(quit) }
}

// service is what `run` is made of.
type service struct {
	app     *app
	config  *config.Config
	host    *pluginhost.Host
	metrics *telemetry.Metrics
	health  *telemetry.Health
	// opinions are the sources that can say how many runners there should be.
	opinions []scale.Source
	// witnesses are closed by whichever end of core comes first.
	witnesses witnesses
	// closers are called at the end, the last one first.
	closers []func()
	closed  chan struct{}
}

// run serves until the end of it.
func (s *service) run(ctx context.Context, flags runFlags) error {
	var err error
	if s.config, err = s.app.loadConfig(ctx); err != nil {
		return err
	}
	pipelines, err := served(s.config, flags.pipelines)
	if err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	if err := s.witness(); err != nil {
		return err
	}
	if err := s.startHost(); err != nil {
		return err
	}
	service := engine.Service{
		Runner: s.config.Runner.Name, Concurrency: s.config.Runner.Concurrency, DrainTimeout: s.config.Runner.DrainTimeout,
		Redact: &s.app.redact, Metrics: s.metrics, Health: s.health,
		Traces: s.witnesses.traces, Reports: s.witnesses.reports, Logger: s.app.log,
	}
	for _, p := range pipelines {
		made, err := s.pipeline(ctx, p)
		if err != nil {
			return err
		}
		service.Pipelines = append(service.Pipelines, *made)
	}
	if err := s.scale(ctx, &service); err != nil {
		return err
	}
	s.health.Set("plugins", nil)
	s.app.log.Info("running", "runner", service.Runner, "version", version.String(), "pipelines", len(pipelines), "concurrency", service.Concurrency)
	err = service.Serve(ctx)
	var left *engine.LeftError
	switch {
	case errors.As(err, &left):
		s.app.log.Warn("stopped: not all jobs could be reported", "jobs", left.Jobs, "error", left)
		return silent(exitJobFailed)
	case err != nil:
		return usageError(err)
	}
	s.app.log.Info("stopped: all jobs are over and reported")
	return nil
}

// served returns the pipelines to take jobs for.
func served(c *config.Config, names []string) ([]*config.Pipeline, error) {
	for _, name := range names {
		p := c.Pipeline(name)
		switch {
		case p == nil:
			all := c.PipelineNames()
			return nil, usageError(fmt.Errorf("there is no pipeline %q.%s There are: %q", name, suggest.Hint(name, all), all))
		case p.Source == nil:
			return nil, usageError(fmt.Errorf("the pipeline %q has no source, so there are no jobs to run: add a block source \"name\" { … } to it", name))
		}
	}
	var pipelines []*config.Pipeline
	for _, p := range c.Pipelines {
		if p.Source != nil && (len(names) == 0 || slices.Contains(names, p.Name)) {
			pipelines = append(pipelines, p)
		}
	}
	if len(pipelines) == 0 {
		return nil, usageError(fmt.Errorf("no pipeline has a source, so there are no jobs to run: add a block source \"name\" { … } to one of %q", c.PipelineNames()))
	}
	if c.Runner.Concurrency < len(pipelines) {
		return nil, usageError(fmt.Errorf("%d pipelines have a source, and only %d jobs may run at once: raise concurrency in the block runner, or choose pipelines with --pipeline",
			len(pipelines), c.Runner.Concurrency))
	}
	return pipelines, nil
}

// listen starts the server of metrics and health.
func (s *service) listen() error {
	t := s.config.Telemetry
	s.metrics = telemetry.NewMetrics(telemetry.Options{Namespace: t.Namespace, Version: version.String()})
	s.health = telemetry.NewHealth()
	s.health.Declare("plugins")
	if t.Address == "" {
		return nil
	}
	server, err := telemetry.Listen(telemetry.ServerOptions{
		Address: t.Address, Pprof: t.Pprof, Metrics: s.metrics, Health: s.health,
		Redact: s.app.redact.String, Logger: s.app.log.Named("telemetry"),
	})
	if err != nil {
		return infrastructureError(err)
	}
	s.app.log.Info("serving metrics and health", "address", server.Addr())
	s.later("the server of metrics", server.Close)
	return nil
}

// startHost makes the host of the plugins.
func (s *service) startHost() error {
	host, err := s.app.newHostWith(s.config, func(o *pluginhost.Options) {
		o.Up = func(kind pluginhost.Kind, name string, up bool) { s.metrics.PluginUp(string(kind), name, up) }
		o.Restarted = func(kind pluginhost.Kind, name string) { s.metrics.PluginRestarted(string(kind), name) }
		o.Ended = func(kind pluginhost.Kind, name string, why *pluginhost.Error) {
			s.witnesses.reports.Plugin(telemetry.PluginReport{
				Kind: string(kind), Name: name, Reason: string(why.Reason), What: why.Summary(), Output: why.Output,
			})
		}
	})
	if err != nil {
		return err
	}
	s.host = host
	s.host.SetRedact(s.app.redact.Bytes)
	s.later("the plugins", s.host.Close)
	return nil
}

// pipeline starts the plugins of a pipeline, and its executor.
func (s *service) pipeline(ctx context.Context, p *config.Pipeline) (*engine.Pipeline, error) {
	stages, err := s.app.assemble(ctx, s.host, p)
	if err != nil {
		return nil, err
	}
	source, diags, broken := assembly.Source(ctx, s.host, p)
	if ctx.Err() != nil {
		return nil, errInterrupted
	}
	if err := s.app.finish(diags, broken); err != nil {
		return nil, err
	}
	s.opinion(p, source)
	made := &engine.Pipeline{
		Name: p.Name, Source: p.Source.Name, Kind: p.Executor, Concurrency: p.Concurrency,
		Connector: assembly.SourceConnector(source), Stages: assembly.PipelineStages(stages),
		Resumes: source.Description().GetSource().GetResumes(), PackedLogs: source.Description().GetSource().GetPackedLogs(),
		MaxBytes: int(p.BatchBytes()), MaxInterval: p.Deliver.MaxInterval, GiveUp: p.Deliver.GiveUp,
	}
	if made.Kind == "" {
		made.Kind = config.DefaultExecutor
	}
	if made.Kind == "local" {
		return made, s.local(made, p)
	}
	return made, s.cluster(ctx, made, p)
}

// local has the pipeline's jobs run on this machine.
func (s *service) local(made *engine.Pipeline, p *config.Pipeline) error {
	exec, err := newLocal(s.config, p)
	if err != nil {
		return err
	}
	made.Executor, made.Grace, made.Lifetime = exec, p.Local.Grace, p.Local.Lifetime
	s.later("the executor of "+p.Name, func(context.Context) error { return exec.Close() })
	return nil
}

// cluster has the pipeline's jobs run in pods.
func (s *service) cluster(ctx context.Context, made *engine.Pipeline, p *config.Pipeline) error {
	exec, err := s.app.connect(ctx, kubernetes.Options{
		Settings: p.Kubernetes, Runner: s.config.Runner.Name, Pipeline: p.Name,
		Source: p.Source.Name + "/" + p.Name, Mode: p.Source.Name, Lasting: true,
	})
	if err != nil {
		return err
	}
	made.Executor, made.Grace, made.Lifetime = exec, p.Kubernetes.Grace, p.Kubernetes.Lifetime
	s.health.Check("cluster of "+p.Name, clusterCheckEvery, exec.Reach)
	s.later("the executor of "+p.Name, func(context.Context) error { return exec.Close() })
	return nil
}

// later has something closed at the end.
func (s *service) later(what string, closer func(context.Context) error) {
	s.closers = append(s.closers, func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err := closer(ctx); err != nil && !errors.Is(err, context.Canceled) {
			s.app.log.Warn("closing "+what, "error", strings.TrimSpace(err.Error()))
		}
	})
}

// close closes what there is.
func (s *service) close() {
	for _, closer := range slices.Backward(s.closers) {
		closer()
	}
	close(s.closed)
}
