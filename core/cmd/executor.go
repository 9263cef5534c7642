package cmd

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/podrunner/runner/core/internal/assembly"
	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/executor/kubernetes"
	"github.com/podrunner/runner/core/internal/executor/local"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/suggest"
)

// helperName is the binary that runs a step on this machine; it stands beside core.
const helperName = "runner-helper"

// executorFlags say where a job runs.
type executorFlags struct {
	executor  string
	context   string
	namespace string
	keep      bool
}

func (f *executorFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.executor, "executor", "", "`name` of what runs the job: "+strings.Join(config.Executors, ", ")+" (default: as the pipeline says)")
	c.Flags().StringVar(&f.context, "context", "", "`name` of the kubeconfig's context (default: as the pipeline says, or the current one)")
	c.Flags().StringVarP(&f.namespace, "namespace", "n", "", "`name` of the namespace to run the job in (default: as the pipeline says, or the context's)")
	c.Flags().BoolVar(&f.keep, "keep", false, "leave the job's pod when it is over, and say how to look at it")
}

// runnerOf is an executor for one job, and what there is to know of it.
type runnerOf struct {
	executor.Executor
	close func() error
	// grace is the time between TERM and KILL when the job is ended early.
	grace time.Duration
	// sayKept says how to look at what was left of the job, if anything was.
	sayKept func(*job.Job)
}

// Close lets go of the executor.
func (r *runnerOf) Close() error { return r.close() }

// newExecutor returns the executor that the flags name, or the pipeline.
func newExecutor(ctx context.Context, s *session, flags executorFlags) (*runnerOf, error) {
	name := flags.executor
	if name == "" {
		name = s.pipeline.Executor
	}
	if name == "" {
		name = config.DefaultExecutor
	}
	switch name {
	case "kubernetes":
		return newKubernetes(ctx, s, flags)
	case "local":
		if flags.context != "" || flags.namespace != "" || flags.keep {
			return nil, usageError(fmt.Errorf("--context, --namespace and --keep are about a cluster, and the executor is %q", name))
		}
		return newLocal(s.config, s.pipeline)
	}
	return nil, usageError(fmt.Errorf("unknown executor %q.%s There are: %s", name, suggest.Hint(name, config.Executors), strings.Join(config.Executors, ", ")))
}

func newKubernetes(ctx context.Context, s *session, flags executorFlags) (*runnerOf, error) {
	settings := s.pipeline.Kubernetes
	if flags.context != "" {
		settings.Context = flags.context
	}
	if flags.namespace != "" {
		settings.Namespace = flags.namespace
	}
	exec, err := s.app.connect(ctx, kubernetes.Options{
		Settings: settings, Runner: s.config.Runner.Name, Pipeline: s.pipeline.Name,
		Source: "test-" + rand.Text(), // two people who try a job of the same id try two jobs
		Mode:   "test", Keep: flags.keep,
	})
	if err != nil {
		return nil, err
	}
	return &runnerOf{
		Executor: exec, close: exec.Close, grace: settings.Grace,
		sayKept: func(j *job.Job) {
			if flags.keep {
				fmt.Fprintf(s.app.err, "\n%s", exec.Kept(j.ID))
			}
		},
	}, nil
}

// connect connects to the cluster.
func (a *app) connect(ctx context.Context, options kubernetes.Options) (*kubernetes.Executor, error) {
	options.Logger = a.log.Named("kubernetes")
	exec, err := kubernetes.New(ctx, options)
	switch {
	case err == nil:
		return exec, nil
	case ctx.Err() != nil:
		return nil, errInterrupted
	}
	return nil, infrastructureError(err)
}

func newLocal(c *config.Config, p *config.Pipeline) (*runnerOf, error) {
	helper, err := helperPath()
	if err != nil {
		return nil, infrastructureError(err)
	}
	tools, err := toolsOf(c, p.Local)
	if err != nil {
		return nil, infrastructureError(err)
	}
	exec, err := local.New(local.Options{
		Helper:   helper,
		Shell:    p.Local.Shell,
		Workdir:  p.Local.Workdir,
		Lifetime: p.Local.Lifetime,
		XTrace:   p.Local.XTrace,
		Tools:    tools,
		Grace:    p.Local.Grace,
	})
	if err != nil {
		return nil, infrastructureError(err)
	}
	return &runnerOf{Executor: exec, close: exec.Close, grace: p.Local.Grace, sayKept: func(*job.Job) {}}, nil
}

// toolsOf returns where the tools of local jobs are: in the folder with the plugins.
func toolsOf(c *config.Config, settings config.Local) (map[string]string, error) {
	if len(settings.Tools) == 0 {
		return nil, nil
	}
	dir, err := assembly.PluginDir(c)
	if err != nil {
		return nil, err
	}
	tools := map[string]string{}
	for name, program := range settings.Tools {
		tools[name] = filepath.Join(dir.Path, program)
	}
	return tools, nil
}

// helperPath finds the helper beside core.
func helperPath() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", helperName, err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", fmt.Errorf("find %s: %w", helperName, err)
	}
	path := filepath.Join(filepath.Dir(self), helperName)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find %s, which runs the steps of a job: %w; it belongs beside core, and `make build` puts it there", helperName, err)
	}
	return path, nil
}
