package spool

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/record"
)

// benchRecords are what a pump reads at a time of 100-byte lines.
func benchRecords() []record.Record {
	records := make([]record.Record, 650)
	for i := range records {
		records[i] = record.Record{Time: time.Now().UnixNano(), Text: bytes.Repeat([]byte("x"), 99)}
	}
	return records
}

func BenchmarkWrite(b *testing.B) {
	w := newWriter(b, b.TempDir(), Options{Bytes: 1 << 40})
	records := benchRecords()
	b.SetBytes(int64(len(records)) * 100)
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Append(b.Context(), records); err != nil {
			b.Fatal(err)
		}
		if w.tally.Records > 5_000_000 { // keep the disk's share small
			b.StopTimer()
			if err := Release(w.dir, w.tally.Records); err != nil {
				b.Fatal(err)
			}
			w.forget()
			b.StartTimer()
		}
	}
}

// BenchmarkRead reads 100-byte lines; an operation is a batch.
func BenchmarkRead(b *testing.B) {
	dir := b.TempDir()
	w := newWriter(b, dir, Options{Bytes: 1 << 40})
	records := benchRecords()
	for range 1000 {
		if err := w.Append(b.Context(), records); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Finish(Exit{Finished: time.Now()}); err != nil {
		b.Fatal(err)
	}
	read := int64(0)
	b.ReportAllocs()
	r := newReader(b, dir, 1)
	for b.Loop() {
		batch, err := r.Next(b.Context())
		if errors.Is(err, io.EOF) {
			_ = r.Close()
			r = newReader(b, dir, 1)
			continue
		}
		if err != nil {
			b.Fatal(err)
		}
		read += int64(batch.Len()) * 100
	}
	b.SetBytes(read / int64(b.N))
}

// TestAllocationsOfABatch guards the cost of reading: it is that of the batch, not of its records.
func TestAllocationsOfABatch(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, Options{})
	for range 200 {
		mustAppend(t, w, benchRecords()[:300])
	}
	r := newReader(t, dir, 1)
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := testing.AllocsPerRun(100, func() {
		if b, err := r.Next(t.Context()); err != nil || b.Len() < 100 {
			t.Fatal(err)
		}
	})
	if got > 6 {
		t.Errorf("a batch takes %.0f allocations", got)
	}
}

// TestAllocationsOfAppend guards the cost of writing: that of a new segment now and then, and none of a record.
func TestAllocationsOfAppend(t *testing.T) {
	const most = 2
	w, records := newWriter(t, t.TempDir(), Options{Bytes: 1 << 30}), benchRecords()
	mustAppend(t, w, records)
	got := testing.AllocsPerRun(200, func() {
		if err := w.Append(t.Context(), records); err != nil {
			t.Fatal(err)
		}
	})
	if got > most {
		t.Errorf("%d records take %v allocations, more than %d", len(records), got, most)
	}
}
