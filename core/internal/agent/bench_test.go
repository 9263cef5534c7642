//go:build linux

package agent_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/record"
	"github.com/podrunner/runner/core/internal/spool"
)

// BenchmarkTail reads a log of lines of 100 bytes over TLS on the loopback interface.
func BenchmarkTail(b *testing.B) {
	const lines, bytes = 400000, 100
	p := newPod(b, sh("true")).serve()
	w, err := spool.NewWriter(p.spool("job"), spool.Options{Bytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
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
			b.Fatal(err)
		}
	}
	if err := w.Finish(spool.Exit{Finished: time.Now()}); err != nil {
		b.Fatal(err)
	}
	c := p.client(nil)
	b.SetBytes(lines * (bytes + 1))
	for b.Loop() {
		f := c.Follow("job")
		for err = nil; err == nil; {
			_, err = f.Next(context.Background())
		}
		if !errors.Is(err, io.EOF) || f.Tally().Records != lines {
			b.Fatalf("read %+v, %v", f.Tally(), err)
		}
	}
}
