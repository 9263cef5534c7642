package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/podrunner/runner/test/bench/internal/measure"
)

// measureChain runs the whole chain, in turns with the shell: a job that prints the log, the three processors, and the
// delivery to a source that writes a file. The shell has the log at hand and a file to write to.
func measureChain(ctx context.Context, w *workload, pairs int, t *table) error {
	theirs := filepath.Join(w.dir, "chain-shell.out")
	var core, shell, coreCPU, shellCPU measure.Series
	megabytes := float64(w.lines*lineBytes) / 1e6
	for pair := range pairs {
		a, ours, err := runChain(ctx, w, fmt.Sprint("chain", pair))
		if err != nil {
			return err
		}
		b, err := run(w.shell(ctx), theirs)
		if err != nil {
			return err
		}
		if pair == 0 {
			if err := same(ours, theirs, len(stamp)); err != nil {
				return err
			}
		}
		if err := os.Remove(ours); err != nil {
			return err
		}
		core, shell = append(core, megabytes/a.wall.Seconds()), append(shell, megabytes/b.wall.Seconds())
		coreCPU, shellCPU = append(coreCPU, a.cpu.Seconds()), append(shellCPU, b.cpu.Seconds())
	}
	t.add("core run, job to source, 3 processors", "MB/s", core.Max(), core.Median())
	t.add("sed | sed | grep, in turns with that", "MB/s", shell.Max(), shell.Median())
	t.add("core run to sed | sed | grep", "", core.Max()/shell.Max(), core.Median()/shell.Median())
	t.add("core run, CPU of all of its processes and the job's", "s", coreCPU.Min(), coreCPU.Median())
	t.add("sed | sed | grep, CPU of its 4 processes, in turns with that", "s", shellCPU.Min(), shellCPU.Median())
	return nil
}

// runChain runs one job that prints the log. The time is from its offer to its result, the CPU time that of all.
func runChain(ctx context.Context, w *workload, name string) (c cost, log string, err error) {
	j := serviceJob{ID: "1", Commands: []string{"exec cat " + w.log}}
	for i, s := range w.secrets {
		j.Variables = append(j.Variables, serviceVariable{fmt.Sprint("SECRET_", i), s, true})
	}
	s, err := newService(w, name, serviceOptions{concurrency: 1}, []serviceJob{j})
	if err != nil {
		return c, "", err
	}
	if c.cpu, err = s.run(ctx); err != nil {
		return c, "", err
	}
	r, err := s.result(j.ID)
	c.wall = time.Duration(r.Reported - r.Offered)
	return c, s.log(j.ID), err
}
