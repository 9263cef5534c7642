package main

import (
	"fmt"
	"io"

	"github.com/podrunner/runner/core/internal/entrypoint"
	"github.com/podrunner/runner/core/internal/jobroot"
)

// runProbe tries to enter the file tree of the given root file, and does nothing in it: it tells core whether this machine
// lets a job have one. It is not for people, so the usage does not name it.
func runProbe(args []string, stderr io.Writer) int {
	if len(args) != 1 {
		_, _ = fmt.Fprintln(stderr, "runner-helper probe: give one root file")
		return codeUsage
	}
	spec, err := jobroot.Read(args[0])
	if err == nil {
		err = spec.Enter()
	}
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(stderr, err)
	return entrypoint.CodeBroken
}
