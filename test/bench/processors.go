package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The parts that need processor time while core runs jobs.
const (
	partCore    = "core"
	partJobs    = "helper and shell"
	partPlugins = "plugins"
	partServer  = "Faktory and Redis"
)

// tick is the unit of the kernel's times of processes: USER_HZ, a hundred on all platforms of Linux that Go knows.
const tick = time.Second / 100

// processors returns the processor time that each part has had so far.
func (r *jobRun) processors() map[string]time.Duration {
	out := map[string]time.Duration{}
	core := r.core.Process.Pid
	for _, p := range processes() {
		switch {
		case p.pid == core:
			out[partCore] += p.own
			// Plugins live on, so that those who have ended are the processes of jobs.
			out[partJobs] += p.ended
		case p.parent == core && strings.HasPrefix(p.name, "runner-source-"), p.parent == core && strings.HasPrefix(p.name, "runner-processo"):
			out[partPlugins] += p.own
		case p.group == r.server.Group():
			out[partServer] += p.own
		}
	}
	return out
}

// process is what the kernel tells of a process.
type process struct {
	pid, parent, group int
	// name has 15 letters at most.
	name string
	// own is its processor time, ended that of its children that have ended, and of theirs.
	own, ended time.Duration
}

func processes() (list []process) {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, path := range paths {
		if text, err := os.ReadFile(path); err == nil { // else it has ended
			list = append(list, parseStat(text))
		}
	}
	return list
}

// parseStat reads /proc/PID/stat: a number, a name in parentheses, which may hold anything, and fields with spaces
// between them.
func parseStat(text []byte) (p process) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return p
	}
	p.pid = int(number(string(bytes.TrimSpace(text[:open]))))
	p.name = string(text[open+1 : end])
	// The first of these is the third of proc_pid_stat(5).
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 15 {
		return p
	}
	p.parent, p.group = int(number(fields[1])), int(number(fields[2]))
	p.own = time.Duration(number(fields[11])+number(fields[12])) * tick
	p.ended = time.Duration(number(fields[13])+number(fields[14])) * tick
	return p
}

func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64) // the kernel writes numbers
	return n
}

// peakMemory is the most memory that a process has had, in bytes.
func peakMemory(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return number(strings.TrimSuffix(strings.TrimSpace(rest), " kB")) << 10
		}
	}
	return 0
}
