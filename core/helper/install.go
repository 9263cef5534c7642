package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/podrunner/runner/core/internal/tool"
)

// runInstall copies this program to a path, for the containers of the steps, whose images do not have it, and the tools
// that jobs call beside it. Each appears whole. This program comes last: without it no step begins, and with it the tools
// are there.
func runInstall(args []string, stderr io.Writer) int {
	var tools tool.Flag
	flags := flag.NewFlagSet("runner-helper install", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Var(&tools, "tool", "")
	if err := flags.Parse(args); err != nil || flags.NArg() != 1 {
		_, _ = fmt.Fprintln(stderr, "runner-helper install: name the path to copy this program to, after -tool NAME=PROGRAM for each program of", tool.Dir, "to put beside it")
		return codeUsage
	}
	path := flags.Arg(0)
	for _, t := range tools {
		if err := install(filepath.Join(tool.Dir, t.Program), filepath.Join(filepath.Dir(path), t.Name)); err != nil {
			_, _ = fmt.Fprintf(stderr, "runner-helper: install the tool %q: %v\n", t.Name, err)
			return codeFailed
		}
	}
	if err := install("/proc/self/exe", path); err != nil {
		_, _ = fmt.Fprintln(stderr, "runner-helper: install this program:", err)
		return codeFailed
	}
	return 0
}

// install copies a program to a path. The file that grows has a name that no tool may have.
func install(program, path string) error {
	from, err := os.Open(program)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	to, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	err = errors.Join(err, to.Chmod(0o755), to.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return nil
}
