package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/podrunner/runner/core/internal/entrypoint"
)

// defaultGrace is what a step that is told to end has before it is killed.
const defaultGrace = 10 * time.Second

func runEntrypoint(args []string, stdout, stderr io.Writer) int {
	if slices.Contains(args, "-control") { // in a container of its own; else the file is that of another one
		stderr = io.MultiWriter(stderr, &lastWords{path: terminationLog})
	}
	config, code := parseEntrypoint(args, stdout, stderr)
	if code >= 0 {
		return code
	}
	code, err := entrypoint.Run(config)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "runner-helper:", err)
	}
	return code
}

// terminationLog is the file that the kubelet has in each container. What it holds when the container has ended is in the
// pod's status, where core finds why a step has left no exit record.
var terminationLog = "/dev/termination-log"

// lastWords is a writer whose last write is the whole of a file, if there is such a file. What a job has put there is not kept.
type lastWords struct{ path string }

// Write implements io.Writer. It never fails: the words are written to standard error, too.
func (w *lastWords) Write(words []byte) (int, error) {
	// The job may have put a pipe there, which nobody reads.
	if f, err := os.OpenFile(w.path, os.O_WRONLY|os.O_TRUNC|syscall.O_NONBLOCK, 0); err == nil {
		_, _ = f.Write(bytes.TrimSpace(words))
		_ = f.Close()
	}
	return len(words), nil
}

// parseEntrypoint returns the configuration, and an exit code when there is nothing to run, else -1.
func parseEntrypoint(args []string, stdout, stderr io.Writer) (entrypoint.Config, int) {
	var c entrypoint.Config
	lifeline := ""
	flags := flag.NewFlagSet("runner-helper entrypoint", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.Script, "script", "", "`file` with the commands, a JSON array of strings; this or -control is required")
	flags.StringVar(&c.Control, "control", "", "`socket` of the helper that the commands and variables come from")
	flags.StringVar(&c.Shell, "shell", "/bin/sh", "`path` of the shell that runs them")
	flags.BoolVar(&c.XTrace, "xtrace", true, "have the shell print what it does, as set -xv")
	flags.StringVar(&c.Workdir, "workdir", "", "`directory` to make and to start in (required)")
	flags.StringVar(&c.Spool, "spool", "", "`directory` for the output (required)")
	flags.Int64Var(&c.SpoolBytes, "spool-size", 0, "bound of the spool in `bytes`; 0 means 64 MiB")
	flags.BoolVar(&c.Shared, "shared", false, "let other users read and release the output")
	flags.StringVar(&c.Outcome, "outcome", "", "`path` for the file that OUTCOME_FILE names; empty: none")
	flags.DurationVar(&c.Grace, "grace", defaultGrace, "time between TERM and KILL when told to end")
	flags.StringVar(&lifeline, "lifeline", "", `"stdin": end the step when the standard input ends`)
	flags.StringVar(&c.Remove, "remove", "", "`directory` to remove when the lifeline ends")
	flags.StringVar(&c.Root, "root-file", "", "`file` with the file tree to enter first")
	flags.Usage = func() {} // for -h alone
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = io.WriteString(stdout, "Usage: runner-helper entrypoint FLAGS\n\n")
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return c, 0
	}
	if err == nil {
		c.Lifeline = lifeline == "stdin"
		err = check(c, lifeline, flags.Args())
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "runner-helper entrypoint: %v; -h lists the flags\n", err)
		return c, codeUsage
	}
	return c, -1
}

// check says what is wrong with the flags.
func check(c entrypoint.Config, lifeline string, rest []string) error {
	for _, f := range []struct{ name, value string }{
		{"shell", c.Shell}, {"workdir", c.Workdir}, {"spool", c.Spool},
	} {
		if f.value == "" {
			return fmt.Errorf("-%s is missing", f.name)
		}
	}
	switch {
	case (c.Script == "") == (c.Control == ""):
		return errors.New("one of -script and -control is needed")
	case c.Control != "" && (c.Lifeline || c.Root != ""):
		return errors.New("-control goes with neither -lifeline nor -root-file")
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case lifeline != "" && lifeline != "stdin":
		return fmt.Errorf("-lifeline %q is not known; the only one is stdin", lifeline)
	case c.Remove != "" && !c.Lifeline:
		return errors.New("-remove needs -lifeline")
	case c.Grace < 0:
		return errors.New("-grace must not be negative")
	}
	return nil
}
