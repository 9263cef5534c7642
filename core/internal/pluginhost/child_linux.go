package pluginhost

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithCore has the kernel kill a process when the thread that started it ends, which is when core does.
func dieWithCore(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// awaitEnd waits for a child to end without reaping it, and reports whether it could.
func awaitEnd(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}

// executeFile has cmd execute the open file and not the path. The file is handed on as the child's descriptor 3: our own
// number of it could be taken by another descriptor between fork and exec, and a script's interpreter opens it again.
func executeFile(cmd *exec.Cmd, prog program) error {
	cmd.Path = "/proc/self/fd/3"
	cmd.ExtraFiles = []*os.File{prog.file}
	return nil
}
