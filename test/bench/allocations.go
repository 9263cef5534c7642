package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// benchmarkLine is what go test prints of a benchmark of the pipeline.
var benchmarkLine = regexp.MustCompile(`(?m)^BenchmarkPipeline/(\S+?)(?:-\d+)?\s.*\s(\d+) B/op\s+(\d+) allocs/op$`)

// countAllocations runs the pipeline's own benchmark: one batch is one operation.
func countAllocations(ctx context.Context, t *table) error {
	c := exec.CommandContext(ctx, "go", "test", "-run=^$", "-bench=^BenchmarkPipeline$", "-benchmem", "./core/internal/pipeline")
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return fmt.Errorf("benchmark of the pipeline: %w\n%s", err, out)
	}
	found := benchmarkLine.FindAllSubmatch(out, -1)
	if len(found) == 0 {
		return fmt.Errorf("the benchmark of the pipeline prints no allocations:\n%s", out)
	}
	for _, m := range found {
		name := strings.ReplaceAll(string(m[1]), "_", " ")
		for i, unit := range []string{"B", "allocations"} {
			n, err := strconv.ParseFloat(string(m[i+2]), 64)
			if err != nil {
				return err
			}
			t.count("a batch of 31 KiB, "+name, unit, n)
		}
	}
	return nil
}
