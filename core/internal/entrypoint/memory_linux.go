package entrypoint

import (
	"bytes"
	"io/fs"
	"strconv"

	"github.com/podrunner/runner/core/internal/spool"
)

// cgroupRoot is where a container sees its own cgroup.
const cgroupRoot = "/sys/fs/cgroup"

// noLimit is where a limit of the first version of cgroups means that there is none: the largest one, in pages.
const noLimit = 1 << 62

// memoryFiles are where the versions of cgroups tell of memory.
var memoryFiles = []struct{ peak, limit, events string }{
	{"memory.peak", "memory.max", "memory.events"},
	{"memory/memory.max_usage_in_bytes", "memory/memory.limit_in_bytes", "memory/memory.oom_control"},
}

// readMemory puts what the container's cgroup says of memory into an exit record.
func readMemory(cgroup fs.FS, exit *spool.Exit) {
	for _, f := range memoryFiles {
		exit.PeakMemory = max(exit.PeakMemory, number(cgroup, f.peak))
		if limit := number(cgroup, f.limit); limit < noLimit {
			exit.MemoryLimit = max(exit.MemoryLimit, limit)
		}
		events, _ := fs.ReadFile(cgroup, f.events)
		for line := range bytes.Lines(events) {
			if count, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("oom_kill ")); ok {
				n, _ := strconv.ParseInt(string(count), 10, 64)
				exit.OOMKills = max(exit.OOMKills, n)
			}
		}
	}
}

// number returns what a file says; 0 when there is none, or it holds no number.
func number(cgroup fs.FS, name string) int64 {
	text, _ := fs.ReadFile(cgroup, name)
	n, _ := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	return n
}
