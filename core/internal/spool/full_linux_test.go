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

	"golang.org/x/sys/unix"

	"github.com/podrunner/runner/core/internal/record"
)

// limitFiles has every write of this process end where a file has so many bytes, as a full disk does: a write that reaches
// beyond is done in part.
func limitFiles(t *testing.T, bytes int64) (lift func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	set := func(current uint64) {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: current, Max: old.Max}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { set(old.Cur) })
	set(uint64(bytes))
	return func() { set(old.Cur) }
}

// TestWriteInPart: records that are in the file as a whole may have been read by now, so the exit record counts them.
func TestWriteInPart(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, Options{})
	mustAppend(t, w, some(1, 10))
	ends := []int64{w.newest().bytes}
	for _, r := range some(11, 20) {
		ends = append(ends, ends[len(ends)-1]+int64(size(len(r.Text))))
	}
	lift := limitFiles(t, ends[5]+20) // in the middle of record 16
	if err := w.Append(t.Context(), some(11, 20)); err == nil || !strings.Contains(err.Error(), "write spool") {
		t.Fatalf("got %v", err)
	}
	lift()
	mustFinish(t, w)
	r := newReader(t, dir, 1)
	got, err := readAll(t, r)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	wantRecords(t, got, some(1, 15))
	if exit, _ := r.Exit(); exit.Tally != r.Tally() {
		t.Errorf("the exit record has %+v, read were %+v", exit.Tally, r.Tally())
	}
}

// TestExitRecordHasRoom: a disk that is full to the last byte takes the exit record.
func TestExitRecordHasRoom(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	w := newWriter(t, dir, Options{})
	// The last record of all that fit ends with the last page but for a few bytes.
	texts := make([]byte, 4096-frameHeadBytes)
	var err error
	for n := len(texts) - headerBytes; err == nil; n = len(texts) {
		err = w.Append(t.Context(), []record.Record{{Text: texts[:n]}})
	}
	if !errors.Is(err, unix.ENOSPC) || err.Error() != "write spool in "+dir+": no space left on device" {
		t.Fatal(err)
	}
	follower := newReader(t, dir, 1)
	for follower.Tally() != w.tally {
		if _, err := follower.Next(deadline(t)); err != nil {
			t.Fatal(err)
		}
	}
	mustFinish(t, w)
	if _, err := os.Stat(filepath.Join(dir, roomName)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the disk was not full")
	}
	for name, r := range map[string]*Reader{"who follows": follower, "who comes later": newReader(t, dir, 1)} {
		if _, err := readAll(t, r); !errors.Is(err, io.EOF) {
			t.Fatalf("%s: %v", name, err)
		}
		if exit, _ := r.Exit(); exit.Tally != r.Tally() {
			t.Errorf("%s: the exit record has %+v, read were %+v", name, exit.Tally, r.Tally())
		}
	}
	if _, err := ReadExit(dir); err != nil {
		t.Error(err)
	}
}

// TestReaderSeesATornFrameTakenBack reads a part of a frame that the writer takes back, as it does when the disk is full,
// and what it puts in its place.
func TestReaderSeesATornFrameTakenBack(t *testing.T) {
	long, _ := appendFrame(nil, 0, 1, make([]byte, 10000))
	for name, part := range map[string]int{"longer than the exit record": 5000, "shorter": 50} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := newWriter(t, dir, Options{})
			mustAppend(t, w, some(1, 10))
			if _, err := w.file.Write(long[:part]); err != nil {
				t.Fatal(err)
			}
			r := newReader(t, dir, 1)
			if b, err := r.Next(deadline(t)); err != nil || b.Len() != 10 {
				t.Fatal(b, err)
			}
			// It has read the part and waits for the rest of it.
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			if _, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			if err := w.file.Truncate(w.newest().bytes); err != nil {
				t.Fatal(err)
			}
			mustFinish(t, w)
			r.WriterGone()
			if got, err := readAll(t, r); !errors.Is(err, io.EOF) || len(got) > 0 {
				t.Errorf("%d more records, then %v", len(got), err)
			}
		})
	}
}

// TestSegmentIsNoFile: a job can write to its spool, and must not hold up those who read it.
func TestSegmentIsNoFile(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"pipe":      func(path string) error { return unix.Mkfifo(path, 0o600) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := newWriter(t, dir, Options{})
			mustAppend(t, w, some(1, 10))
			if err := put(segmentPath(dir, 11)); err != nil {
				t.Fatal(err)
			}
			ended := make(chan [2]error, 1)
			r := newReader(t, dir, 1)
			go func() {
				_, exitErr := ReadExit(dir)
				_, readErr := readAll(t, r)
				ended <- [2]error{exitErr, readErr}
			}()
			select {
			case errs := <-ended:
				for _, err := range errs {
					if !errors.As(err, new(*CorruptError)) {
						t.Errorf("got %v", err)
					}
				}
			case <-time.After(testTime):
				t.Fatal("they wait for ever")
			}
		})
	}
}
