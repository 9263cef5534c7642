package spool

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/record"
)

// dirBytes is what the segments take together.
func dirBytes(t *testing.T, dir string) int64 {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		if info, err := e.Info(); err == nil { // else just released
			sum += info.Size()
		}
	}
	return sum
}

func TestFullSpoolWaits(t *testing.T) {
	dir := t.TempDir()
	opts := Options{Bytes: 512 << 10}
	w := newWriter(t, dir, opts)
	const records = 40000 // some 2 MB
	wrote := make(chan error, 1)
	go func() {
		for i := 1; i <= records; i += 100 {
			if err := w.Append(deadline(t), some(i, i+99)); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- w.Finish(Exit{Finished: time.Unix(1, 0)})
	}()
	r := newReader(t, dir, 1)
	var got []record.Record
	for {
		if n := dirBytes(t, dir); n > opts.Bytes+maxFrame {
			t.Fatalf("the spool has %d bytes, its bound is %d", n, opts.Bytes)
		}
		b, err := r.Next(deadline(t))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range b.All {
			got = append(got, rec)
		}
		if err := r.Release(uint64(len(got))); err != nil {
			t.Fatal(err)
		}
	}
	wantRecords(t, got, some(1, records))
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// TestReleaseBeyond: what fits is kept though nobody needs it, and the writer never waits for that.
func TestReleaseBeyond(t *testing.T) {
	dir := t.TempDir()
	opts := Options{Bytes: 512 << 10}
	const keep = 256 << 10
	w := newWriter(t, dir, opts)
	for i := 1; i <= 40000; i += 100 {
		if err := w.Append(deadline(t), some(i, i+99)); err != nil {
			t.Fatal(err)
		}
		before := dirBytes(t, dir)
		if err := ReleaseBeyond(dir, uint64(i+99), keep); err != nil {
			t.Fatal(err)
		}
		after := dirBytes(t, dir)
		if after > keep || after < before && before <= keep {
			t.Fatalf("after record %d, %d bytes are left of %d", i+99, after, before)
		}
	}
	before := dirBytes(t, dir)
	if err := ReleaseBeyond(dir, 1, 1); err != nil {
		t.Fatal(err)
	}
	if dirBytes(t, dir) != before {
		t.Error("what is needed has been removed")
	}
	if err := ReleaseBeyond(dir, 40000, 0); err != nil {
		t.Fatal(err)
	}
	if got := dirBytes(t, dir); got > before/2 {
		t.Errorf("with nothing to keep, %d of %d bytes are left", got, before)
	}
}

func TestWaitForRoomEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, Options{Bytes: MinBytes})
	ctx, cancel := context.WithCancel(t.Context())
	full := make(chan error)
	go func() { full <- w.Append(ctx, some(1, 100000)) }()
	// Once a reader is through with what the spool holds, the writer waits.
	r := newReader(t, dir, 1)
	read := uint64(0)
	for read == 0 || dirBytes(t, dir) < MinBytes-maxFrame {
		b, err := r.Next(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		read += uint64(b.Len())
	}
	cancel()
	if err := <-full; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	mustFinish(t, w) // a full spool takes its exit record
	if exit, err := ReadExit(dir); err != nil || exit.Records < read {
		t.Errorf("exit record %+v, %v; %d records were read", exit, err, read)
	}
}

func TestSmallestBound(t *testing.T) {
	if _, err := NewWriter(t.TempDir(), Options{Bytes: MinBytes - 1}); err == nil {
		t.Error("a spool may be too small")
	}
	dir := t.TempDir()
	w := newWriter(t, dir, Options{Bytes: MinBytes})
	go func() {
		big := record.Record{Text: make([]byte, record.MaxBytes)}
		for range 50 {
			if err := w.Append(deadline(t), []record.Record{big}); err != nil {
				t.Error(err)
			}
		}
		mustFinish(t, w)
	}()
	// Whoever acknowledges no more than what he has read never stops the writer for good.
	r := newReader(t, dir, 1)
	read := uint64(0)
	for {
		b, err := r.Next(deadline(t))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		read += uint64(b.Len())
		if err := Release(dir, read); err != nil {
			t.Fatal(err)
		}
	}
	if read != 50 {
		t.Errorf("read %d records", read)
	}
}

func TestTooLongRecord(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, Options{})
	long := record.Record{Text: make([]byte, record.MaxBytes+1)}
	if err := w.Append(t.Context(), append(some(1, 2), long)); err == nil {
		t.Error("it was taken")
	}
	mustFinish(t, w)
	got, _ := readAll(t, newReader(t, dir, 1))
	wantRecords(t, got, some(1, 2))
}

// TestDiskError takes the file from under the writer: what is written before stays, and the error stays.
func TestDiskError(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, Options{})
	mustAppend(t, w, some(1, 10))
	whole := w.file
	broken, err := os.Open(segmentPath(dir, 1)) // not for writing
	if err != nil {
		t.Fatal(err)
	}
	w.file = broken
	for range 2 {
		if err := w.Append(t.Context(), some(11, 12)); err == nil || !strings.Contains(err.Error(), "write spool") {
			t.Fatalf("got %v", err)
		}
	}
	_ = broken.Close()
	w.file = whole
	mustFinish(t, w)
	r := newReader(t, dir, 1)
	got, err := readAll(t, r)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	wantRecords(t, got, some(1, 10))
	if exit, _ := r.Exit(); exit.Records != 10 {
		t.Errorf("the exit record counts %d records", exit.Records)
	}
}

func TestLongExitError(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	w := newWriter(t, dir, Options{})
	if err := w.Finish(Exit{Finished: time.Unix(1, 0), Error: strings.Repeat("\x01ä", maxErrorBytes)}); err != nil {
		t.Fatal(err)
	}
	exit, err := ReadExit(dir)
	if err != nil || len(exit.Error) == 0 || len(exit.Error) > maxErrorBytes {
		t.Errorf("got %d bytes of error, %v", len(exit.Error), err)
	}
}
