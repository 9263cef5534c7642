package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	magic       = "RSPOOL1\n"
	headerBytes = len(magic) + 8 + 4 + 4
	suffix      = ".spool"
	// roomName is the file that becomes the last segment when the disk is full, roomBytes more than that takes as a rule.
	roomName  = "room"
	roomBytes = 8 << 10
	// nameDigits makes the names sort by number; it fits every uint64.
	nameDigits = 20
)

// segmentPath names the segment of dir that begins with the record first.
func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%0*d%s", nameDigits, first, suffix))
}

// segments returns the first sequence numbers of the segments in dir, in order. Other files are left out.
func segments(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir) // sorted by name, hence by number
	if err != nil {
		return nil, fmt.Errorf("list spool: %w", err)
	}
	var firsts []uint64
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok || len(digits) != nameDigits {
			continue
		}
		if first, err := strconv.ParseUint(digits, 10, 64); err == nil && first > 0 {
			firsts = append(firsts, first)
		}
	}
	return firsts, nil
}

// createSegment makes a segment that goes on after the records of before. It appears under its name with its header whole.
func createSegment(dir string, before Tally, mode os.FileMode) (*os.File, error) {
	path := segmentPath(dir, before.Records+1)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, mode)
	if err != nil {
		return nil, fmt.Errorf("create spool segment: %w", err)
	}
	_, err = f.Write(appendHeader(nil, before))
	if err == nil {
		err = f.Chmod(mode) // whatever the umask is
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create spool segment: %w", err), f.Close(), os.Remove(path+".new"))
	}
	return f, nil
}

// keepRoom makes the file that keeps room on the disk for an exit record. Without it there is an exit record all the same, unless
// the disk is full by then.
func keepRoom(dir string, mode os.FileMode) {
	_ = os.WriteFile(filepath.Join(dir, roomName), make([]byte, roomBytes), mode)
}

// useRoom makes a last segment, behind the records of before, of the room for the exit record. It writes to blocks that the file
// has: those of a file that is removed may not be free at once.
func useRoom(dir string, before Tally, exit []byte) error {
	room := filepath.Join(dir, roomName)
	f, err := os.OpenFile(room, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open the room for the exit record: %w", err)
	}
	b := append(appendHeader(nil, before), exit...)
	_, err = f.Write(b)
	if err = errors.Join(err, f.Truncate(int64(len(b))), f.Close()); err == nil {
		err = os.Rename(room, segmentPath(dir, before.Records+1))
	}
	if err != nil {
		return fmt.Errorf("write the exit record in the room for it: %w", err)
	}
	return nil
}

// openSegment opens the segment that begins with first, behind its header, and returns the tally of all records before.
// A segment that is not there is an error that is fs.ErrNotExist.
func openSegment(dir string, first uint64, flag int) (*os.File, Tally, error) {
	path := segmentPath(dir, first)
	f, err := os.OpenFile(path, flag|syscall.O_NONBLOCK, 0) // it may be a pipe: the step can write to the directory
	if err != nil {
		return nil, Tally{}, fmt.Errorf("open spool segment: %w", err)
	}
	before, err := readHeader(f)
	if err == nil && before.Records+1 != first {
		err = &CorruptError{Reason: "the header names another record than the file name does"}
	}
	if err != nil {
		var corrupt *CorruptError
		if errors.As(err, &corrupt) {
			corrupt.Path = path
		}
		return nil, Tally{}, errors.Join(err, f.Close())
	}
	return f, before, nil
}

func appendHeader(b []byte, before Tally) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint64(b, before.Records+1)
	b = binary.LittleEndian.AppendUint32(b, before.Checksum)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func readHeader(f *os.File) (Tally, error) {
	info, err := f.Stat()
	if err != nil {
		return Tally{}, fmt.Errorf("read spool segment: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Tally{}, &CorruptError{Reason: "this is no regular file"}
	}
	var b [headerBytes]byte
	if _, err := io.ReadFull(f, b[:]); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Tally{}, &CorruptError{Reason: "the header is not complete"}
	} else if err != nil {
		return Tally{}, fmt.Errorf("read spool segment: %w", err)
	}
	if string(b[:len(magic)]) != magic {
		return Tally{}, &CorruptError{Reason: "this is no spool segment, or one of another version"}
	}
	if crc32.Checksum(b[:headerBytes-4], castagnoli) != binary.LittleEndian.Uint32(b[headerBytes-4:]) {
		return Tally{}, &CorruptError{Reason: "the checksum of the header does not match"}
	}
	return Tally{
		Records:  binary.LittleEndian.Uint64(b[len(magic):]) - 1,
		Checksum: binary.LittleEndian.Uint32(b[len(magic)+8:]),
	}, nil
}

// Release says that nobody needs the records up to through any longer: it removes the segments of dir that hold no other
// ones. It never removes the newest segment.
func Release(dir string, through uint64) error {
	firsts, err := segments(dir)
	if err != nil {
		return err
	}
	_, err = removeThrough(dir, firsts, through)
	return err
}

// ReleaseBeyond is Release for a spool of which as much is to stay as keep bytes have room for, so that somebody else can read
// it from its beginning: it removes the oldest segments first, and none as long as all of them take no more than that.
func ReleaseBeyond(dir string, through uint64, keep int64) error {
	if keep <= 0 {
		return Release(dir, through)
	}
	firsts, err := segments(dir)
	if err != nil {
		return err
	}
	sizes := make([]int64, len(firsts))
	total := int64(0)
	for i, first := range firsts {
		info, err := os.Stat(segmentPath(dir, first))
		if errors.Is(err, fs.ErrNotExist) {
			continue // released just now
		}
		if err != nil {
			return fmt.Errorf("release spool segment: %w", err)
		}
		sizes[i] = info.Size()
		total += sizes[i]
	}
	n := 0
	for total > keep && n < len(firsts)-1 {
		total -= sizes[n]
		n++
	}
	if n == 0 {
		return nil
	}
	_, err = removeThrough(dir, firsts, min(through, firsts[n]-1))
	return err
}

// removeThrough removes the segments whose records are all at or before through, and returns the ones that are left. The
// last one stays: where it ends is not known.
func removeThrough(dir string, firsts []uint64, through uint64) ([]uint64, error) {
	for len(firsts) > 1 && firsts[1]-1 <= through {
		if err := os.Remove(segmentPath(dir, firsts[0])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return firsts, fmt.Errorf("release spool segment: %w", err)
		}
		firsts = firsts[1:]
	}
	return firsts, nil
}
