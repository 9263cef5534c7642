package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/podrunner/runner/core/internal/assembly"
	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/diag"
	"github.com/podrunner/runner/core/internal/engine"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/pipeline"
	"github.com/podrunner/runner/core/internal/pluginhost"
	"github.com/podrunner/runner/core/internal/render"
)

// session is what `test` and `replay` share: one job through one pipeline, shown on the terminal.
type session struct {
	app      *app
	config   *config.Config
	pipeline *config.Pipeline
	host     *pluginhost.Host
	renderer render.Renderer
}

// sessionFlags are the flags of both commands.
type sessionFlags struct {
	pipeline string
	output   string
}

func (f *sessionFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.pipeline, "pipeline", "", "`name` of the pipeline (default: the only one, or the one called \"default\")")
	c.Flags().StringVar(&f.output, "output", "text", "`format` of the output: text, json")
}

// newSession reads the configuration and makes the plugin host. The caller closes the session.
func newSession(ctx context.Context, a *app, flags sessionFlags) (*session, error) {
	if flags.output != "text" && flags.output != "json" {
		return nil, usageError(fmt.Errorf("unknown output %q: use text or json", flags.output))
	}
	c, err := a.loadConfig(ctx)
	if err != nil {
		return nil, err
	}
	p, err := pipelineOf(c, flags.pipeline)
	if err != nil {
		return nil, err
	}
	host, err := a.newHost(c)
	if err != nil {
		return nil, err
	}
	return &session{app: a, config: c, pipeline: p, host: host, renderer: newRenderer(a, flags.output)}, nil
}

func (s *session) close() {
	s.renderer.Close()
	s.app.closeHost(s.host)
}

// stages launches and configures the processors.
func (s *session) stages(ctx context.Context) ([]pipeline.Stage, error) {
	stages, err := s.app.assemble(ctx, s.host, s.pipeline)
	if err != nil {
		return nil, err
	}
	return assembly.PipelineStages(stages), nil
}

// described is what the processors are told of the job.
func (s *session) described() pipeline.Job {
	return pipeline.Job{Pipeline: s.pipeline.Name, Runner: s.config.Runner.Name, Worker: 1}
}

// finish shows the summary and returns the error that makes the exit code.
func (s *session) finish(summary engine.Summary) error {
	if err := s.renderer.Summary(summary); err != nil {
		return err
	}
	return exitCode(summary)
}

// exitCode returns the error that makes the exit code of a summary.
func exitCode(summary engine.Summary) error {
	switch {
	case summary.Result.Outcome == job.Success:
		return nil
	case summary.Result.Reason.Info().Infrastructure:
		return silent(exitInfrastructure)
	}
	return silent(exitJobFailed)
}

// loadJob reads the job file and makes its secrets the ones that nothing of core's own may show.
func (a *app) loadJob(ctx context.Context, path string) (*job.Job, error) {
	type loaded struct {
		job   *job.Job
		diags diag.Diagnostics
	}
	l, err := await(ctx, func() loaded {
		j, diags := job.Load(path, input{ctx, a.in})
		return loaded{j, diags}
	})
	if err != nil || ctx.Err() != nil {
		return nil, errInterrupted
	}
	if err := a.fail(l.diags); err != nil {
		return nil, err
	}
	a.redact.Set(l.job)
	return l.job, nil
}

func newRenderer(a *app, output string) render.Renderer {
	if output == "json" {
		return render.NewJSON(a.out)
	}
	return render.NewText(render.TextOptions{
		Out:   a.out,
		Err:   a.err,
		Color: styleOf(a.out).Color,
		Live:  styleOf(a.err).Color,
	})
}
