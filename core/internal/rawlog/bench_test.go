package rawlog_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/rawlog"
)

// BenchmarkLog is a megabyte of lines of 100 bytes, from the reader to batches.
func BenchmarkLog(b *testing.B) {
	text := bytes.Repeat(append(bytes.Repeat([]byte("x"), 99), '\n'), 1<<20/100)
	fixed := time.Unix(1, 0)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		log := rawlog.New(func() time.Time { return fixed })
		log.Add("log", bytes.NewReader(text), 0)
		for {
			if _, err := log.Next(b.Context()); err != nil {
				break
			}
		}
	}
}
