package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/podrunner/runner/core/internal/engine"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/pipeline"
	"github.com/podrunner/runner/core/internal/rawlog"
	"github.com/podrunner/runner/core/internal/record"
	"github.com/podrunner/runner/core/internal/render"
)

type replayFlags struct {
	sessionFlags
	file    string
	stderr  string
	outcome string
	time    string
}

func newReplay(a *app) *cobra.Command {
	var flags replayFlags
	c := &cobra.Command{
		Use:   "replay LOG",
		Short: "Send a recorded log through a pipeline's processors",
		Long: "Replay reads a recorded log, - for standard input, sends it through a pipeline's processors and shows\n" +
			"what comes out, as `core test` does. Nothing is run. The job file, if there is one, says which values are\n" +
			"sensitive. All of LOG comes before all of what --stderr names, and both before the lines of --outcome-file, which\n" +
			"stands for the file that a job finds by OUTCOME_FILE.",
		Example: "  core replay build.log\n  core replay -f job.yaml --time 2026-01-02T03:04:05Z build.log > masked.log",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("replay takes one log, or - for standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runReplay(cmd.Context(), a, flags, args[0]) },
	}
	c.Flags().StringVarP(&flags.file, "file", "f", "", "job `file` whose log it is, for its sensitive variables")
	c.Flags().StringVar(&flags.stderr, "stderr", "", "`file` with what the job wrote to standard error")
	c.Flags().StringVar(&flags.outcome, "outcome-file", "", "`file` with what the job wrote to its outcome file")
	c.Flags().StringVar(&flags.time, "time", "", "`time` of all records, RFC 3339, so that two runs compare (default: the time of reading)")
	flags.add(c)
	a.addSet(c)
	return c
}

func runReplay(ctx context.Context, a *app, flags replayFlags, path string) error {
	clock, err := fixedClock(flags.time)
	if err != nil {
		return err
	}
	if err := oneStdin(flags.file, path, flags.stderr, flags.outcome); err != nil {
		return err
	}
	s, err := newSession(ctx, a, flags.sessionFlags)
	if err != nil {
		return err
	}
	defer s.close()
	j := &job.Job{ID: "replay"}
	if flags.file != "" {
		if j, err = a.loadJob(ctx, flags.file); err != nil {
			return err
		}
	}
	log := rawlog.New(clock)
	closeLog, err := a.addFiles(ctx, log, path, flags)
	if err != nil {
		return err
	}
	defer closeLog()
	stages, err := s.stages(ctx)
	if err != nil {
		return err
	}
	summary, err := s.replay(ctx, j, log, stages)
	if err != nil {
		return err
	}
	return s.finish(summary)
}

// fixedClock returns a clock that always shows text; nil, the real one, when text is empty.
func fixedClock(text string) (func() time.Time, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no clock is the real clock, as rawlog.New says
	}
	fixed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil, usageError(fmt.Errorf("--time %q is no time: write it like 2026-01-02T03:04:05Z", text))
	}
	return func() time.Time { return fixed }, nil
}

// oneStdin refuses that standard input stands for several files: it can be read once only.
func oneStdin(paths ...string) error {
	count := 0
	for _, path := range paths {
		if path == "-" {
			count++
		}
	}
	if count > 1 {
		return usageError(errors.New("standard input can be only one of the job file, the log, the log of standard error and the outcome file: name files for the others"))
	}
	return nil
}

// addFiles opens the files of a recorded log.
func (a *app) addFiles(ctx context.Context, log *rawlog.Log, path string, flags replayFlags) (closeAll func(), err error) {
	var opened []io.Closer
	closeAll = func() {
		for _, f := range opened {
			_ = f.Close() // it was only read
		}
	}
	for _, f := range []struct {
		what, path string
		stream     record.Flags
	}{
		{"log", path, 0},
		{"log of standard error", flags.stderr, record.Stderr},
		{"outcome file", flags.outcome, record.Outcome},
	} {
		if f.path == "" && f.stream != 0 {
			continue
		}
		file, err := a.open(ctx, f.what, f.path)
		if err != nil {
			closeAll()
			return nil, err
		}
		opened = append(opened, file)
		log.Add(f.path, file, f.stream)
	}
	return closeAll, nil
}

// replay sends the log through the stages.
func (s *session) replay(ctx context.Context, j *job.Job, log *rawlog.Log, stages []pipeline.Stage) (engine.Summary, error) {
	begun := time.Now()
	described := s.described()
	described.ID, described.Attempt, described.Secrets = j.ID, 1, j.Secrets()
	result, err := pipeline.Run(ctx, pipeline.Options{
		Job:    described,
		Stages: stages,
		Log:    log,
		Sink:   render.Sink{Renderer: s.renderer},
		Result: replayResult,
		Redact: s.app.redact.String,
		Logger: s.app.log.Named("pipeline"),
	})
	if err != nil && ctx.Err() != nil {
		err = errInterrupted
	}
	total := time.Since(begun)
	return engine.Summary{Result: result, Records: log.Records(), Running: total, Total: total}, err
}

// replayResult is the result of a log with no job: a success, unless the log could not be read.
func replayResult(_ context.Context, logErr error) (job.Result, []string) {
	if logErr != nil {
		return job.Result{Outcome: job.Failed, Reason: job.ReasonInfrastructure, Message: logErr.Error()},
			[]string{"the log ends here: " + logErr.Error()}
	}
	return job.Result{Outcome: job.Success}, nil
}
