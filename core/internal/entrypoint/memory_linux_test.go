package entrypoint

import (
	"testing"
	"testing/fstest"

	"github.com/podrunner/runner/core/internal/spool"
)

func TestReadMemory(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  spool.Exit
	}{
		"second version": {
			map[string]string{
				"memory.peak": "1048576\n", "memory.max": "2097152\n",
				"memory.events": "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n",
			},
			spool.Exit{PeakMemory: 1 << 20, MemoryLimit: 2 << 20, OOMKills: 1},
		},
		"second version, no limit": {
			map[string]string{"memory.peak": "5\n", "memory.max": "max\n", "memory.events": "oom_kill 0\n"},
			spool.Exit{PeakMemory: 5},
		},
		"an old kernel has no peak": {
			map[string]string{"memory.max": "7\n"},
			spool.Exit{MemoryLimit: 7},
		},
		"first version": {
			map[string]string{
				"memory/memory.max_usage_in_bytes": "9\n", "memory/memory.limit_in_bytes": "11\n",
				"memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
			},
			spool.Exit{PeakMemory: 9, MemoryLimit: 11, OOMKills: 4},
		},
		"first version, no limit": {
			map[string]string{"memory/memory.max_usage_in_bytes": "9\n", "memory/memory.limit_in_bytes": "9223372036854771712\n"},
			spool.Exit{PeakMemory: 9},
		},
		"nothing":     {nil, spool.Exit{}},
		"not numbers": {map[string]string{"memory.peak": "many\n", "memory.events": "oom_kill\noom_kill x\n"}, spool.Exit{}},
	} {
		t.Run(name, func(t *testing.T) {
			cgroup := fstest.MapFS{}
			for name, text := range c.files {
				cgroup[name] = &fstest.MapFile{Data: []byte(text)}
			}
			var got spool.Exit
			readMemory(cgroup, &got)
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
