package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/podrunner/runner/core/internal/assembly"
	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/pluginhost"
)

// enqueueCommand is the subcommand of a source's program that this command stands for.
const enqueueCommand = "enqueue"

type enqueueFlags struct {
	file     string
	pipeline string
	count    int
}

func newEnqueue(a *app) *cobra.Command {
	var flags enqueueFlags
	c := &cobra.Command{
		Use:   "enqueue -f FILE",
		Short: "Give a job to the remote system that a pipeline's source takes jobs from",
		Long: "Enqueue has the program of the pipeline's source push a job: it calls its command \"enqueue\" with what the\n" +
			"source's config block says. What the file holds is the source's affair. The same program can be among the tools\n" +
			"of a job, which then pushes jobs itself. Exit code 2 says that something has to be mended in the command line,\n" +
			"the configuration or the file, 3 that the job could not be pushed.",
		Example: "  core enqueue -f job.yaml\n  core enqueue --pipeline nightly -f - < job.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("enqueue takes no arguments: name the job file with a flag, -f %s", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return runEnqueue(cmd.Context(), a, flags) },
	}
	a.addSet(c)
	c.Flags().StringVarP(&flags.file, "file", "f", "", "job `file`, - for standard input")
	c.Flags().StringVar(&flags.pipeline, "pipeline", "", "`name` of the pipeline (default: the only one, or the one called \"default\")")
	c.Flags().IntVar(&flags.count, "count", 1, "`number` of times to push the job")
	return c
}

func runEnqueue(ctx context.Context, a *app, flags enqueueFlags) error {
	switch {
	case flags.file == "":
		return usageError(errors.New("no job file: name one with -f, or -f - for standard input"))
	case flags.count < 1:
		return usageError(fmt.Errorf("--count is %d: give the number of jobs to push, from 1", flags.count))
	}
	return withHost(ctx, a, func(c *config.Config, host *pluginhost.Host) error {
		p, err := pipelineOf(c, flags.pipeline)
		if err != nil {
			return err
		}
		source, err := a.decodeSource(ctx, host, p)
		if err != nil {
			return err
		}
		if err := canEnqueue(source.Plugin, p); err != nil {
			return usageError(err)
		}
		return a.enqueue(ctx, source, flags)
	})
}

// decodeSource launches the source of a pipeline and prints what it has against its configuration. The error ends the
// command; nothing is left to say about it.
func (a *app) decodeSource(ctx context.Context, host *pluginhost.Host, p *config.Pipeline) (*assembly.Decoded, error) {
	source, diags, err := assembly.DecodeSource(ctx, host, p)
	if ctx.Err() != nil {
		return nil, errInterrupted
	}
	if failed := a.finish(diags, err); failed != nil {
		return nil, failed
	}
	return source, nil
}

// canEnqueue says that a source takes no jobs from people.
func canEnqueue(source *pluginhost.Plugin, p *config.Pipeline) error {
	commands := source.Description().GetCommands()
	if slices.Contains(commands, enqueueCommand) {
		return nil
	}
	has := "has no commands at all"
	if len(commands) > 0 {
		has = fmt.Sprintf("has only: %s", strings.Join(commands, ", "))
	}
	return fmt.Errorf("the source %q of the pipeline %q has no command %q; it %s. Give the job to its remote system by other means, or choose another pipeline with --pipeline",
		source.Found().Name, p.Name, enqueueCommand, has)
}

// enqueue calls the source's program. What there is to say, the program says.
func (a *app) enqueue(ctx context.Context, source *assembly.Decoded, flags enqueueFlags) error {
	args := []string{enqueueCommand, "-f", flags.file}
	if flags.count != 1 {
		args = append(args, "-count", strconv.Itoa(flags.count))
	}
	code, err := source.Plugin.RunCommand(ctx, pluginhost.Command{
		Args: args, Config: source.JSON, Stdin: a.in, Stdout: a.out, Stderr: a.err,
	})
	switch {
	case ctx.Err() != nil && code != exitSuccess:
		return errInterrupted
	case pluginhost.IsConfiguration(err):
		return usageError(err)
	case err != nil:
		return infrastructureError(err)
	case code == exitSuccess, code == exitUsage:
		return silent(code)
	case code < 0:
		return infrastructureError(fmt.Errorf("the program of the source %q was killed; whether the job was pushed is not known", source.Plugin.Found().Name))
	}
	return silent(exitInfrastructure)
}
