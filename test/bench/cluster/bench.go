package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/podrunner/runner/test/bench/internal/measure"
)

// transports are the ways of core to a pod.
var transports = []string{"port_forward", "direct"}

// Bounds that the table holds the measurements against.
const (
	ratioGoal, ratioBound = 1.3, 1.6
	memoryBound           = 150 // MiB
)

func bench(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c, err := newCluster(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.remove()) }()
	w, err := newWork(dir, c.namespace, o)
	if err != nil {
		return err
	}
	t := measure.NewTable("min", "median", "max", "unit", "")
	if err := measureJobs(ctx, o, c, w, t); err != nil {
		return err
	}
	if err := measureLogs(ctx, o, w, t); err != nil {
		return err
	}
	return t.Print(os.Stdout, fmt.Sprintf("Kubernetes %s, nodes: %d; each job %d times, each log of %d MiB %d times",
		c.version, c.nodes, o.jobs, o.mebibytes, o.logs))
}

// row adds a row with a verdict, or what else there is to say.
func row(t *measure.Table, what, unit string, s measure.Series, says string) {
	t.Row(what, measure.Number(s.Min()), measure.Number(s.Median()), measure.Number(s.Max()), unit, says)
}

// measureJobs runs the trivial job in turns: by core with each transport, and as a bare pod. The first turn counts for
// nothing: images may have to be pulled, and what is read from disk the first time is in memory after that.
func measureJobs(ctx context.Context, o options, c *cluster, w *work, t *measure.Table) error {
	var bare measure.Series
	job, process := map[string]measure.Series{}, map[string]measure.Series{}
	for turn := range o.jobs + 1 {
		if err := fallOutOfStep(ctx); err != nil {
			return err
		}
		took, err := c.runBare(ctx, o.image)
		if err != nil {
			return err
		}
		ms := map[string]float64{"bare pod": milliseconds(took)}
		for _, transport := range transports {
			if err := fallOutOfStep(ctx); err != nil {
				return err
			}
			r, err := w.runTrivial(ctx, transport)
			if err != nil {
				return err
			}
			ms[transport] = float64(r.Duration.Total)
			if turn > 0 {
				job[transport] = append(job[transport], float64(r.Duration.Total))
				process[transport] = append(process[transport], milliseconds(r.wall))
			}
		}
		if turn > 0 {
			bare = append(bare, milliseconds(took))
		}
		o.tell("turn %d: %v", turn, ms)
	}
	row(t, "bare pod, created to Succeeded", "ms", bare, "")
	for _, transport := range transports {
		row(t, transport+": job, created to result", "ms", job[transport], "")
	}
	for _, transport := range transports {
		row(t, transport+": core test, start to exit", "ms", process[transport], "")
	}
	for _, transport := range transports {
		ratio := job[transport].Median() / bare.Median()
		t.Row(transport+": job to bare pod", "", measure.Number(ratio), "", "", ratioVerdict(ratio))
	}
	return nil
}

// fallOutOfStep waits for up to as long as the kubelet's interval between two looks at its containers. Each run ends with
// such a look, and without the wait the next one would always begin at the same time after it.
func fallOutOfStep(ctx context.Context) error {
	timer := time.NewTimer(rand.N(time.Second))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func ratioVerdict(ratio float64) string {
	switch {
	case ratio <= ratioGoal:
		return fmt.Sprintf("pass: goal is %.1f", ratioGoal)
	case ratio <= ratioBound:
		return fmt.Sprintf("pass: bound is %.1f, goal %.1f", ratioBound, ratioGoal)
	}
	return fmt.Sprintf("FAIL: bound is %.1f", ratioBound)
}

// measureLogs fetches the large log with each transport in turns.
func measureLogs(ctx context.Context, o options, w *work, t *measure.Table) error {
	rate, cpu, memory := map[string]measure.Series{}, map[string]measure.Series{}, map[string]measure.Series{}
	for turn := range o.logs {
		for _, transport := range transports {
			r, err := w.runLog(ctx, transport)
			if err != nil {
				return err
			}
			megabytes := float64(w.lines*lineBytes) / 1e6
			rate[transport] = append(rate[transport], megabytes/r.fetched.Seconds())
			cpu[transport] = append(cpu[transport], r.cpu.Seconds())
			memory[transport] = append(memory[transport], r.memory)
			o.tell("log %d: %s: %.1f MB/s, %.2f s of CPU, %.0f MiB", turn+1, transport, megabytes/r.fetched.Seconds(), r.cpu.Seconds(), r.memory)
		}
	}
	for _, transport := range transports {
		row(t, transport+": log, first line written to last line out", "MB/s", rate[transport], "")
	}
	for _, transport := range transports {
		row(t, transport+": log, CPU of core and its plugins", "s", cpu[transport], "")
	}
	for _, transport := range transports {
		verdict := fmt.Sprintf("pass: bound is %d", memoryBound)
		if memory[transport].Max() > memoryBound {
			verdict = fmt.Sprintf("FAIL: bound is %d", memoryBound)
		}
		row(t, transport+": log, peak memory of core", "MiB", memory[transport], verdict)
	}
	return nil
}

func (o options) tell(format string, args ...any) {
	if o.verbose {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
}

// work is the files of a run.
type work struct {
	lines        int
	trivial, log string
	configs      map[string]string
}

func newWork(dir, namespace string, o options) (*work, error) {
	plugins, err := filepath.Abs("bin/plugins")
	if err != nil {
		return nil, err
	}
	w := &work{
		lines: o.mebibytes << 20 / lineBytes, trivial: filepath.Join(dir, "trivial.yaml"), log: filepath.Join(dir, "log.yaml"),
		configs: map[string]string{},
	}
	kubeContext := "null"
	if o.kubeContext != "" {
		kubeContext = strconv.Quote(o.kubeContext)
	}
	files := map[string]string{
		w.trivial: jobFile(o.image, trivialCommand),
		w.log:     jobFile(o.image, logCommand(w.lines)),
	}
	for _, transport := range transports {
		path := filepath.Join(dir, transport+".hcl")
		w.configs[transport] = path
		files[path] = fmt.Sprintf(config, plugins, kubeContext, namespace, transport)
	}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// config is a runner.hcl. What the steps ask for is what the bare pod asks for.
const config = `runner {
  plugin_dir = %q
}

kubernetes {
  context   = %s
  namespace = %q
  transport = %q
  xtrace    = false

  resources = {
    requests = { cpu = "` + requestCPU + `", memory = "` + requestMemory + `" }
    limits   = { cpu = null, memory = "` + limitMemory + `", "ephemeral-storage" = "1Gi" }
  }
}

pipeline "default" {
  processor "outcome" {}
  processor "sanitize" {}
}
`

// What the trivial job's container asks for, and the bare pod's.
const (
	requestCPU    = "10m"
	requestMemory = "32Mi"
	limitMemory   = "256Mi"
)
