package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// latencyRate is in lines a second, latencyLines how many there are.
	latencyRate  = 1000
	latencyLines = 15_000
	// latencyInterval is the shortest that deliver takes for max_interval.
	latencyInterval = "10ms"
)

// emitCommand is what a job runs to print lines with the times of their writing.
func (w *workload) emitCommand() string {
	return fmt.Sprintf("exec %s -rate %d -lines %d", w.emit, latencyRate, latencyLines)
}

// measureLatency measures the time from the write(2) of a line in a job to its arrival in the source's AppendLogs, and to
// its arrival at a reader of the events of `core test`, behind three processors either way.
func measureLatency(ctx context.Context, w *workload, t *table) error {
	delivered, err := latencyOfDelivery(ctx, w)
	if err != nil {
		return fmt.Errorf("measure the time to delivery: %w", err)
	}
	printed, recorded, err := latencyOfEvents(ctx, w)
	if err != nil {
		return fmt.Errorf("measure the time to the events: %w", err)
	}
	for _, m := range []struct {
		what string
		took []time.Duration
	}{
		{"line written to source, max_interval " + latencyInterval, delivered},
		{"line written to event of core test", printed},
		{"line recorded to event of core test", recorded},
	} {
		if len(m.took) != latencyLines {
			return fmt.Errorf("%s: %d lines of %d have come", m.what, len(m.took), latencyLines)
		}
		slices.Sort(m.took)
		for _, p := range []struct {
			name string
			at   int
		}{{"p50", len(m.took) / 2}, {"p99", len(m.took) * 99 / 100}, {"max", len(m.took) - 1}} {
			t.count(fmt.Sprintf("%s, %d lines/s, %s", m.what, latencyRate, p.name), "ms", milliseconds(m.took[p.at]))
		}
	}
	return nil
}

// latencyOfDelivery runs the job with `core run`.
func latencyOfDelivery(ctx context.Context, w *workload) (took []time.Duration, err error) {
	j := serviceJob{ID: "1", Commands: []string{w.emitCommand()}}
	s, err := newService(w, "latency", serviceOptions{concurrency: 1, interval: latencyInterval, format: "{time} "}, []serviceJob{j})
	if err != nil {
		return nil, err
	}
	if _, err := s.run(ctx); err != nil {
		return nil, err
	}
	if _, err := s.result(j.ID); err != nil {
		return nil, err
	}
	err = s.arrivals(j.ID, func(line string, at int64) error {
		_, text, _ := strings.Cut(line, " ")
		written, err := writtenAt(text)
		took = append(took, time.Duration(at-written))
		return err
	})
	return took, err
}

// latencyOfEvents runs the job with `core test`; recorded counts from the time that the entrypoint gave the line.
func latencyOfEvents(ctx context.Context, w *workload) (printed, recorded []time.Duration, err error) {
	job := filepath.Join(w.dir, "emit.yaml")
	text, err := json.Marshal(map[string]any{"id": "1", "image": "none", "commands": []string{w.emitCommand()}})
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(job, text, 0o600); err != nil {
		return nil, nil, err
	}
	core := exec.CommandContext(ctx, "bin/core", "test", "-c", w.config, "-f", job,
		"--executor", "local", "--set", "local.xtrace=false", "--output", "json")
	var stderr strings.Builder
	core.Stderr = &stderr
	out, err := core.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := core.Start(); err != nil {
		return nil, nil, err
	}
	readErr := eachEvent(out, func(line string, at, recordedAt time.Time) error {
		_, text, _ := strings.Cut(line, "] ")
		written, err := writtenAt(text)
		printed, recorded = append(printed, time.Duration(at.UnixNano()-written)), append(recorded, at.Sub(recordedAt))
		return err
	})
	_, _ = io.Copy(io.Discard, out) // the program's exit code tells
	if err := core.Wait(); err != nil {
		return nil, nil, fmt.Errorf("core test: %w\n%s", err, stderr.String())
	}
	return printed, recorded, readErr
}

// eachEvent calls with each line of the log, when it has come, and when it was recorded.
func eachEvent(out io.Reader, with func(line string, at, recorded time.Time) error) error {
	for in := bufio.NewReader(out); ; {
		text, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at := time.Now()
		var event struct {
			Event, Line string
			Time        time.Time
		}
		if err := json.Unmarshal(text, &event); err != nil {
			return fmt.Errorf("event %q: %w", text, err)
		}
		if event.Event != "log" {
			continue
		}
		if err := with(event.Line, at, event.Time); err != nil {
			return err
		}
	}
}

// writtenAt reads the time that emit has put at the beginning of a line.
func writtenAt(line string) (int64, error) {
	stamp, _, _ := strings.Cut(line, " ")
	at, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("line %q does not begin with a time", line)
	}
	return at, nil
}
