package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/podrunner/runner/core/internal/record"
)

// readBytes is the size of a reader's buffer, and of its reads.
const readBytes = 256 << 10

// Reader reads a spool from some record on, while it is written or afterwards. Its methods are for one goroutine at a time,
// but for Release and WriterGone, which are for any: a reader that waits must not hold up the release that the writer, and so
// the reader, waits for. Readers know nothing of each other.
type Reader struct {
	dir, step string
	// from is the first record that is wanted, next the one whose frame comes next.
	from, next uint64
	tally      Tally
	file       *os.File
	// current is the first record of the open segment.
	current uint64
	// releasing guards passed: the segments that were opened and not released, the open one last.
	releasing sync.Mutex
	passed    []uint64
	// buf[at:have] is read and not decoded; offset is the file's offset of buf[0].
	buf      []byte
	at, have int
	offset   int64
	// joined: the frame at the start of buf was read in two parts.
	joined   bool
	builder  record.Builder
	watch    *watch
	gone     chan struct{}
	goneOnce sync.Once
	exit     *Exit
	err      error
}

// NewReader reads the spool in dir from the record from on, 1 being the first. The directory must exist; the spool may come
// later. The batches bear the name of the step.
func NewReader(dir, step string, from uint64) (*Reader, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("open spool: %w", &fs.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR})
	}
	return &Reader{dir: dir, step: step, from: max(from, 1), gone: make(chan struct{})}, nil
}

// Next returns the next records: at once as many as there are and fit a batch, else it waits for some. The batch belongs to
// the caller. Behind the last record the error is io.EOF when there is an exit record, and ErrNoExit when there is none
// and WriterGone has been called. Any error but that of ctx is final.
func (r *Reader) Next(ctx context.Context) (*record.Batch, error) {
	for {
		if r.err == nil {
			more, err := r.advance()
			if r.err = err; more {
				continue
			}
		}
		if batch := r.builder.Take(); batch != nil {
			return batch, nil
		}
		if r.err != nil {
			return nil, r.err
		}
		if err := r.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// advance adds to the batch being built what it can get. It returns whether there may be more to add at once.
func (r *Reader) advance() (bool, error) {
	if full, err := r.unpack(); full || err != nil {
		return false, err
	}
	return r.fill()
}

// unpack moves frames from the buffer to the batch being built, until one does not fit, which it returns.
func (r *Reader) unpack() (full bool, err error) {
	for {
		f, n, err := decodeFrame(r.buf[r.at:r.have])
		if errors.Is(err, errShort) {
			return false, nil
		}
		if err == nil && f.flags&flagExit != 0 {
			err = r.end(f)
		}
		if errors.Is(err, io.EOF) {
			return false, err
		}
		if err != nil && r.at == 0 && r.joined {
			return false, r.rewind()
		}
		if err != nil {
			return false, &CorruptError{Path: r.file.Name(), Offset: r.offset + int64(r.at), Reason: err.Error()}
		}
		if r.next >= r.from {
			if !r.builder.Fits(r.step, len(f.text)) {
				return true, nil
			}
			r.builder.Add(r.step, record.Record{Flags: record.Flags(f.flags), Time: f.time, Text: f.text})
		}
		r.at += n
		r.next++
		r.tally.add(f.sum)
	}
}

func (r *Reader) end(f frame) error {
	exit, err := decodeExit(f.text)
	if err != nil {
		return err
	}
	r.exit = &exit
	return io.EOF
}

// fill reads on, in the next segment when this one is at its end. It returns whether it got anything.
func (r *Reader) fill() (bool, error) {
	if r.file == nil {
		return r.seek()
	}
	r.offset += int64(r.at)
	r.have = copy(r.buf, r.buf[r.at:r.have])
	r.at, r.joined = 0, r.have > 0
	if n, err := r.read(); n > 0 || err != nil {
		return n > 0, err
	}
	if r.next == r.current {
		return false, nil // this segment has no record yet, so it is the newest
	}
	// The next segment is named after the next record, so one of that name says that this one has no more.
	err := r.open(r.next)
	if errors.Is(err, fs.ErrNotExist) {
		return r.search()
	}
	return err == nil, err
}

// read reads more of the open segment; 0 at its end.
func (r *Reader) read() (int, error) {
	n, err := r.file.Read(r.buf[r.have:])
	r.have += n
	if err != nil && !errors.Is(err, io.EOF) {
		return n, fmt.Errorf("read spool: %w", err)
	}
	return n, nil
}

// rewind has a frame that was read in part read again from its start: a writer whose disk is full takes back a part of a frame,
// and puts the exit record there.
func (r *Reader) rewind() error {
	if r.file == nil || r.have == r.at {
		return nil
	}
	r.have = r.at
	if _, err := r.file.Seek(r.offset+int64(r.at), io.SeekStart); err != nil {
		return fmt.Errorf("read spool: %w", err)
	}
	return nil
}

// search finds out why there is no segment that begins with the next record: it is not there yet, as a rule.
func (r *Reader) search() (bool, error) {
	firsts, err := segments(r.dir)
	if err != nil {
		return false, err
	}
	if len(firsts) == 0 || firsts[len(firsts)-1] < r.current {
		// The newest one is never released. The kernel tells of the directory's own end only when nobody has a file of it open.
		return false, fmt.Errorf("read spool: %w", &fs.PathError{Op: "find", Path: r.file.Name(), Err: fs.ErrNotExist})
	}
	if firsts[len(firsts)-1] <= r.next {
		return false, nil
	}
	if slices.Contains(firsts, r.next) {
		return true, nil // it has come meanwhile, and a later one too
	}
	// There is a later one, so this one is whole by now.
	if n, err := r.read(); n > 0 || err != nil {
		return n > 0, err
	}
	if firsts[0] > r.next {
		return r.seek()
	}
	return false, &CorruptError{
		Path: r.file.Name(), Offset: r.offset,
		Reason: fmt.Sprintf("it ends with record %d, and no segment begins with the next", r.next-1),
	}
}

// seek opens the segment with the first record that is wanted.
func (r *Reader) seek() (bool, error) {
	wanted := max(r.from, r.next)
	firsts, err := segments(r.dir)
	if err != nil || len(firsts) == 0 {
		return false, err
	}
	start := uint64(0)
	for _, first := range firsts {
		if first <= wanted {
			start = first
		}
	}
	if start == 0 {
		return false, &ReleasedError{Wanted: wanted, First: firsts[0]}
	}
	err = r.open(start)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // released just now: look again
	}
	return err == nil, err
}

func (r *Reader) open(first uint64) error {
	f, before, err := openSegment(r.dir, first, os.O_RDONLY)
	if err != nil {
		return err
	}
	if r.file == nil {
		r.buf = make([]byte, readBytes)
	} else {
		_ = r.file.Close() // it was only read
	}
	r.file, r.current, r.next, r.tally = f, first, first, before
	r.releasing.Lock()
	r.passed = append(r.passed, first)
	r.releasing.Unlock()
	r.at, r.have, r.offset = 0, 0, int64(headerBytes)
	return nil
}

// wait waits until there may be more to read.
func (r *Reader) wait(ctx context.Context) error {
	if r.err = r.rewind(); r.err != nil {
		return r.err
	}
	if r.watch == nil {
		r.watch = newWatch(r.dir)
		return nil // what happened before has to be looked for
	}
	select {
	case <-r.watch.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for records: %w", context.Cause(ctx))
	case <-r.gone:
		return r.final()
	}
}

// final reads what the writer left behind at last.
func (r *Reader) final() error {
	for more := true; more; {
		more, r.err = r.advance()
	}
	if r.err == nil && r.builder.Len() == 0 {
		r.err = ErrNoExit
	}
	return nil
}

// WriterGone says that the writer is no more, so that Next does not wait for an exit record that never comes. It may be
// called from any goroutine, and more than once.
func (r *Reader) WriterGone() { r.goneOnce.Do(func() { close(r.gone) }) }

// Exit returns the exit record, once Next has returned io.EOF.
func (r *Reader) Exit() (Exit, bool) {
	if r.exit == nil {
		return Exit{}, false
	}
	return *r.exit, true
}

// Tally returns that of all records up to the last one decoded, which is the last one of the spool when Next has returned
// io.EOF. For the records before the one the reader started at it takes the word of the segment's header.
func (r *Reader) Tally() Tally { return r.tally }

// Release is the function Release, for a caller who reads and releases as he goes: it touches the disk only when a segment
// is done with, and it removes only segments that this reader has been through. It may be called from any goroutine.
func (r *Reader) Release(through uint64) error {
	r.releasing.Lock()
	defer r.releasing.Unlock()
	var err error
	r.passed, err = removeThrough(r.dir, r.passed, through)
	return err
}

// Close lets go of the spool. It removes nothing.
func (r *Reader) Close() error {
	r.WriterGone()
	if r.watch != nil {
		r.watch.close()
		r.watch = nil
	}
	if r.err == nil {
		r.err = fs.ErrClosed
	}
	if r.file == nil {
		return nil
	}
	if err := r.file.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("close spool: %w", err)
	}
	return nil
}
