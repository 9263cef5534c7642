package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// hops are the Go benchmarks of each part of a line's way by itself: packages, and the names of their benchmarks for people.
var hops = []struct {
	pkg, bench string
	names      map[string]string
}{
	{"core/internal/entrypoint", "BenchmarkPump", map[string]string{
		"Pump/one_write":             "entrypoint, pipe to spool, 64 KB a write",
		"Pump/a_write_for_each_line": "entrypoint, pipe to spool, 100 bytes a write",
	}},
	{"core/internal/spool", "BenchmarkRead", map[string]string{"Read": "spool, read and checked"}},
	{"core/internal/agent", "BenchmarkTail", map[string]string{"Tail": "agent, spool to core over TLS, 400,000 lines"}},
	{"core/internal/pipeline", "BenchmarkPipeline", map[string]string{
		"Pipeline/feeder_alone":                     "feeder, a batch of 290 lines",
		"Pipeline/feeder_alone,_10_lines_at_a_time": "feeder, a batch of 10 lines, gathered",
		"Pipeline/feeder_and_delivery":              "feeder and delivery, a batch of 290 lines",
		"Pipeline/1_stage,_no_edits":                "1 stage over gRPC in memory, no edits",
		"Pipeline/1_stage,_each_line_edited":        "1 stage over gRPC in memory, each line edited",
		"Pipeline/3_stages,_each_line_edited_once":  "3 stages over gRPC in memory, each line edited once",
	}},
	{"sdk", "BenchmarkPrefixDecoded|BenchmarkAppendLogs", map[string]string{
		"PrefixDecoded":     "plugin, a batch of 300 lines decoded, each line edited",
		"AppendLogs/packed": "source, 10,000 lines decoded, in one piece",
		"AppendLogs/lines":  "source, 10,000 lines decoded, each by itself",
	}},
}

// benchmarkLine is what go test prints of a benchmark with bytes and allocations.
var benchmarkLine = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+\S+ ns/op\s+(\S+) MB/s\s+(\d+) B/op\s+(\d+) allocs/op$`)

// measureHops runs the benchmarks.
func measureHops(ctx context.Context, t *table) error {
	for _, h := range hops {
		c := exec.CommandContext(ctx, "go", "test", "-run=^$", "-bench=^("+h.bench+")$", "-benchmem", "./"+h.pkg)
		c.Stderr = os.Stderr
		out, err := c.Output()
		if err != nil {
			return fmt.Errorf("benchmarks of %s: %w\n%s", h.pkg, err, out)
		}
		found := 0
		for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
			m := benchmarkLine.FindStringSubmatch(strings.TrimSpace(lines.Text()))
			if m == nil || h.names[m[1]] == "" {
				continue
			}
			found++
			for i, unit := range []string{"MB/s", "B", "allocations"} {
				n, err := strconv.ParseFloat(m[i+2], 64)
				if err != nil {
					return err
				}
				t.count("hop: "+h.names[m[1]], unit, n)
			}
		}
		if found != len(h.names) {
			return fmt.Errorf("%d benchmarks of %s are missing in what go test has printed:\n%s", len(h.names)-found, h.pkg, out)
		}
	}
	return nil
}
