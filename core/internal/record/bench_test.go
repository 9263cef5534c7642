package record_test

import (
	"bytes"
	"testing"

	"github.com/podrunner/runner/core/internal/record"
)

// lines returns n lines of 100 bytes with their LF.
func lines(n int) []byte {
	return bytes.Repeat(append(bytes.Repeat([]byte("x"), 99), '\n'), n)
}

// text is a line of 100 bytes without its LF.
var text = lines(1)[:99]

// build fills a batch with records of 99 bytes, delta nanoseconds apart.
func build(b *record.Builder, delta int64) *record.Batch {
	now := int64(1)
	for b.Fits(record.StepJob, len(text)) {
		b.Add(record.StepJob, record.Record{Time: now, Text: text})
		now += delta
	}
	return b.Take()
}

// BenchmarkBuilder is one full batch of lines of 100 bytes, added in three ways.
func BenchmarkBuilder(b *testing.B) {
	for name, delta := range map[string]int64{"records of one time": 0, "records of different times": 1000} {
		b.Run(name, func(b *testing.B) {
			var builder record.Builder
			b.SetBytes(int64(len(build(&builder, delta).Data)))
			b.ReportAllocs()
			for b.Loop() {
				build(&builder, delta)
			}
		})
	}
	b.Run("a run of records", func(b *testing.B) {
		var builder record.Builder
		batch := build(&builder, 0)
		b.SetBytes(int64(len(batch.Data)))
		b.ReportAllocs()
		for b.Loop() {
			builder.AddRun(batch, 0, batch.Len(), batch.BaseTime)
			builder.Take()
		}
	})
}

// BenchmarkSplitter is 256 KiB of lines of 100 bytes.
func BenchmarkSplitter(b *testing.B) {
	text := lines(256 << 10 / 100)
	var s record.Splitter
	records := 0
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		records += len(s.Split(text, 1))
	}
}

// TestAllocations guards that records cost none of their own: a batch is its struct and its columns.
func TestAllocations(t *testing.T) {
	var builder record.Builder
	batch := build(&builder, 1000)
	text := lines(1000)
	var s record.Splitter
	for _, c := range []struct {
		name string
		most float64
		run  func()
	}{
		{"records of one time", 4, func() { build(&builder, 0) }},
		{"records of different times", 5, func() { build(&builder, 1000) }},
		{"a run of records", 5, func() { builder.AddRun(batch, 0, batch.Len(), 1); builder.Take() }},
		{"1000 lines", 0, func() { s.Split(text, 1) }},
	} {
		if got := testing.AllocsPerRun(10, c.run); got > c.most {
			t.Errorf("%s: %v allocations, more than %v", c.name, got, c.most)
		}
	}
}
