package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/podrunner/runner/test/bench/internal/measure"
)

// measureStarts measures how long three plugin processes take to let a line through, and a core that starts none.
func measureStarts(ctx context.Context, w *workload, n int, t *table) error {
	var first, bare measure.Series
	for range n {
		d, err := untilFirstByte(w.replay(ctx, w.short))
		if err != nil {
			return err
		}
		first = append(first, milliseconds(d))
		if d, err = untilFirstByte(exec.CommandContext(ctx, "bin/core", "version")); err != nil {
			return err
		}
		bare = append(bare, milliseconds(d))
	}
	t.add("core replay, start to first line", "ms", first.Min(), first.Median())
	t.add("core version, start to first line", "ms", bare.Min(), bare.Median())
	return nil
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// untilFirstByte runs a program to its end and returns the time from its start to its first output.
func untilFirstByte(c *exec.Cmd) (time.Duration, error) {
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := c.Start(); err != nil {
		return 0, err
	}
	_, readErr := io.ReadFull(out, make([]byte, 1))
	took := time.Since(begun)
	_, _ = io.Copy(io.Discard, out) // the program's exit code tells
	if err := c.Wait(); err != nil {
		return 0, fmt.Errorf("run %s: %w\n%s", c.Path, err, stderr.Bytes())
	}
	if readErr != nil {
		return 0, fmt.Errorf("%s has printed nothing: %w", c.Path, readErr)
	}
	return took, nil
}
