package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// The exit codes of core.
const (
	// exitSuccess: the command did what it was asked to, and the job, if there was one, succeeded.
	exitSuccess = 0
	// exitJobFailed: the job ran and its outcome is not success.
	exitJobFailed = 1
	// exitUsage: the command line, the configuration or the job file has to be mended.
	exitUsage = 2
	// exitInfrastructure: something around the job is broken: no cluster, a plugin that does not start.
	exitInfrastructure = 3
)

// exitError is an error that knows its exit code. With a nil err there is nothing more to print: the command has said
// all itself, as with diagnostics or a job's summary.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageError marks err as something that the user has to mend in the command line, the configuration or the job file.
func usageError(err error) error { return &exitError{code: exitUsage, err: err} }

// infrastructureError marks err as a fault of what core rests on.
func infrastructureError(err error) error { return &exitError{code: exitInfrastructure, err: err} }

// silent ends the command with an exit code and no further word.
func silent(code int) error {
	if code == exitSuccess {
		return nil
	}
	return &exitError{code: code}
}

// errNobodyReads stands for a broken pipe, a word of the system's that does not say whose pipe it is.
var errNobodyReads = errors.New("whoever read the output has left, so not all of it was written")

// report prints an error of a command and returns the exit code. An error that has no code of its own is one of
// infrastructure: what users can mend is marked where it is found.
func (a *app) report(err error) int {
	if err == nil {
		return exitSuccess
	}
	code := exitInfrastructure
	var exit *exitError
	if errors.As(err, &exit) {
		if exit.err == nil {
			return exit.code
		}
		code = exit.code
	}
	var failed *fs.PathError
	if errors.As(err, &failed) && failed.Path == os.Stdout.Name() && errors.Is(failed, syscall.EPIPE) {
		err = errNobodyReads
	}
	// When this can't be written, there is nobody to tell.
	_, _ = fmt.Fprintf(a.redact.Writer(a.err), "core: %v\n", err)
	return code
}
