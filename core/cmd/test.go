package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/podrunner/runner/core/internal/engine"
	"github.com/podrunner/runner/core/internal/render"
)

type testFlags struct {
	sessionFlags
	executorFlags
	file string
}

func newTest(a *app) *cobra.Command {
	var flags testFlags
	c := &cobra.Command{
		Use:   "test -f FILE",
		Short: "Run one job from a file and show what comes of it",
		Long: "Test runs a job through a pipeline's processors and shows its log and its result. It takes no job from\n" +
			"a source and reports to none. Exit code 1 says that the job failed, 2 that something has to be mended in\n" +
			"the command line, the configuration or the job file, 3 that something around the job is broken.\n\n" +
			"The first Ctrl-C ends the job, shows its log and its result, and removes its pod; the second ends core at once,\n" +
			"and leaves a pod that ends by itself when the job's lifetime is over.",
		Example: "  core test -f examples/job.yaml\n  core test -f - --output json < job.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("test takes no arguments: name the job file with a flag, -f %s", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return runTest(cmd.Context(), a, flags) },
	}
	c.Flags().StringVarP(&flags.file, "file", "f", "", "job `file`, - for standard input")
	flags.executorFlags.add(c)
	flags.sessionFlags.add(c)
	a.addSet(c)
	return c
}

func runTest(ctx context.Context, a *app, flags testFlags) error {
	if flags.file == "" {
		return usageError(fmt.Errorf("no job file: name one with -f, or -f - for standard input"))
	}
	s, err := newSession(ctx, a, flags.sessionFlags)
	if err != nil {
		return err
	}
	defer s.close()
	j, err := a.loadJob(ctx, flags.file)
	if err != nil {
		return err
	}
	exec, err := newExecutor(ctx, s, flags.executorFlags)
	if err != nil {
		return err
	}
	defer func() {
		if err := exec.Close(); err != nil {
			a.log.Warn("closing the executor", "error", err)
		}
	}()
	stages, err := s.stages(ctx)
	if err != nil {
		return err
	}
	run := engine.Run{
		Job:      j,
		Executor: exec,
		Pipeline: s.described(),
		Stages:   stages,
		Sink:     render.Sink{Renderer: s.renderer},
		Status:   s.renderer.Status,
		Report:   s.renderer.Summary,
		Grace:    exec.grace,
		Redact:   a.redact.String,
		Logger:   a.log.Named("engine"),
	}
	summary, err := run.Do(ctx)
	if err != nil {
		return err
	}
	exec.sayKept(j)
	return exitCode(summary)
}
