package spool

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/podrunner/runner/core/internal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTime bounds a test: whoever hangs fails.
const testTime = 30 * time.Second

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	t.Cleanup(cancel)
	return ctx
}

// some returns the records from..through; each is told by its number.
func some(from, through int) []record.Record {
	var out []record.Record
	for i := from; i <= through; i++ {
		out = append(out, record.Record{
			Flags: record.Flags(i % 3), Time: 1_700_000_000_000_000_000 + int64(i),
			Text: fmt.Appendf(nil, "record %d %s", i, bytes.Repeat([]byte{byte(i)}, i%50)),
		})
	}
	return out
}

func newWriter(t testing.TB, dir string, opts Options) *Writer {
	t.Helper()
	w, err := NewWriter(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func newReader(t testing.TB, dir string, from uint64) *Reader {
	t.Helper()
	r, err := NewReader(dir, record.StepJob, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func mustAppend(t testing.TB, w *Writer, records []record.Record) {
	t.Helper()
	if err := w.Append(deadline(t), records); err != nil {
		t.Fatal(err)
	}
}

func mustFinish(t testing.TB, w *Writer) {
	t.Helper()
	if err := w.Finish(Exit{Code: 3, Finished: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
}

// readAll reads to the end, and returns the records and the error that ended it.
func readAll(t testing.TB, r *Reader) ([]record.Record, error) {
	t.Helper()
	var out []record.Record
	ctx := deadline(t)
	for {
		b, err := r.Next(ctx)
		if err != nil {
			return out, err
		}
		if b.Step != record.StepJob {
			t.Errorf("a batch is of step %q", b.Step)
		}
		for _, rec := range b.All {
			out = append(out, rec)
		}
	}
}

func wantRecords(t testing.TB, got, want []record.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d records, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Flags != want[i].Flags || got[i].Time != want[i].Time || !bytes.Equal(got[i].Text, want[i].Text) {
			t.Fatalf("record %d is %v %d %q, want %v %d %q", i, got[i].Flags, got[i].Time, got[i].Text,
				want[i].Flags, want[i].Time, want[i].Text)
		}
	}
}

func TestReadBack(t *testing.T) {
	for _, c := range []struct {
		name    string
		records []record.Record
		opts    Options
	}{
		{"no record", nil, Options{}},
		{"one segment", some(1, 1000), Options{}},
		{"many segments", some(1, 20000), Options{SegmentBytes: 64 << 10}},
		{"largest records", []record.Record{
			{Text: bytes.Repeat([]byte("x"), record.MaxBytes), Flags: record.Partial},
			{Text: bytes.Repeat([]byte("y"), record.MaxBytes)},
		}, Options{SegmentBytes: 1}},
		{"any bytes", []record.Record{{Text: []byte("\x00\xff\r")}, {Text: []byte{}}}, Options{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "spool")
			w := newWriter(t, dir, c.opts)
			mustAppend(t, w, c.records)
			mustFinish(t, w)
			r := newReader(t, dir, 1)
			got, err := readAll(t, r)
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			wantRecords(t, got, c.records)
			exit, ok := r.Exit()
			if !ok || exit.Code != 3 || exit.Records != uint64(len(c.records)) || exit.Tally != r.Tally() {
				t.Errorf("exit record is %+v %v, the tally read %+v", exit, ok, r.Tally())
			}
			if alone, err := ReadExit(dir); err != nil || alone != exit {
				t.Errorf("ReadExit returns %+v, %v", alone, err)
			}
			if _, err := NewWriter(dir, c.opts); !errors.Is(err, ErrEnded) {
				t.Errorf("a writer of an ended spool: %v", err)
			}
		})
	}
}

func TestSharedModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	mustAppend(t, newWriter(t, dir, Options{Shared: true}), some(1, 3))
	for path, want := range map[string]os.FileMode{dir: 0o777, segmentPath(dir, 1): 0o644} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	mustAppend(t, newWriter(t, dir, Options{SegmentBytes: 1}), some(1, 3))
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTallyOfBatchesIsThatOfTheWriter(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, Options{SegmentBytes: 32 << 10})
	mustAppend(t, w, some(1, 5000))
	mustFinish(t, w)
	r := newReader(t, dir, 1)
	var tally Tally
	for {
		b, err := r.Next(deadline(t))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		tally.AddBatch(b)
	}
	if exit, _ := r.Exit(); tally != exit.Tally {
		t.Errorf("the batches' tally is %+v, the exit record's %+v", tally, exit.Tally)
	}
	changed := Tally{}
	changed.add(tally.Checksum)
	if changed == tally {
		t.Error("another record gives the same tally")
	}
}

func TestTallyIsTheChecksumOfTheChecksums(t *testing.T) {
	var tally Tally
	var sums []byte
	for _, sum := range []uint32{0, 1, 0xdeadbeef} {
		tally.add(sum)
		sums = binary.LittleEndian.AppendUint32(sums, sum)
	}
	if want := (Tally{3, crc32.Checksum(sums, castagnoli)}); tally != want {
		t.Errorf("got %+v, want %+v", tally, want)
	}
}

func TestReadersStartAnywhere(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, Options{SegmentBytes: 16 << 10})
	all := some(1, 3000)
	mustAppend(t, w, all)
	mustFinish(t, w)
	whole := newReader(t, dir, 1)
	if _, err := readAll(t, whole); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	for _, from := range []int{0, 1, 2, 999, 2999, 3000, 3001, 5000} {
		r := newReader(t, dir, uint64(from))
		got, err := readAll(t, r)
		if !errors.Is(err, io.EOF) {
			t.Fatalf("from %d: %v", from, err)
		}
		wantRecords(t, got, all[min(max(from-1, 0), len(all)):])
		if r.Tally() != whole.Tally() {
			t.Errorf("from %d: the tally is %+v, want %+v", from, r.Tally(), whole.Tally())
		}
	}
}

func TestRelease(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, Options{SegmentBytes: 4 << 10})
	mustAppend(t, w, some(1, 1000))
	firsts, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	early := newReader(t, dir, 1)
	if _, err := early.Next(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := Release(dir, firsts[2]-2); err != nil { // all of the first segment, and of the second all but one
		t.Fatal(err)
	}
	if left, _ := segments(dir); left[0] != firsts[1] {
		t.Errorf("the oldest segment is %d, want %d", left[0], firsts[1])
	}
	if err := Release(dir, 1<<40); err != nil {
		t.Fatal(err)
	}
	left, _ := segments(dir)
	if len(left) != 1 || left[0] != firsts[len(firsts)-1] {
		t.Errorf("segments left are %v, want the newest", left)
	}
	var released *ReleasedError
	for name, r := range map[string]*Reader{"new": newReader(t, dir, 5), "old": early} {
		if _, err := readAll(t, r); !errors.As(err, &released) || released.First != left[0] {
			t.Errorf("the %s reader of a released record: %v", name, err)
		}
	}
	// One that wants only what is left does not mind.
	mustFinish(t, w)
	got, err := readAll(t, newReader(t, dir, left[0]))
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	wantRecords(t, got, some(int(left[0]), 1000))
}

func TestNextWaitsForRecordsOnly(t *testing.T) {
	dir := t.TempDir()
	r := newReader(t, dir, 1) // there is no spool yet
	type step struct {
		records []record.Record
		err     error
	}
	got := make(chan step)
	go func() {
		defer close(got)
		for {
			b, err := r.Next(context.Background())
			s := step{err: err}
			if err == nil {
				for _, rec := range b.All {
					s.records = append(s.records, rec)
				}
			}
			got <- s
			if err != nil {
				return
			}
		}
	}()
	w := newWriter(t, dir, Options{})
	for i := 1; i <= 5; i++ {
		mustAppend(t, w, some(i, i))
		s := <-got // each comes though no more follow
		if s.err != nil {
			t.Fatal(s.err)
		}
		wantRecords(t, s.records, some(i, i))
	}
	mustFinish(t, w)
	if s := <-got; !errors.Is(s.err, io.EOF) {
		t.Errorf("after the exit record: %v", s.err)
	}
	<-got
}

// TestReleaseByAReaderThatWaited: a reader that was there before the first record releases as any other.
func TestReleaseByAReaderThatWaited(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, Options{})
	r := newReader(t, dir, 1)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Next(canceled); err == nil {
		t.Fatal("there is no record yet")
	}
	mustAppend(t, w, some(1, 10))
	if _, err := r.Next(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := r.Release(10); err != nil {
		t.Fatal(err)
	}
	mustFinish(t, w)
	if exit, err := ReadExit(dir); err != nil || exit.Records != 10 {
		t.Errorf("exit record %+v, %v", exit, err)
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, Options{})
	r := newReader(t, dir, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	mustAppend(t, w, some(1, 1))
	if b, err := r.Next(deadline(t)); err != nil || b.Len() != 1 {
		t.Errorf("afterwards: %v", err)
	}
}

func TestManyReaders(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, Options{SegmentBytes: 16 << 10})
	const readers, records = 8, 4000
	type end struct {
		tally Tally
		err   error
	}
	ends := make(chan end)
	for range readers {
		r := newReader(t, dir, 1)
		go func() {
			_, err := readAll(t, r)
			ends <- end{r.Tally(), err}
		}()
	}
	for i := 1; i <= records; i += 7 {
		mustAppend(t, w, some(i, min(i+6, records)))
	}
	mustFinish(t, w)
	exit, err := ReadExit(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range readers {
		if e := <-ends; !errors.Is(e.err, io.EOF) || e.tally != exit.Tally {
			t.Errorf("a reader ended with %v, %+v", e.err, e.tally)
		}
	}
}

func TestPollingWhereThereAreNoEvents(t *testing.T) {
	dir := t.TempDir()
	w := &watch{C: make(chan struct{}, 1), quit: make(chan struct{})}
	w.done.Go(w.poll)
	r := newReader(t, dir, 1)
	r.watch = w
	done := make(chan error, 1)
	go func() {
		_, err := r.Next(deadline(t))
		done <- err
	}()
	mustAppend(t, newWriter(t, dir, Options{}), some(1, 1))
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestErrorOfMissingDirectory(t *testing.T) {
	if _, err := NewReader(filepath.Join(t.TempDir(), "none"), "job", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewReader(file, "job", 1); err == nil {
		t.Error("a file passes for a spool")
	}
}

// TestSegmentsAreRemoved: a reader of segments that somebody has removed does not wait for more of them, whether their
// directory is still there or not.
func TestSegmentsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, Options{})
	defer w.Close() //nolint:errcheck // its file is gone
	mustAppend(t, w, some(1, 3))
	r := newReader(t, dir, 1)
	if _, err := r.Next(deadline(t)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Next(deadline(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Next returns %v", err)
	}
}
