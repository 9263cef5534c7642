package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/podrunner/runner/core/internal/record"
)

const (
	// writeBytes is where a write is not made larger any more.
	writeBytes = 256 << 10
	// minSegments is how many segments must fit the bound: while the newest can't be released, the others have to make
	// room.
	minSegments = 4
	// MinBytes is the least bound of a spool: minSegments, each of at least one frame of full size.
	MinBytes = minSegments * 2 * maxFrame
)

// Options are the sizes of a spool.
type Options struct {
	// Bytes bounds what the segments take together; 0 means DefaultBytes. The exit record is written even beyond it.
	Bytes int64
	// SegmentBytes is where a new segment begins; 0 means DefaultSegmentBytes. It is at most a quarter of Bytes.
	SegmentBytes int64
	// Shared lets other users read and release what is written: in a pod the helper is one, and nobody else sees the spool.
	Shared bool
}

// makeDir makes the directory, if it is not there. Who may remove a segment is a matter of the directory.
func (o Options) makeDir(dir string) error {
	_, missing := os.Stat(dir)
	err := os.MkdirAll(dir, 0o700)
	if err == nil && o.Shared && errors.Is(missing, fs.ErrNotExist) {
		err = os.Chmod(dir, 0o777) // whatever the umask is
	}
	return err
}

// mode is that of the segments.
func (o Options) mode() os.FileMode {
	if o.Shared {
		return 0o644
	}
	return 0o600
}

func (o Options) withDefaults() (Options, error) {
	if o.Bytes == 0 {
		o.Bytes = DefaultBytes
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	if o.Bytes < MinBytes {
		return o, fmt.Errorf("a spool of %d bytes is too small; the least is %d", o.Bytes, MinBytes)
	}
	o.SegmentBytes = min(o.SegmentBytes, o.Bytes/minSegments)
	return o, nil
}

// Writer appends records to a spool; there is one at a time. It is safe for concurrent use: the records of one Append
// stay together, those of several are in the order in which they got hold of the writer.
type Writer struct {
	dir  string
	opts Options

	mu   sync.Mutex
	file *os.File
	// kept are the segments that count against the bound, the newest last.
	kept []kept
	// tally counts what is in the files; pending what is in buf as well.
	tally, pending Tally
	buf            []byte
	watch          *watch
	err            error
	ended          bool
}

type kept struct {
	first uint64
	bytes int64
}

// NewWriter makes a spool in dir, which it makes too, or goes on with the one that is there: a torn frame at its end is cut
// off. The error is ErrEnded when the spool has its exit record.
func NewWriter(dir string, opts Options) (*Writer, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := opts.makeDir(dir); err != nil {
		return nil, fmt.Errorf("make spool: %w", err)
	}
	w := &Writer{dir: dir, opts: opts}
	if err := w.resume(); err != nil {
		return nil, err
	}
	keepRoom(dir, opts.mode())
	return w, nil
}

// resume takes up the segments that are there.
func (w *Writer) resume() error {
	firsts, err := segments(w.dir)
	if err != nil {
		return err
	}
	if len(firsts) == 0 {
		return w.begin()
	}
	for _, first := range firsts {
		info, err := os.Stat(segmentPath(w.dir, first))
		if err != nil {
			return fmt.Errorf("resume spool: %w", err)
		}
		w.kept = append(w.kept, kept{first, info.Size()})
	}
	f, tally, err := openSegment(w.dir, firsts[len(firsts)-1], os.O_RDWR|os.O_APPEND)
	if err != nil {
		return err
	}
	// A frame that can't be decoded is the torn one: nothing good can follow it.
	end, err := scan(f, func(fr frame) error {
		if fr.flags&flagExit != 0 {
			return ErrEnded
		}
		tally.add(fr.sum)
		return nil
	})
	if errors.Is(err, ErrEnded) {
		return errors.Join(ErrEnded, f.Close())
	}
	if err := f.Truncate(end); err != nil {
		return errors.Join(fmt.Errorf("cut torn end of spool: %w", err), f.Close())
	}
	w.file, w.tally, w.pending = f, tally, tally
	w.newest().bytes = end
	return nil
}

// begin starts a new segment.
func (w *Writer) begin() error {
	f, err := createSegment(w.dir, w.tally, w.opts.mode())
	if err != nil {
		return err
	}
	if w.file != nil {
		_ = w.file.Close() // all writes to it have been seen to succeed
	}
	w.file = f
	w.kept = append(w.kept, kept{w.tally.Records + 1, int64(headerBytes)})
	return nil
}

func (w *Writer) newest() *kept { return &w.kept[len(w.kept)-1] }

// Append writes records, in one system call as a rule. While the spool is full it waits for a release. After an error of
// the disk nothing more can be appended, and the spool holds the records of all calls before, and perhaps some of this
// one. A text longer than record.MaxBytes is an error.
func (w *Writer) Append(ctx context.Context, records []record.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return ErrEnded
	}
	for _, r := range records {
		if len(r.Text) > maxTextBytes {
			return errors.Join(fmt.Errorf("append to spool: a record of %d bytes is too long", len(r.Text)), w.flush())
		}
		if err := w.makeRoom(ctx, size(len(r.Text))); err != nil {
			return err
		}
		var sum uint32
		w.buf, sum = appendFrame(w.buf, byte(r.Flags), r.Time, r.Text)
		w.pending.add(sum)
	}
	return w.flush()
}

// makeRoom sees to it that n more bytes may be added to the buffer.
func (w *Writer) makeRoom(ctx context.Context, n int) error {
	if w.err != nil {
		return w.err
	}
	if len(w.buf) > 0 && len(w.buf)+n > writeBytes {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if w.newest().bytes+int64(len(w.buf)+n) > w.opts.SegmentBytes && w.pending.Records >= w.newest().first {
		if err := w.flush(); err != nil {
			return err
		}
		if err := w.awaitRelease(ctx, headerBytes+n); err != nil {
			return err
		}
		if err := w.begin(); err != nil {
			w.err = err
			return err
		}
		return nil
	}
	if w.total()+int64(len(w.buf)+n) <= w.opts.Bytes {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.awaitRelease(ctx, n)
}

func (w *Writer) total() int64 {
	sum := int64(0)
	for _, s := range w.kept {
		sum += s.bytes
	}
	return sum
}

// awaitRelease waits until n bytes fit the bound.
func (w *Writer) awaitRelease(ctx context.Context, n int) error {
	fits := func() bool { return w.total()+int64(n) <= w.opts.Bytes }
	if fits() {
		return nil
	}
	if w.watch == nil {
		w.watch = newWatch(w.dir)
	}
	for {
		if w.forget(); fits() {
			return nil
		}
		select {
		case <-w.watch.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for room in the spool: %w", context.Cause(ctx))
		}
	}
}

// forget drops the oldest segments that have been released.
func (w *Writer) forget() {
	for len(w.kept) > 1 {
		if _, err := os.Lstat(segmentPath(w.dir, w.kept[0].first)); !errors.Is(err, fs.ErrNotExist) {
			return
		}
		w.kept = w.kept[1:]
	}
}

// flush writes the buffer. When that fails it takes back the frame that was written in part, so that an exit record can follow.
func (w *Writer) flush() error {
	if len(w.buf) == 0 {
		return w.err
	}
	n, err := w.file.Write(w.buf)
	if err != nil {
		w.keepWhole(w.buf[:n])
		w.err = errors.Join(w.failed("write spool", err), w.file.Truncate(w.newest().bytes))
		w.pending = w.tally
	} else {
		w.newest().bytes += int64(len(w.buf))
		w.tally = w.pending
	}
	w.buf = w.buf[:0]
	return w.err
}

// keepWhole counts the whole frames that a write that has failed wrote: somebody may have read them.
func (w *Writer) keepWhole(written []byte) {
	for {
		f, n, err := decodeFrame(written)
		if err != nil {
			return
		}
		w.tally.add(f.sum)
		w.newest().bytes += int64(n)
		written = written[n:]
	}
}

// Finish writes the exit record with the tally of all records, and closes the writer. It does not wait for room.
func (w *Writer) Finish(exit Exit) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return ErrEnded
	}
	exit.Tally = w.tally
	text, err := encodeExit(exit)
	if err == nil {
		var b []byte
		b, _ = appendFrame(nil, flagExit, exit.Finished.UnixNano(), text)
		err = w.writeExit(b)
	}
	return errors.Join(err, w.close())
}

// writeExit writes the frame of the exit record: behind the last record, or, where the disk is full, in the room kept for it.
func (w *Writer) writeExit(b []byte) error {
	_, err := w.file.Write(b)
	if err == nil {
		return nil
	}
	err = errors.Join(w.failed("write exit record", err), w.file.Truncate(w.newest().bytes))
	if w.tally.Records < w.newest().first {
		return err // the segment that would follow has the name of this one
	}
	if roomErr := useRoom(w.dir, w.tally, b); roomErr != nil {
		return errors.Join(err, roomErr)
	}
	return nil
}

// failed is the error of a write. The file that it names has had another name since it was made.
func (w *Writer) failed(what string, err error) error {
	var wrong *fs.PathError
	if errors.As(err, &wrong) {
		err = wrong.Err
	}
	return fmt.Errorf("%s in %s: %w", what, w.dir, err)
}

// Close closes the writer without an exit record. It does nothing after Finish.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return nil
	}
	return w.close()
}

func (w *Writer) close() error {
	w.ended = true
	if w.watch != nil {
		w.watch.close()
	}
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("close spool: %w", err)
	}
	return nil
}
