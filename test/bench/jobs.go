package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/podrunner/runner/test/bench/internal/measure"
	"github.com/podrunner/runner/test/faktory"
)

// The jobs that are measured: what they do takes no time, so what is left is what it costs to run one at all.
const (
	jobCount       = 200
	jobConcurrency = 20
	jobRuns        = 3
)

// jobsMeasured is what is measured of one run.
type jobsMeasured struct {
	perSecond, peak              float64
	core, jobs, plugins, faktory float64
	// busy is how many CPUs all of these kept busy: as many as there are when CPU time is what bounds the jobs.
	busy float64
}

// measureJobs measures `core run` with jobs of a real Faktory queue, on this machine.
func measureJobs(ctx context.Context, dir string, t *table) error {
	var perSecond, peak, core, jobs, plugins, server, busy measure.Series
	for i := range jobRuns {
		m, err := runJobs(ctx, filepath.Join(dir, fmt.Sprint("jobs", i)))
		if err != nil {
			return fmt.Errorf("measure jobs: %w", err)
		}
		perSecond, peak = append(perSecond, m.perSecond), append(peak, m.peak)
		core, jobs, plugins, server = append(core, m.core), append(jobs, m.jobs), append(plugins, m.plugins), append(server, m.faktory)
		busy = append(busy, m.busy)
	}
	t.add(fmt.Sprintf("core run, %d jobs, %d at once", jobCount, jobConcurrency), "jobs/s", perSecond.Max(), perSecond.Median())
	t.add("core run, peak memory of core", "MiB", peak.Min(), peak.Median())
	t.add("core run, CPU of core", "s", core.Min(), core.Median())
	t.add("core run, CPU of the jobs' processes", "s", jobs.Min(), jobs.Median())
	t.add("core run, CPU of the plugins", "s", plugins.Min(), plugins.Median())
	t.add("core run, CPU of Faktory and Redis", "s", server.Min(), server.Median())
	t.add(fmt.Sprintf("core run, CPUs that all of this keeps busy, of %d", runtime.NumCPU()), "", busy.Max(), busy.Median())
	return nil
}

// runJobs pushes the jobs, starts core, and measures until the last one is acknowledged.
func runJobs(ctx context.Context, dir string) (m jobsMeasured, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return m, err
	}
	server, err := faktory.Start(ctx, faktory.Options{Program: "build/tools/faktory", Dir: dir})
	if err != nil {
		return m, err
	}
	defer server.Stop() //nolint:errcheck // what it holds is of no use any more
	for range jobCount {
		if _, err := server.Push("legacy", nil, map[string]any{"image": "none", "commands": []string{"true"}}); err != nil {
			return m, err
		}
	}
	config := filepath.Join(dir, "runner.hcl")
	text := fmt.Sprintf("runner {\n  concurrency = %d\n}\ntelemetry {\n  address = \"\"\n}\npipeline \"default\" {\n  executor = \"local\"\n"+
		"  source \"faktory\" {\n    config {\n      url    = %q\n      queues = [\"runner\"]\n    }\n  }\n"+
		"  processor \"outcome\" {}\n  processor \"sanitize\" {}\n  processor \"prefix\" {}\n}\n", jobConcurrency, server.URL())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return m, err
	}
	var log bytes.Buffer
	core := exec.CommandContext(ctx, "bin/core", "run", "-c", config)
	core.Stderr = &log
	if err := core.Start(); err != nil {
		return m, err
	}
	err = m.watch(ctx, server, core.Process.Pid)
	_ = core.Process.Signal(syscall.SIGTERM)
	if waitErr := core.Wait(); err == nil && waitErr != nil {
		err = fmt.Errorf("core run: %w\n%s", waitErr, log.Bytes())
	}
	return m, err
}

// watch measures from the first job that is taken to the last that is acknowledged.
func (m *jobsMeasured) watch(ctx context.Context, server *faktory.Server, core int) error {
	var begun time.Time
	for {
		state, err := server.State()
		if err != nil {
			return err
		}
		if begun.IsZero() && state.Queues["runner"] < jobCount {
			begun = time.Now()
		}
		if state.Processed >= jobCount && state.Sets["working"] == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond): // the server tells nobody
		}
	}
	took := time.Since(begun).Seconds()
	m.perSecond = jobCount / took
	own, err := measure.ProcessOf(core)
	if err != nil {
		return err
	}
	m.core, m.jobs, m.peak = own.CPU.Seconds(), own.ChildrenCPU.Seconds(), float64(own.Peak)/(1<<20)
	m.plugins = cpuOf(measure.Children(core))
	m.faktory = cpuOf(append(measure.Children(server.PID()), server.PID()))
	m.busy = (m.core + m.jobs + m.plugins + m.faktory) / took
	return nil
}

// cpuOf adds up the CPU time of processes, in seconds.
func cpuOf(pids []int) (seconds float64) {
	for _, pid := range pids {
		if p, err := measure.ProcessOf(pid); err == nil { // one that has ended has said all it had
			seconds += p.CPU.Seconds()
		}
	}
	return seconds
}
