//go:build !linux

package local

import (
	"context"
	"errors"
	"runtime"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
)

// Executor runs jobs on this machine; it can't on this system.
type Executor struct{}

// New returns an executor whose Start says that it can't run jobs here.
func New(Options) (*Executor, error) { return &Executor{}, nil }

// Start returns an error.
func (*Executor) Start(context.Context, *job.Job) (executor.Run, error) {
	return nil, errors.New("the local executor needs the namespaces of Linux, and this is " + runtime.GOOS +
		"; run core on Linux, in a virtual machine for instance")
}

// Close does nothing.
func (*Executor) Close() error { return nil }
