// Bench measures the runner with the real binaries: bin/core with three plugin processes against sed | sed | grep doing
// the same work on the same file, in turns, in one run, with a recorded log and with a job and a source; the time of a line
// on its way; a thousand jobs that are open at once; `core run` with two hundred jobs of a real Faktory; and each hop by
// itself, with the Go benchmarks. It prints one table, and judges no time; it fails only when two outputs differ or a
// program fails. Run it from the repository: `make bench`.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// limit bounds the whole run.
const limit = 20 * time.Minute

func main() {
	megabytes := flag.Int("mb", 100, "size of the log, `megabytes`")
	pairs := flag.Int("pairs", 5, "how often each of the two is run")
	starts := flag.Int("starts", 20, "how often a start is measured")
	only := flag.String("only", "", "the measurements that are made, of replay, chain, latency, starts, jobs, open, hops; `names` with commas between them; empty: all")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := bench(ctx, *megabytes, max(*pairs, 1), max(*starts, 1), strings.FieldsFunc(*only, func(r rune) bool { return r == ',' })); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, megabytes, pairs, starts int, only []string) (err error) {
	// Not in /tmp, of which each job has its own.
	dir, err := filepath.Abs("build")
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		dir, err = os.MkdirTemp(dir, "bench-")
	}
	if err != nil {
		return err
	}
	defer func() {
		if removeErr := os.RemoveAll(dir); err == nil {
			err = removeErr
		}
	}()
	w, err := newWorkload(ctx, dir, megabytes)
	if err != nil {
		return err
	}
	t := newTable()
	for _, m := range []struct {
		name    string
		measure func() error
	}{
		{"replay", func() error { return compare(ctx, w, pairs, t) }},
		{"chain", func() error { return measureChain(ctx, w, pairs, t) }},
		{"latency", func() error { return measureLatency(ctx, w, t) }},
		{"starts", func() error { return measureStarts(ctx, w, starts, t) }},
		{"jobs", func() error { return measureJobs(ctx, dir, t) }},
		{"open", func() error { return measureOpen(ctx, w, t) }},
		{"hops", func() error { return measureHops(ctx, t) }},
	} {
		if len(only) > 0 && !slices.Contains(only, m.name) {
			continue
		}
		if err := m.measure(); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return t.print(os.Stdout, w)
}
