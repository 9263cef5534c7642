package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podrunner/runner/core/internal/record"
	"github.com/podrunner/runner/core/internal/spool"
)

// noteTime bounds the wait for room in a spool that is empty, or nearly so.
const noteTime = 5 * time.Second

// outcomeFile is the file into which a step's commands write outcome variables. What they write is not looked at here: its
// lines become records behind the last one of the log.
type outcomeFile struct {
	// dir is the directory as it was made. The commands may put another one in its place, or a link, and gain nothing.
	dir  *os.File
	name string
}

// newOutcomeFile makes an empty file. Whatever user a command runs as may write it, or put another one in its place.
func newOutcomeFile(path string) (*outcomeFile, error) {
	dir, name := filepath.Split(path)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	f := &outcomeFile{dir: os.NewFile(uintptr(fd), dir), name: name}
	if err := errors.Join(f.make(), f.dir.Chmod(0o777)); err != nil { // whatever the umask is
		return nil, errors.Join(err, f.dir.Close())
	}
	return f, nil
}

func (f *outcomeFile) make() error {
	file, err := f.open(unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	return errors.Join(file.Chmod(0o666), file.Close())
}

// open opens the file: what bears its name now, but no link, and without waiting for whoever is at the other end of a pipe.
func (f *outcomeFile) open(flags int, mode uint32) (*os.File, error) {
	fd, err := unix.Openat(int(f.dir.Fd()), f.name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, mode)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: f.name, Err: err}
	}
	return os.NewFile(uintptr(fd), f.name), nil
}

// read returns what the file holds; nothing when it has been removed. The error is for the reader of the log.
func (f *outcomeFile) read() ([]byte, error) {
	file, err := f.open(unix.O_RDONLY, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case errors.Is(err, unix.ELOOP):
		return nil, errors.New("it is a symbolic link now, and only a regular file is read")
	case err != nil:
		return nil, err
	}
	defer func() { _ = file.Close() }() // it is only read
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file any more, and only such a one is read")
	}
	data, err := io.ReadAll(io.LimitReader(file, MaxOutcomeBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxOutcomeBytes {
		return nil, fmt.Errorf("it has %d bytes, and at most %d are read", max(info.Size(), int64(len(data))), MaxOutcomeBytes)
	}
	return data, nil
}

// copy appends the file's lines to the spool, within ctx, and lets go of the file. A file that can't be read is told of in
// the log; the error is the spool's.
func (f *outcomeFile) copy(ctx context.Context, to *spool.Writer) error {
	defer func() { _ = f.dir.Close() }() // it is only looked through
	data, err := f.read()
	if err != nil {
		return note(ctx, to, fmt.Sprintf("the outcome file (%s) is left out: %v; none of its variables is set", OutcomeVariable, err))
	}
	lines, now := record.Splitter{Flags: record.Outcome}, time.Now().UnixNano()
	for len(data) > 0 {
		n := min(len(data), pumpBytes)
		if err := to.Append(ctx, lines.Split(data[:n], now)); err != nil {
			return err
		}
		data = data[n:]
	}
	return to.Append(ctx, lines.End(now))
}

// note appends a line of Runner's own to the log.
func note(ctx context.Context, to *spool.Writer, text string) error {
	return to.Append(ctx, []record.Record{{
		Flags: record.Stderr, Time: time.Now().UnixNano(), Text: []byte("[runner] " + text),
	}})
}

// offerOutcome makes the outcome file, if the step is to have one, and returns the environment with its path. What stands in
// the way is no reason not to run the step, and is told in its log.
func (s *step) offerOutcome(path string, env []string) ([]string, error) {
	if path == "" {
		return env, nil
	}
	var text string
	if has(env, OutcomeVariable) {
		text = fmt.Sprintf("the step has a variable %s of its own, so there is no outcome file; outcome variables can be printed", OutcomeVariable)
	} else if file, err := newOutcomeFile(path); err != nil {
		text = fmt.Sprintf("the outcome file could not be made, and %s is not set: %v; outcome variables can be printed", OutcomeVariable, err)
	} else {
		s.outcome = file
		return append(env, OutcomeVariable+"="+path), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), noteTime)
	defer cancel()
	return env, note(ctx, s.out, text)
}

// collect has the outcome file read, once, when nobody is left who could write to it.
func (s *step) collect() {
	switch {
	case s.collected != nil:
	case s.outcome == nil || s.lost || s.spoolErr != nil:
		s.complete = true
	default:
		s.collected = make(chan error, 1)
		go s.readOutcome(s.collected)
	}
}
