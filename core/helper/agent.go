package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os/signal"
	"strings"
	"syscall"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/tool"
)

// codeFailed is the exit code of a command that could not do what it was asked to.
const codeFailed = 1

// names is a flag that may be given more than once.
type names []string

func (n *names) String() string     { return strings.Join(*n, ",") }
func (n *names) Set(v string) error { *n = append(*n, v); return nil }

func runAgent(args []string, stdout, stderr io.Writer) int {
	var c agent.Config
	var steps names
	var tools tool.Flag
	flags := flag.NewFlagSet("runner-helper agent", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.Listen, "listen", ":23517", "`address` to serve core on")
	flags.StringVar(&c.Inputs, "inputs", "", "`directory` with the job's keys and with what the steps run (required)")
	flags.StringVar(&c.Steps, "steps", "", "`directory` with a directory for each step (required)")
	flags.Var(&steps, "step", "`name` of a step; once for each, in their order (required)")
	flags.DurationVar(&c.Lifetime, "lifetime", 0, "bound of the time that the steps run, all together; 0 means none")
	flags.DurationVar(&c.Grace, "grace", defaultGrace, "time between TERM and KILL when it is over")
	flags.Int64Var(&c.Keep, "keep", 0, "`bytes` of each step's output that stay when core has fetched them, for a core that takes the job over")
	flags.Var(&tools, "tool", "`NAME=PROGRAM` that jobs call, as given to install; end at once when "+tool.Dir+" does not have it")
	flags.Usage = func() {} // for -h alone
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = io.WriteString(stdout, "Usage: runner-helper agent FLAGS\n\n")
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return 0
	}
	c.Names = steps
	switch {
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case c.Inputs == "" || c.Steps == "" || len(steps) == 0:
		err = errors.New("-inputs, -steps and -step are required")
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "runner-helper agent: %v; -h lists the flags\n", err)
		return codeUsage
	}
	if err := tool.Missing(tool.Dir, tools); err != nil {
		// It is the container's last words, which become those of the job's result.
		_, _ = fmt.Fprintln(stderr, err)
		return tool.CodeMissing
	}
	c.Log = log.New(stderr, "runner-helper: ", log.LstdFlags|log.LUTC|log.Lmsgprefix)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := agent.Serve(ctx, c); err != nil {
		_, _ = fmt.Fprintln(stderr, "runner-helper:", err)
		return codeFailed
	}
	return 0
}
