// Package cmd has the commands of the binary `core`, one file a command.
//
// A command gets what it needs from an app: its three streams and the global flags. It prints diagnostics itself; what
// it returns as an error is printed by Main, and decides the exit code (see exit.go).
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/redact"
)

// Environment variables that stand in for a global flag. The flag wins.
const (
	envConfig    = "RUNNER_CONFIG"
	envLogLevel  = "RUNNER_LOG"
	envLogFormat = "RUNNER_LOG_FORMAT"
)

// defaultConfig is the configuration file when nobody names one. It alone may be missing.
const defaultConfig = "runner.hcl"

// streams are the standard streams of a command; a test puts buffers here.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// app is what all commands share.
type app struct {
	streams

	// config is the path of the configuration file; configNamed says that the user gave it, so that it must exist.
	config      string
	configNamed bool
	// log is the runner's own log, on err. Set before a command's RunE is called.
	log hclog.Logger
	// redact takes the sensitive values of the jobs that run out of everything that core itself has to say.
	redact redact.Redactor

	// set is what --set was given.
	set []string

	// logLevel and logFormat are given by a flag or a variable when the flags below are set; else the configuration may say
	// what they are.
	logLevel, logFormat           string
	logLevelGiven, logFormatGiven bool
	// started is set once cobra has accepted the command line: errors before that are usage errors.
	started bool
}

// Main runs core with the arguments that follow the program's name and returns its exit code. The first SIGINT, SIGTERM
// or SIGHUP cancels the command's context; a second one ends the process at once, as the system does by default. A SIGHUP
// that core was started to ignore, as nohup does, stays ignored.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), stopSignals()...)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	// When nobody reads the output any more, as behind `head`, the write fails, and core cleans up after itself; the signal
	// would end it on the spot. To ignore it instead would have the job's processes ignore it, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return run(ctx, args, streams{in: stdin, out: stdout, err: stderr})
}

// stopSignals are those that tell core to stop.
func stopSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// run is Main without signals.
func run(ctx context.Context, args []string, s streams) int {
	a := &app{streams: s}
	root := newRoot(a)
	root.SetArgs(doubleDashes(root, args))
	c, err := root.ExecuteContextC(ctx)
	if err != nil && !a.started {
		err = misused(c, err)
	}
	return a.report(err)
}

// newRoot builds the tree of commands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "core",
		Short: "Run jobs and pipe their logs through plugins",
		Long: "Core takes jobs from source plugins, runs each one, pipes its log through processor plugins\n" +
			"and gives log and result back.",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.setUp(cmd); err != nil {
				return err
			}
			a.started = true
			return nil
		},
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.CompletionOptions.HiddenDefaultCmd = false

	flags := root.PersistentFlags()
	flags.StringVarP(&a.config, "config", "c", defaultConfig, "configuration `file` (or "+envConfig+")")
	flags.StringVar(&a.logLevel, "log-level", "warn", "`level` of the runner's own log: trace, debug, info, warn, error, off; run has info (or "+envLogLevel+")")
	flags.StringVar(&a.logFormat, "log-format", "text", "`format` of the runner's own log: text, json (or "+envLogFormat+")")

	root.AddCommand(
		newValidate(a),
		newFmt(a),
		newRun(a),
		newTest(a),
		newReplay(a),
		newEnqueue(a),
		newMigrate(a),
		newPlugins(a),
		newVersion(a),
	)
	refuseUnknown(root)
	return root
}

// setUp takes the global flags and the environment variables behind them.
func (a *app) setUp(cmd *cobra.Command) error {
	flags := cmd.Flags()
	a.configNamed = fromEnv(&a.config, envConfig, flags.Changed("config"))
	a.logLevelGiven = fromEnv(&a.logLevel, envLogLevel, flags.Changed("log-level"))
	if !a.logLevelGiven && cmd.Name() == "run" {
		a.logLevel = "info" // nobody sits in front of a service; its log is what there is to see
	}
	a.logFormatGiven = fromEnv(&a.logFormat, envLogFormat, flags.Changed("log-format"))

	if hclog.LevelFromString(a.logLevel) == hclog.NoLevel {
		return fmt.Errorf("unknown log level %q%s: use trace, debug, info, warn, error or off", a.logLevel, whence(envLogLevel, flags.Changed("log-level")))
	}
	if a.config == "" {
		return errors.New("--config has no value: name the configuration file")
	}
	if format := strings.ToLower(a.logFormat); format != "text" && format != "json" {
		return fmt.Errorf("unknown log format %q%s: use text or json", a.logFormat, whence(envLogFormat, flags.Changed("log-format")))
	}
	a.newLog()
	return nil
}

// newLog makes the runner's own log anew, in the level and the format that are known so far.
func (a *app) newLog() {
	a.log = hclog.New(&hclog.LoggerOptions{
		Name:       "core",
		Level:      hclog.LevelFromString(a.logLevel),
		Output:     a.redact.Writer(a.err),
		JSONFormat: strings.EqualFold(a.logFormat, "json"),
	})
}

// logAs has the runner's own log be as the configuration says, unless a flag or a variable says otherwise.
func (a *app) logAs(r config.Runner) {
	if r.LogLevel != "" && !a.logLevelGiven {
		a.logLevel = r.LogLevel
	}
	if r.LogFormat != "" && !a.logFormatGiven {
		a.logFormat = r.LogFormat
	}
	a.newLog()
}

// fromEnv puts the environment variable's value into dst unless the flag was given; an empty variable counts as unset.
// It reports whether either was given.
func fromEnv(dst *string, name string, flagGiven bool) bool {
	if flagGiven {
		return true
	}
	value := os.Getenv(name)
	if value != "" {
		*dst = value
	}
	return value != ""
}

// whence names the variable that a value has come from, if it is not from the flag that everybody sees.
func whence(name string, flagGiven bool) string {
	if flagGiven {
		return ""
	}
	return " in the environment variable " + name
}
