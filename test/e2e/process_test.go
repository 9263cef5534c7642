package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// children lists the processes whose parent is pid.
func children(pid int) (out []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for field := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				out = append(out, child)
			}
		}
	}
	return out
}

// descendants lists the children of a process, their children, and so on.
func descendants(t *testing.T, pid int) (out []int) {
	t.Helper()
	for _, child := range children(pid) {
		out = append(append(out, child), descendants(t, child)...)
	}
	return out
}

// program returns the name of the program that a process runs; "" when it is gone.
func program(pid int) string {
	path, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return filepath.Base(path)
}

// plugins returns the plugin processes of core, by the name of their program.
func plugins(pid int) map[string]int {
	out := map[string]int{}
	for _, child := range children(pid) {
		if name := program(child); strings.HasPrefix(name, "runner-processor-") {
			out[strings.TrimPrefix(name, "runner-processor-")] = child
		}
	}
	return out
}

// waitGone fails the test unless the processes end within a time. It waits for their end, not for time to pass.
func waitGone(t *testing.T, within time.Duration, pids ...int) {
	t.Helper()
	deadline := time.Now().Add(within)
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it is gone
		}
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := 0, error(unix.EINTR)
		for err == unix.EINTR { //nolint:errorlint // unix.Poll returns the bare errno
			n, err = unix.Poll(poll, int(max(0, time.Until(deadline).Milliseconds())))
		}
		if err != nil || n == 0 {
			t.Errorf("process %d (%s) is still there: %v", pid, program(pid), err)
		}
		_ = unix.Close(fd)
	}
}

// peakMemory returns the largest resident set that a process has had, in bytes; 0 when it is gone.
func peakMemory(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}
