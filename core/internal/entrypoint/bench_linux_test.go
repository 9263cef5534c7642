package entrypoint

import (
	"bytes"
	"math"
	"os"
	"testing"

	"github.com/podrunner/runner/core/internal/spool"
)

// moving returns the pump of a stdout with its spool, the end of the pipe that a job has, and what makes room in the spool.
func moving(tb testing.TB) (p *pump, to *os.File, release func()) {
	tb.Helper()
	dir := tb.TempDir()
	out, err := spool.NewWriter(dir, spool.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = out.Close() })
	var pipes [4]*os.File
	for i := range 2 {
		if pipes[2*i], pipes[2*i+1], err = os.Pipe(); err != nil {
			tb.Fatal(err)
		}
	}
	tb.Cleanup(func() {
		for _, f := range pipes {
			_ = f.Close()
		}
	})
	p = newPumps(pipes[0], pipes[2], out, func(err error) { tb.Error(err) })[0]
	if p.conn, err = p.from.SyscallConn(); err != nil {
		tb.Fatal(err)
	}
	return p, pipes[1], func() {
		if err := spool.Release(dir, math.MaxInt64); err != nil {
			tb.Fatal(err)
		}
	}
}

// print writes to the pipe, so much at a time, and has the pump move it.
func (p *pump) print(tb testing.TB, to *os.File, text []byte, at int) {
	for len(text) > 0 {
		n := min(at, len(text))
		if _, err := to.Write(text[:n]); err != nil {
			tb.Fatal(err)
		}
		text = text[n:]
	}
	if err := p.next(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// pipeLines is as many lines of 100 bytes as a pipe holds, also when each is written by itself: none is in two pages.
const pipeLines = 640

// printed returns lines of 100 bytes.
func printed(lines int) []byte {
	return bytes.Repeat(append(bytes.Repeat([]byte("x"), 99), '\n'), lines)
}

// BenchmarkPump is a pipe full of lines of 100 bytes, from the job's write to the spool. The writes are part of it.
func BenchmarkPump(b *testing.B) {
	for _, c := range []struct {
		name string
		at   int
	}{{"one write", 100 * pipeLines}, {"a write for each line", 100}} {
		b.Run(c.name, func(b *testing.B) {
			p, to, release := moving(b)
			text := printed(pipeLines)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				p.print(b, to, text, c.at)
				if i%100 == 0 {
					release()
				}
			}
		})
	}
}

// TestPumpAllocations guards that a read costs a few allocations, whatever it has read: a new segment of the spool now and
// then is what costs most.
func TestPumpAllocations(t *testing.T) {
	const most = 8
	for _, lines := range []int{1, 10, pumpBytes / 100} {
		p, to, release := moving(t)
		text := printed(lines)
		run := func() { p.print(t, to, text, len(text)) }
		run() // the buffers grow to their size
		got := testing.AllocsPerRun(200, run)
		release()
		if got > most {
			t.Errorf("a read of %d lines costs %v allocations, more than %d", lines, got, most)
		}
	}
}
