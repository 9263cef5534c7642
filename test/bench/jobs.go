package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/contribsys/faktory/client"

	"github.com/podrunner/runner/test/bench/internal/measure"
	"github.com/podrunner/runner/test/faktory"
)

const (
	// jobCount is the number of jobs in a round, jobsAtOnce how many of them core runs at once.
	jobCount   = 200
	jobsAtOnce = 20
	jobRounds  = 3
	// roundLimit bounds a round, which takes some seconds.
	roundLimit = 2 * time.Minute
	// lookEvery is how often the server is asked how far it is. Each look costs it a millisecond.
	lookEvery = 20 * time.Millisecond
)

// jobRun is a core that takes its jobs from a Faktory server.
type jobRun struct {
	server *faktory.Server
	core   *exec.Cmd
	log    *os.File
	heard  faktory.Heard
}

// measureJobs measures what core adds to jobs that do nothing: from a real Faktory, on this machine, through three
// processors, with their logs and outcomes back in Faktory. It looks at who has needed the processors' time in between.
func measureJobs(ctx context.Context, dir string, t *table) (err error) {
	r, err := startJobRun(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	// Nothing is measured of the first jobs: they come while the plugins start.
	if err := r.round(ctx, "warm-up", jobsAtOnce); err != nil {
		return err
	}
	var rate, busy measure.Series
	shares := map[string]measure.Series{}
	for i := range jobRounds {
		before, begun := r.processors(), time.Now()
		if err := r.round(ctx, fmt.Sprint("round-", i), jobCount); err != nil {
			return err
		}
		took, after := time.Since(begun), r.processors()
		if err := r.check(ctx, (i+1)*jobCount+jobsAtOnce); err != nil {
			return err
		}
		rate = append(rate, jobCount/took.Seconds())
		var all time.Duration
		for who, cpu := range after {
			cpu -= before[who]
			all += cpu
			shares[who] = append(shares[who], milliseconds(cpu)/jobCount)
		}
		busy = append(busy, all.Seconds()/took.Seconds())
	}
	t.add(fmt.Sprintf("core run, %d trivial jobs from Faktory, %d at once", jobCount, jobsAtOnce), "jobs/s", rate.Max(), rate.Median())
	for _, who := range []string{partCore, partJobs, partPlugins, partServer} {
		t.add("CPU of a job, "+who, "ms", shares[who].Min(), shares[who].Median())
	}
	t.add(fmt.Sprintf("CPUs that all of it keeps busy, of %d", runtime.NumCPU()), "", busy.Max(), busy.Median())
	t.count("peak memory of that core", "MiB", float64(peakMemory(r.core.Process.Pid))/(1<<20))
	return nil
}

// startJobRun starts a server and core.
func startJobRun(ctx context.Context, dir string) (*jobRun, error) {
	log, err := os.Create(filepath.Join(dir, "jobs.log"))
	if err != nil {
		return nil, err
	}
	r := &jobRun{log: log, heard: faktory.Heard{}}
	r.server, err = faktory.Start(ctx, faktory.Options{Program: "build/tools/faktory", Dir: dir, Log: log})
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "jobs.hcl")
	text := fmt.Sprintf(`
runner {
  concurrency = %d
  plugin_dir  = "bin/plugins"
}
telemetry {
  address = ""
}
pipeline "default" {
  executor = "local"
  source "faktory" {
    config {
      url    = %q
      queues = ["runner"]
    }
  }
  processor "outcome" {}
  processor "sanitize" {}
  processor "prefix" {}
}
`, jobsAtOnce, r.server.URL())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, errors.Join(err, r.server.Stop())
	}
	r.core = exec.Command("bin/core", "run", "-c", config)
	r.core.Stdout, r.core.Stderr = log, log
	// Ctrl-C is for this program, which ends core in order.
	r.core.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.core.Start(); err != nil {
		return nil, errors.Join(err, r.server.Stop())
	}
	return r, nil
}

// stop ends core, then the server.
func (r *jobRun) stop() error {
	err := r.core.Process.Signal(syscall.SIGTERM)
	if err == nil {
		err = r.core.Wait()
	}
	if err != nil {
		text, _ := os.ReadFile(r.log.Name())
		err = fmt.Errorf("stop core: %w\n%s", err, text[max(0, len(text)-4<<10):])
	}
	return errors.Join(err, r.server.Stop(), r.log.Close())
}

// round has n jobs run, and returns when the server has been told that they are over.
func (r *jobRun) round(ctx context.Context, name string, n int) error {
	ctx, cancel := context.WithTimeout(ctx, roundLimit)
	defer cancel()
	before, err := r.server.State()
	if err != nil {
		return err
	}
	if err := r.push(name, n); err != nil {
		return err
	}
	for {
		now, err := r.server.State()
		if err != nil {
			return err
		}
		if now.Failures > before.Failures {
			return fmt.Errorf("%d jobs have failed", now.Failures-before.Failures)
		}
		if now.Processed >= before.Processed+uint64(n) { //nolint:gosec // a small number
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s %d jobs are over, not %d", roundLimit, now.Processed-before.Processed, n)
		case <-time.After(lookEvery):
		}
	}
}

// push pushes n jobs in one command.
func (r *jobRun) push(name string, n int) error {
	jobs := make([]*client.Job, n)
	for i := range jobs {
		jobs[i] = client.NewJob("legacy", map[string]any{"image": "none", "commands": []string{"true"}})
		jobs[i].Queue = "runner"
		jobs[i].SetCustom("opslevel-runner-job-id", fmt.Sprint(name, "-", i))
	}
	return r.server.Do(func(c *client.Client) error {
		refused, err := c.PushBulk(jobs)
		if err == nil && len(refused) > 0 {
			err = fmt.Errorf("the server has refused %d of %d jobs", len(refused), n)
		}
		return err
	})
}

// check fails unless there have been n jobs, each with one outcome, which is success.
func (r *jobRun) check(ctx context.Context, n int) error {
	list, err := r.server.FollowUps(ctx)
	if err != nil {
		return err
	}
	r.heard.Add(list)
	if len(r.heard) != n {
		return fmt.Errorf("%d jobs were told of, not %d", len(r.heard), n)
	}
	for id, job := range r.heard {
		if !slices.Equal(job.Outcomes, []string{"success"}) {
			return fmt.Errorf("the outcomes of job %s are %q", id, job.Outcomes)
		}
	}
	return nil
}
