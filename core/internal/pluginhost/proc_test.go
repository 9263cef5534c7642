package pluginhost_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/podrunner/runner/core/internal/pluginhost"
)

func pidOf(t *testing.T, c *pluginhost.Connection) int {
	t.Helper()
	return pluginhost.PID(c)
}

// killNine kills a process from outside.
func killNine(t *testing.T, c *pluginhost.Connection) {
	t.Helper()
	if err := syscall.Kill(pidOf(t, c), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// openFiles counts this process's descriptors.
func openFiles(t *testing.T) int {
	t.Helper()
	r, w, err := os.Pipe() // so that the runtime's own for waiting are there
	if err != nil {
		t.Fatal(err)
	}
	_, _ = r.Close(), w.Close()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// hide takes a program away.
func hide(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// bad puts a program in the place of another that ends at once.
func bad(t *testing.T, path string) {
	t.Helper()
	hide(t, path)
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 6\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// processExists reports whether there is a process that runs; one that is dead and not reaped does not.
func processExists(pid int) bool {
	state, _ := procStat(pid)
	return state != "" && state != "Z"
}

// groupOf returns the processes of a group that run.
func groupOf(group int) []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var out []int
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if state, of := procStat(pid); of == group && state != "Z" {
			out = append(out, pid)
		}
	}
	return out
}

// procStat returns the state and the group of a process; "" and 0 when there is none.
func procStat(pid int) (state string, group int) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	group, _ = strconv.Atoi(fields[2])
	return fields[0], group
}

var escaped = regexp.MustCompile(`grandchild (\d+)`)

// killEscaped kills the grandchild that has left its group, which no host can find.
func killEscaped(t *testing.T, log string) {
	t.Helper()
	if m := escaped.FindStringSubmatch(log); m != nil {
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL) // in the other mode it is gone already
	}
}
