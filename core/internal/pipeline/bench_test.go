package pipeline

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

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

// carry carries n batches through stages to a sink.
func carry(t testing.TB, batch *record.Batch, n int, sink Sink, stages ...Stage) {
	if _, err := Run(t.Context(), options(&repeatLog{batch: batch, n: n}, sink, stages...)); err != nil {
		t.Fatal(err)
	}
}

// fewLines is a batch as there are many when a job prints at a steady rate.
func fewLines() *record.Batch {
	full := fullBatch()
	var b record.Builder
	b.AddRun(full, 0, 10, full.BaseTime)
	return b.Take()
}

// delivering returns a Delivery with the default's bounds, to where nothing happens.
func delivering(t testing.TB) *Delivery {
	ctx, cancel := context.WithCancel(t.Context())
	d := NewDelivery(ctx, DeliveryOptions{
		MaxBytes: 1_000_000, MaxInterval: time.Minute,
		Send: func(context.Context, Chunk) ([]string, error) { return nil, nil },
	})
	t.Cleanup(func() { cancel(); d.Wait() })
	return d
}

// pipelineCase is what is measured: the batch, nil for a full one, the stages, the sink, nil for one that delivers at once,
// and how many allocations a batch may cost, gRPC's and the processors' own among them.
type pipelineCase struct {
	name   string
	batch  *record.Batch
	stages func(t testing.TB, lines int) []Stage
	sink   func(t testing.TB) Sink
	most   float64
}

var cases = []pipelineCase{
	{name: "feeder alone", most: 2},
	{name: "feeder alone, 10 lines at a time", batch: fewLines(), most: 2},
	{name: "feeder and delivery", sink: func(t testing.TB) Sink { return delivering(t) }, most: 3},
	{name: "1 stage, no edits", stages: func(t testing.TB, _ int) []Stage {
		return []Stage{stageOf(t, "pass", pass)}
	}, most: 100},
	{name: "1 stage, each line edited", stages: func(t testing.TB, lines int) []Stage {
		return []Stage{stageOf(t, "prefix", prefixColumns(lines))}
	}, most: 120},
	{name: "3 stages, each line edited once", stages: func(t testing.TB, lines int) []Stage {
		return []Stage{stageOf(t, "a", pass), stageOf(t, "b", pass), stageOf(t, "prefix", prefixColumns(lines))}
	}, most: 280},
}

// BenchmarkPipeline is one batch through the parts of a pipeline; stages are behind gRPC, in memory.
func BenchmarkPipeline(b *testing.B) {
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			run, batch := c.prepare(b)
			run(100)
			b.SetBytes(int64(len(batch.Data)))
			b.ReportAllocs()
			b.ResetTimer()
			run(b.N)
		})
	}
}

// prepare returns what carries n batches, and the batch.
func (c pipelineCase) prepare(t testing.TB) (run func(n int), batch *record.Batch) {
	if batch = c.batch; batch == nil {
		batch = fullBatch()
	}
	var stages []Stage
	if c.stages != nil {
		stages = c.stages(t, batch.Len())
	}
	return func(n int) {
		var sink Sink = discard{}
		if c.sink != nil {
			sink = c.sink(t)
		}
		carry(t, batch, n, sink, stages...)
	}, batch
}

// TestAllocations guards the cost of a batch. The bounds have room for other versions of gRPC and for the race detector,
// with which a sync.Pool forgets at random, and none for an allocation a line.
func TestAllocations(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			run, batch := c.prepare(t)
			const batches = 200
			got := testing.AllocsPerRun(1, func() { run(batches) }) / batches
			if got > c.most {
				t.Errorf("a batch of %d lines costs %.1f allocations, more than %.0f", batch.Len(), got, c.most)
			}
		})
	}
}

// BenchmarkEdits is a batch of 290 lines with a text put before each, checked and applied, in both forms.
func BenchmarkEdits(b *testing.B) {
	for name, runs := range map[string]bool{"splices": false, "prefix runs": true} {
		b.Run(name, func(b *testing.B) {
			run, bytes := editing290(runs)
			b.SetBytes(int64(bytes))
			b.ReportAllocs()
			for b.Loop() {
				if err := run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// editing290 returns what checks and applies the edits of a batch, and how many bytes that has.
func editing290(runs bool) (run func() error, bytes int) {
	const prefix = "2026-01-02T03:04:05Z [1] "
	batch := fullBatch()
	var e editor
	if runs {
		e.edits.FirstSeq = 1
		e.edits.PrefixCounts, e.edits.PrefixLengths, e.edits.PrefixData = []uint32{uint32(batch.Len())}, []uint32{uint32(len(prefix))}, []byte(prefix)
	} else {
		for i := range batch.Len() {
			e.splice(uint64(i)+1, 0, 0, prefix)
		}
	}
	out := output{emit: func(*record.Batch) error { return nil }}
	return func() error {
		last := uint64(batch.Len())
		if err := check(&e.edits, 1, last, func(seq uint64) int { return len(batch.Text(int(seq - 1))) }); err != nil {
			return err
		}
		c, err := newCursor(&e.edits)
		if err != nil {
			return err
		}
		return apply(&out, batch, 1, c, &prefixes{columns: &e.edits})
	}, len(batch.Data)
}

// TestEditAllocations: an edit costs no allocation; the batches that records are written to are all.
func TestEditAllocations(t *testing.T) {
	const most = 8
	for _, runs := range []bool{false, true} {
		run, _ := editing290(runs)
		got := testing.AllocsPerRun(100, func() {
			if err := run(); err != nil {
				t.Fatal(err)
			}
		})
		if got > most {
			t.Errorf("the edits of a batch cost %v allocations, more than %d; prefix runs: %v", got, most, runs)
		}
	}
}
