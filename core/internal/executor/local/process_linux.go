package local

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/podrunner/runner/core/internal/entrypoint"
)

// saidDelay bounds the wait for the end of a helper's standard error after it has ended.
const saidDelay = time.Second

// process is a helper that runs a step. Its standard input is the lifeline: only this end is held, so it ends with core.
type process struct {
	cmd      *exec.Cmd
	lifeline *os.File
	said     tail
}

func startProcess(path string, args, env []string, attributes *syscall.SysProcAttr) (*process, error) {
	in, lifeline, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }() // the helper has its own
	p := &process{cmd: exec.Command(path, args...), lifeline: lifeline}
	p.cmd.Env, p.cmd.Dir = env, "/"
	p.cmd.Stdin, p.cmd.Stderr = in, &p.said
	p.cmd.SysProcAttr = attributes
	p.cmd.WaitDelay = saidDelay
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, lifeline.Close())
	}
	return p, nil
}

// wait returns how the helper ended, in words, and lets go of it.
func (p *process) wait() string {
	err := p.cmd.Wait()
	p.letGo()
	how := "exit status 0"
	if p.cmd.ProcessState != nil {
		how = p.cmd.ProcessState.String()
	} else if err != nil {
		how = err.Error()
	}
	if said := strings.TrimSpace(p.said.String()); said != "" {
		how += ": " + said
	}
	return how
}

// cancel has the helper end the step. A helper that is gone is no error.
func (p *process) cancel(grace time.Duration) {
	_, _ = p.lifeline.WriteString(entrypoint.CancelLine(grace))
}

// letGo ends the lifeline: the helper ends the step and keeps nothing of it.
func (p *process) letGo() { _ = p.lifeline.Close() }

func (p *process) kill() { _ = p.cmd.Process.Kill() }
