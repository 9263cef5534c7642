//go:build unix

package pluginhost

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// setGroup makes a process the leader of a group of its own.
func setGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithCore(cmd.SysProcAttr)
}

// signalGroup sends a signal to the group that a process leads, and to the process itself where there is none: it has
// gone over to another group, and a process that can't be killed would be waited for for ever.
func signalGroup(process *os.Process, sig syscall.Signal) {
	if errors.Is(syscall.Kill(-process.Pid, sig), syscall.ESRCH) {
		_ = process.Signal(sig) // one that is gone needs none
	}
}

// killGroup kills what is left of the group of a process that has been reaped. Its id may be taken again by then, which
// is unlikely enough on systems that know no better.
func killGroup(process *os.Process) { signalGroup(process, syscall.SIGKILL) }
