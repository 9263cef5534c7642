// Bench measures the pipeline with the real binaries: bin/core with three plugin processes against sed | sed | grep
// doing the same work on the same file, in turns, in one run; and `core run` with two hundred jobs of a real Faktory. It prints one table, and judges no time; it fails only
// when the two outputs differ or a program fails. Run it from the repository: `make bench`.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// limit bounds the whole run.
const limit = 20 * time.Minute

func main() {
	megabytes := flag.Int("mb", 100, "size of the log, `megabytes`")
	pairs := flag.Int("pairs", 5, "how often each of the two is run")
	starts := flag.Int("starts", 20, "how often a start is measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := bench(ctx, *megabytes, max(*pairs, 1), max(*starts, 1)); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, megabytes, pairs, starts int) (err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer func() {
		if removeErr := os.RemoveAll(dir); err == nil {
			err = removeErr
		}
	}()
	w, err := newWorkload(dir, megabytes)
	if err != nil {
		return err
	}
	t := newTable()
	if err := compare(ctx, w, pairs, t); err != nil {
		return err
	}
	if err := measureStarts(ctx, w, starts, t); err != nil {
		return err
	}
	if err := measureJobs(ctx, dir, t); err != nil {
		return err
	}
	if err := countAllocations(ctx, t); err != nil {
		return err
	}
	return t.print(os.Stdout, w)
}
