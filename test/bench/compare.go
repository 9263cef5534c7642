package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/podrunner/runner/test/bench/internal/measure"
)

// shell is the same work without core. A file as the last output, and not /dev/null: grep stops at its first match when
// that is where its output goes. In the C locale sed is fastest.
const shell = `export LC_ALL=C; sed -f "$1" "$2" | sed "s/^/$3/" | grep -v '^.\{25\}::set-outcome-var '`

// cost is what a run of a program took.
type cost struct {
	wall time.Duration
	// cpu is that of the program and of all processes that it has started.
	cpu time.Duration
}

// compare runs core and the shell in turns.
func compare(ctx context.Context, w *workload, pairs int, t *table) error {
	ours, theirs := filepath.Join(w.dir, "core.out"), filepath.Join(w.dir, "shell.out")
	var core, shell, coreCPU, shellCPU measure.Series
	megabytes := float64(w.lines*lineBytes) / 1e6
	for pair := range pairs {
		a, err := run(w.replay(ctx, w.log), ours)
		if err != nil {
			return err
		}
		b, err := run(w.shell(ctx), theirs)
		if err != nil {
			return err
		}
		if pair == 0 {
			if err := same(ours, theirs, 0); err != nil {
				return err
			}
		}
		core = append(core, megabytes/a.wall.Seconds())
		shell = append(shell, megabytes/b.wall.Seconds())
		coreCPU = append(coreCPU, a.cpu.Seconds())
		shellCPU = append(shellCPU, b.cpu.Seconds())
	}
	t.add("core replay, 3 processors", "MB/s", core.Max(), core.Median())
	t.add("sed | sed | grep", "MB/s", shell.Max(), shell.Median())
	t.add("core to sed | sed | grep", "", core.Max()/shell.Max(), core.Median()/shell.Median())
	t.add("core replay, CPU of its 4 processes", "s", coreCPU.Min(), coreCPU.Median())
	t.add("sed | sed | grep, CPU of its 4 processes", "s", shellCPU.Min(), shellCPU.Median())
	return nil
}

func (w *workload) replay(ctx context.Context, log string) *exec.Cmd {
	return exec.CommandContext(ctx, "bin/core", "replay", "-c", w.config, "-f", w.job, "--time", stamp, log)
}

func (w *workload) shell(ctx context.Context) *exec.Cmd {
	return exec.CommandContext(ctx, "sh", "-c", shell, "sh", w.sed, w.log, prefix)
}

// run runs a program with its standard output in a file.
func run(c *exec.Cmd, path string) (cost, error) {
	out, err := os.Create(path)
	if err != nil {
		return cost{}, err
	}
	defer func() { _ = out.Close() }() // closed below, unless the program fails
	var stderr bytes.Buffer
	c.Stdout, c.Stderr = out, &stderr
	begun := time.Now()
	if err := c.Run(); err != nil {
		return cost{}, fmt.Errorf("run %s: %w\n%s", c.Path, err, stderr.Bytes())
	}
	return cost{time.Since(begun), c.ProcessState.UserTime() + c.ProcessState.SystemTime()}, out.Close()
}

// same fails when two files differ, but for so many bytes at the start of each line.
func same(a, b string, but int) error {
	f, err := os.Open(a)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	g, err := os.Open(b)
	if err != nil {
		return err
	}
	defer func() { _ = g.Close() }()
	left, right := bufio.NewReader(f), bufio.NewReader(g)
	for line := 1; ; line++ {
		x, xErr := left.ReadBytes('\n')
		y, yErr := right.ReadBytes('\n')
		switch {
		case !bytes.Equal(x[min(but, len(x)):], y[min(but, len(y)):]):
			return fmt.Errorf("the outputs differ at line %d:\ncore:  %q\nshell: %q", line, x, y)
		case xErr == io.EOF && yErr == io.EOF:
			return nil
		case xErr != nil:
			return fmt.Errorf("read %s: %w", a, xErr)
		case yErr != nil:
			return fmt.Errorf("read %s: %w", b, yErr)
		}
	}
}
