//go:build unix

package pluginhost

import (
	"os"
	"os/exec"
	"syscall"
)

// setGroup makes a process the leader of a group of its own.
func setGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithCore(cmd.SysProcAttr)
}

// signalGroup sends a signal to the group that a process leads.
func signalGroup(process *os.Process, sig syscall.Signal) {
	_ = syscall.Kill(-process.Pid, sig) // a group that is gone needs none
}

// killGroup kills what is left of the group of a process that has been reaped. Its id may be taken again by then, which
// is unlikely enough on systems that know no better.
func killGroup(process *os.Process) { signalGroup(process, syscall.SIGKILL) }
