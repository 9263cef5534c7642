//go:build !unix

package pluginhost

import (
	"os"
	"os/exec"
	"syscall"
)

// setGroup does nothing where there are no process groups.
func setGroup(*exec.Cmd) {}

// signalGroup ends the process, whatever the signal.
func signalGroup(process *os.Process, _ syscall.Signal) { _ = process.Kill() }

// killGroup does nothing: the process has ended.
func killGroup(*os.Process) {}
