package pipeline

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/podrunner/runner/core/internal/record"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// repeatLog is a Log of n times the same batch.
type repeatLog struct {
	batch *record.Batch
	n     int
}

func (l *repeatLog) Next(context.Context) (*record.Batch, error) {
	if l.n == 0 {
		return nil, io.EOF
	}
	l.n--
	return l.batch, nil
}

func (l *repeatLog) Ack(uint64) {}

// discard is a Sink that delivers at once.
type discard struct{}

func (discard) Write(_ context.Context, _ *record.Batch, through uint64, delivered func(uint64)) error {
	delivered(through)
	return nil
}

func (discard) Flush(context.Context) error { return nil }

// fullBatch is a batch of about 250 lines of 100 bytes.
func fullBatch() *record.Batch {
	var b record.Builder
	line := record.Record{Time: 1, Text: []byte(numbered(1)[0] + numbered(1)[0])[:99]}
	for b.Fits(record.StepJob, len(line.Text)) {
		b.Add(record.StepJob, line)
	}
	return b.Take()
}

// prefixColumns is a processor that puts a prefix before each line. What it answers is made once, so that what is
// measured is the pipeline and gRPC.
func prefixColumns(lines int) func(int) *processor {
	var e editor
	for i := range lines {
		e.splice(uint64(i)+1, 0, 0, "[12:00:00] ")
	}
	return func(int) *processor {
		return &processor{batch: func(b *pluginv1.Batch) (*pluginv1.Result, error) {
			if len(b.GetEnds()) != lines {
				return nil, fmt.Errorf("a batch of %d lines, not %d", len(b.GetEnds()), lines)
			}
			e.edits.FirstSeq = b.GetFirstSeq()
			return &pluginv1.Result{AckThrough: lastSeq(b), Edits: &e.edits}, nil
		}}
	}
}

func pass(int) *processor { return &processor{} }

// carry carries n batches through stages.
func carry(t testing.TB, batch *record.Batch, n int, stages ...Stage) {
	if _, err := Run(t.Context(), options(&repeatLog{batch: batch, n: n}, discard{}, stages...)); err != nil {
		t.Fatal(err)
	}
}

// cases are what is measured: the stages, and how many allocations a batch may cost, gRPC's and the processors' own
// among them.
var cases = []struct {
	name   string
	stages func(t testing.TB, lines int) []Stage
	most   float64
}{
	{"1 stage, no edits", func(t testing.TB, _ int) []Stage {
		return []Stage{stageOf(t, "pass", pass)}
	}, 100},
	{"1 stage, each line edited", func(t testing.TB, lines int) []Stage {
		return []Stage{stageOf(t, "prefix", prefixColumns(lines))}
	}, 100},
	{"3 stages, each line edited once", func(t testing.TB, lines int) []Stage {
		return []Stage{stageOf(t, "a", pass), stageOf(t, "b", pass), stageOf(t, "prefix", prefixColumns(lines))}
	}, 250},
}

// BenchmarkPipeline is one batch through stages behind gRPC, in memory.
func BenchmarkPipeline(b *testing.B) {
	batch := fullBatch()
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			stages := c.stages(b, batch.Len())
			carry(b, batch, 100, stages...)
			b.SetBytes(int64(len(batch.Data)))
			b.ReportAllocs()
			b.ResetTimer()
			carry(b, batch, b.N, stages...)
		})
	}
}

// TestAllocations guards the cost of a batch. The bounds have room for other versions of gRPC and for the race detector,
// under which a sync.Pool forgets things at random, and none for an allocation a line.
func TestAllocations(t *testing.T) {
	batch := fullBatch()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			stages := c.stages(t, batch.Len())
			const batches = 100
			got := testing.AllocsPerRun(1, func() { carry(t, batch, batches, stages...) }) / batches
			if got > c.most {
				t.Errorf("a batch of %d lines costs %.0f allocations, more than %.0f", batch.Len(), got, c.most)
			}
		})
	}
}
