package measure

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Process is what a process that runs has needed so far.
type Process struct {
	// CPU is its own, ChildrenCPU that of children whose end it has waited for, with theirs.
	CPU, ChildrenCPU time.Duration
	// Resident is the memory that it has, Peak the most that it has had, in bytes.
	Resident, Peak int64
	// Name is that of its program, cut off behind 15 bytes.
	Name string
}

// tick is the unit of times in /proc: 1/100 s on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// ProcessOf looks at a process.
func ProcessOf(pid int) (p Process, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, err
	}
	// The name, in parentheses, may hold anything. utime is the 12th field after it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	var ticks [4]int64
	for i := range ticks {
		if ticks[i], err = strconv.ParseInt(string(fields[11+i]), 10, 64); err != nil {
			return p, err
		}
	}
	p.CPU, p.ChildrenCPU = time.Duration(ticks[0]+ticks[1])*tick, time.Duration(ticks[2]+ticks[3])*tick
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch name {
		case "Name":
			p.Name = value
		case "VmHWM":
			p.Peak, err = bytesOf(value)
		case "VmRSS":
			p.Resident, err = bytesOf(value)
		}
		if err != nil {
			return p, err
		}
	}
	return p, err
}

// bytesOf reads a size as the kernel writes it.
func bytesOf(size string) (int64, error) {
	kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(size, "kB")), 10, 64)
	return kib << 10, err
}

// Children returns the children of a process.
func Children(pid int) (out []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task) // a thread that has ended has none
		for field := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				out = append(out, child)
			}
		}
	}
	return out
}
