package entrypoint

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// signalGroup sends a signal to the shell and what it runs. Those that are gone are no error.
func (s *step) signalGroup(sig unix.Signal) { _ = unix.Kill(-s.shell, sig) }

// signalAll sends a signal to all processes of the step, also those that have left the shell's group. Where the helper is
// process 1 these are all others; else it reaches those that are its own children by now, and the rest becomes so when
// these end.
func (s *step) signalAll(sig unix.Signal) {
	if os.Getpid() == 1 {
		_ = unix.Kill(-1, sig)
		return
	}
	s.signalGroup(sig)
	for _, pid := range ownChildren() {
		_ = unix.Kill(pid, sig)
	}
}

// ownChildren returns the children that have not been waited for.
func ownChildren() []int {
	threads, _ := os.ReadDir("/proc/self/task")
	var pids []int
	for _, t := range threads {
		list, _ := os.ReadFile("/proc/self/task/" + t.Name() + "/children")
		for _, field := range bytes.Fields(list) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
