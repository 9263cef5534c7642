package spool

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/podrunner/runner/core/internal/record"
)

// TestCrashAtEveryByte cuts a spool at each byte of its last three frames, the exit record among them, as a SIGKILL in a
// write does.
func TestCrashAtEveryByte(t *testing.T) {
	records := some(1, 5)
	var whole []byte
	var ends []int // where each record ends
	{
		dir := t.TempDir()
		w := newWriter(t, dir, Options{})
		for _, r := range records {
			mustAppend(t, w, []record.Record{r})
			ends = append(ends, int(w.newest().bytes))
		}
		mustFinish(t, w)
		var err error
		if whole, err = os.ReadFile(segmentPath(dir, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for cut := ends[2]; cut < len(whole); cut++ {
		complete := 0
		for _, end := range ends {
			if end <= cut {
				complete++
			}
		}
		dir := t.TempDir()
		if err := os.WriteFile(segmentPath(dir, 1), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		r := newReader(t, dir, 1)
		r.WriterGone()
		got, err := readAll(t, r)
		if !errors.Is(err, ErrNoExit) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		wantRecords(t, got, records[:complete])
		if _, err := ReadExit(dir); !errors.Is(err, ErrNoExit) {
			t.Fatalf("cut at %d: ReadExit: %v", cut, err)
		}
		// A writer goes on behind the last whole record.
		w := newWriter(t, dir, Options{})
		mustAppend(t, w, records[complete:])
		mustFinish(t, w)
		r = newReader(t, dir, 1)
		got, err = readAll(t, r)
		if !errors.Is(err, io.EOF) {
			t.Fatalf("cut at %d, resumed: %v", cut, err)
		}
		wantRecords(t, got, records)
		if exit, _ := r.Exit(); exit.Tally != r.Tally() {
			t.Fatalf("cut at %d, resumed: tally %+v, exit record %+v", cut, r.Tally(), exit.Tally)
		}
	}
}

// TestReaderSeesATornFrameCompleted reads while the last frame is there in part only.
func TestReaderSeesATornFrameCompleted(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, Options{})
	r := newReader(t, dir, 1)
	b, _ := appendFrame(nil, 0, 1, []byte("in two parts"))
	got := make(chan string)
	go func() {
		defer close(got)
		if batch, err := r.Next(deadline(t)); err == nil {
			got <- string(batch.Text(0))
		}
	}()
	for _, part := range [][]byte{b[:10], b[10:]} {
		if _, err := w.file.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if text := <-got; text != "in two parts" {
		t.Errorf("got %q", text)
	}
}

func TestResumeAcrossSegments(t *testing.T) {
	dir := t.TempDir()
	opts := Options{SegmentBytes: 2 << 10}
	for i := 1; i <= 1000; i += 100 {
		w := newWriter(t, dir, opts)
		mustAppend(t, w, some(i, i+99))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := Release(dir, uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	w := newWriter(t, dir, opts)
	mustFinish(t, w)
	r := newReader(t, dir, 950)
	got, err := readAll(t, r)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	wantRecords(t, got, some(950, 1000))
	var want Tally
	var builder record.Builder
	for _, rec := range some(1, 1000) {
		if !builder.Fits("", len(rec.Text)) {
			want.AddBatch(builder.Take())
		}
		builder.Add("", rec)
	}
	want.AddBatch(builder.Take())
	if exit, _ := r.Exit(); exit.Tally != want {
		t.Errorf("the tally is %+v, want %+v", exit.Tally, want)
	}
}

func TestCorruption(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(b []byte) []byte
		reason string
		before int // records that can be read
	}{
		{"text", func(b []byte) []byte { b[headerBytes+frameHeadBytes+1] ^= 1; return b }, "checksum", 0},
		{"length", func(b []byte) []byte { b[headerBytes+7] = 0xff; return b }, "length", 0},
		{"zeros behind", func(b []byte) []byte { return append(b, make([]byte, 4096)...) }, "length", 20},
		{"header", func(b []byte) []byte { b[9] ^= 1; return b }, "header", 0},
		{"other file", func([]byte) []byte { return []byte(strings.Repeat("not a spool\n", 10)) }, "no spool", 0},
		{"short header", func(b []byte) []byte { return b[:5] }, "not complete", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			w := newWriter(t, dir, Options{})
			mustAppend(t, w, some(1, 20))
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(segmentPath(dir, 1))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(segmentPath(dir, 1), c.damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readAll(t, newReader(t, dir, 1))
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), c.reason) {
				t.Fatalf("got %v, want a CorruptError about %q", err, c.reason)
			}
			if corrupt.Path != segmentPath(dir, 1) {
				t.Errorf("the error is about %q", corrupt.Path)
			}
			wantRecords(t, got, some(1, c.before))
		})
	}
}

func TestMissingSegment(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, Options{SegmentBytes: 1 << 10})
	mustAppend(t, w, some(1, 200))
	firsts, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(segmentPath(dir, firsts[2])); err != nil {
		t.Fatal(err)
	}
	got, err := readAll(t, newReader(t, dir, 1))
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		t.Fatalf("got %v", err)
	}
	wantRecords(t, got, some(1, int(firsts[2])-1))
}

func FuzzDecodeFrame(f *testing.F) {
	good, _ := appendFrame(nil, byte(record.Stderr), 42, []byte("hello"))
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(make([]byte, 64))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, n, err := decodeFrame(b)
		if err != nil {
			return
		}
		if n > len(b) || n != size(len(fr.text)) {
			t.Fatalf("a frame of %d bytes with %d bytes of text out of %d", n, len(fr.text), len(b))
		}
		again, sum := appendFrame(nil, fr.flags, fr.time, fr.text)
		if string(again) != string(b[:n]) || sum != fr.sum {
			t.Fatalf("encoded again it is %x, was %x", again, b[:n])
		}
	})
}
