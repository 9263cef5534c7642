//go:build linux

package agent_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/record"
	"github.com/podrunner/runner/core/internal/spool"
)

// written is a pod whose job has written so many lines of 100 bytes, and ended.
func written(tb testing.TB, lines int) *pod {
	tb.Helper()
	const bytes = 100
	p := newPod(tb, sh("true")).serve()
	w, err := spool.NewWriter(p.spool("job"), spool.Options{Bytes: 1 << 30})
	if err != nil {
		tb.Fatal(err)
	}
	text := make([]byte, bytes)
	for i := range text {
		text[i] = byte('a' + i%26)
	}
	now := time.Now().UnixNano()
	records := make([]record.Record, 100)
	for i := range lines / len(records) {
		for j := range records {
			records[j] = record.Record{Text: text, Time: now + int64(i)*1e5}
		}
		if err := w.Append(context.Background(), records); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Finish(spool.Exit{Finished: time.Now()}); err != nil {
		tb.Fatal(err)
	}
	return p
}

// readAll reads the log of the job, and returns in how many batches it came.
func readAll(tb testing.TB, c *agent.Client, lines uint64) (batches int) {
	f := c.Follow("job")
	var err error
	for batches = -1; err == nil; batches++ {
		_, err = f.Next(context.Background())
	}
	if !errors.Is(err, io.EOF) || f.Tally().Records != lines {
		tb.Fatalf("read %+v, %v", f.Tally(), err)
	}
	return batches
}

// BenchmarkTail reads a log of lines of 100 bytes over TLS on the loopback interface.
func BenchmarkTail(b *testing.B) {
	const lines, bytes = 400000, 100
	c := written(b, lines).client(nil)
	b.SetBytes(lines * (bytes + 1))
	b.ReportAllocs()
	for b.Loop() {
		readAll(b, c, lines)
	}
}

// TestTailAllocations guards the cost of a batch on its way from the spool to core, gRPC's and TLS's at both ends among it.
// There is room for other versions of these and for the race detector, and none for an allocation a line.
func TestTailAllocations(t *testing.T) {
	const lines, most = 40000, 120
	c := written(t, lines).client(nil)
	batches := readAll(t, c, lines)
	if got := testing.AllocsPerRun(1, func() { readAll(t, c, lines) }) / float64(batches); got > most {
		t.Errorf("a batch of %d lines costs %.0f allocations, more than %d", lines/batches, got, most)
	}
}
