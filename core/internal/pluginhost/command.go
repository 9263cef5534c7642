package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/podrunner/runner/sdk/protocol"
)

// Command is a call of a subcommand of a plugin's program: a process of its own, beside the one that is spoken to.
type Command struct {
	// Args are the subcommand's name and what follows it.
	Args []string
	// Config is the plugin's configuration as JSON. The program reads it on a descriptor: environment and arguments of a
	// process can be seen by others.
	Config []byte

	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// commandGrace is what a subcommand has to end when it is told to: it takes back, or completes, what it has begun. A
// test has no time for it.
var commandGrace = 10 * time.Second

// firstExtra is the number of the first descriptor after standard error.
const firstExtra = 3

// RunCommand runs a subcommand and returns its exit code, -1 after a signal. The program is the one that Launch has found,
// with its checksum compared again, and it gets the environment that the plugin gets. When ctx ends it is told to end, by
// TERM, and killed when it does not; it dies with core. The error, an *Error, says that it could not be run.
func (p *Plugin) RunCommand(ctx context.Context, c Command) (int, error) {
	title := p.found.title()
	if p.found.reattach != nil {
		return 0, &Error{
			Plugin: title, Reason: BadSettings, Detail: "has no program that core could call: it is taken as it runs",
			Advice: "Unset " + protocol.EnvReattach + ", or call the program by hand.",
		}
	}
	cmd, cleanUp, err := p.command(ctx, c.Args)
	if err != nil {
		return 0, err
	}
	defer cleanUp()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	configR, configW, err := os.Pipe()
	if err != nil {
		return 0, &Error{Plugin: title, Reason: StartFailed, Detail: "could not be called", Err: err}
	}
	defer func() { _ = configR.Close() }()
	cmd.ExtraFiles = append(cmd.ExtraFiles, configR)
	cmd.Env = environment(p.host.environ, p.settings.Env, []string{
		protocol.EnvConfigFD + "=" + strconv.Itoa(firstExtra+len(cmd.ExtraFiles)-1),
	})
	// The signal for core's death comes when the thread ends that has started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		_ = configW.Close()
		return 0, &Error{Plugin: title, Reason: StartFailed, Detail: fmt.Sprintf("could not be called (%s)", cmd.Args[1]), Err: err}
	}
	_ = configR.Close() // else its end would not show that nobody reads
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = configW.Write(c.Config) // a program that does not want it closes its end, or ends
		_ = configW.Close()
	}()
	err = cmd.Wait()
	_ = configW.Close() // what it has left behind may hold the other end, and does not read
	<-written
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return 0, &Error{Plugin: title, Reason: Misbehaves, Detail: "could not be heard to its end", Err: err}
	}
	return cmd.ProcessState.ExitCode(), nil
}

// command makes the command and returns what cleans up after it.
func (p *Plugin) command(ctx context.Context, args []string) (*exec.Cmd, func(), error) {
	prog := program{path: p.found.Path}
	cmd := exec.CommandContext(ctx, prog.path, args...)
	cmd.Cancel = func() error { return terminate(cmd.Process) }
	cmd.WaitDelay = commandGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	dieWithCore(cmd.SysProcAttr)
	want := p.settings.Checksum
	if want == "" || p.found.dev {
		return cmd, func() {}, nil
	}
	title := p.found.title()
	var err error
	if prog.scratch, err = os.MkdirTemp(p.host.opts.TempDir, "runner-command-"); err != nil {
		return nil, nil, &Error{Plugin: title, Reason: StartFailed, Detail: "could not be called", Err: err}
	}
	cleanUp := func() {
		if prog.file != nil {
			_ = prog.file.Close()
		}
		_ = os.RemoveAll(prog.scratch)
	}
	if prog.file, err = openVerified(title, prog.path, want); err != nil {
		cleanUp()
		return nil, nil, err
	}
	if err := executeFile(cmd, prog); err != nil {
		cleanUp()
		return nil, nil, &Error{Plugin: title, Reason: StartFailed, Detail: "could not be called", Err: err}
	}
	return cmd, cleanUp, nil
}

// terminate asks a process to end, where that can be done, or ends it.
func terminate(process *os.Process) error {
	err := process.Signal(syscall.SIGTERM)
	if err == nil || errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return process.Kill()
}
