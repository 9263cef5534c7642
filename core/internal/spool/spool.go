// Package spool keeps the output of one step in files, between the process that reads it from the step's pipes and those
// that want it: one writer, any number of readers, which may be other processes and may start and stop at any time.
//
// A spool is a directory (0700) of segments (0600): output that nobody has masked yet holds secrets. One that is shared lets
// other users in. A segment is named after the sequence number of its first record and begins with a header; frames follow:
//
//	header   "RSPOOL1\n", first sequence number (8), checksum so far (4), CRC32C of these 20 bytes (4)
//	frame    CRC32C of all that follows in the frame (4), length of what follows the length (4),
//	         flags (1), time in nanoseconds since the Unix epoch (8), text
//
// Integers are little-endian. Records are numbered from 1. The last frame of a spool that was ended in order is the exit
// record: bit 7 of its flags is set and its text is JSON. It has no number.
//
// A spool survives the SIGKILL of its writer at any byte: what is torn is the last frame, and is known by its length or
// checksum. A writer whose disk is full takes it back and writes the exit record in its place. When that does not fit either, the
// file "room", which has been beside the segments all the time, becomes the last one, with the exit record alone. Nothing is
// synced to the disk, so a machine that loses its power may lose the end of a spool.
//
// The spool is bounded: when the segments reach the bound, the writer waits until a consumer has released some. Both
// sides wait for events of the directory (inotify). Where none are to be had, because the user's limit of inotify
// instances is reached or the system has none, they look again every pollInterval instead: a log that comes a little
// later is better than a job that does not run.
package spool

import (
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/podrunner/runner/core/internal/record"
)

// Defaults of Options.
const (
	DefaultBytes        = 64 << 20
	DefaultSegmentBytes = 4 << 20
)

// ErrNoExit says that a spool whose writer is gone has no exit record: how its step ended is not known. All whole records
// have been read.
var ErrNoExit = errors.New("the spool ends without an exit record")

// ErrEnded says that a spool has its exit record and takes no more.
var ErrEnded = errors.New("the spool has been ended with an exit record")

// ReleasedError says that a reader wants a record that has been released.
type ReleasedError struct {
	// Wanted is the sequence number of the record, First that of the oldest that is left.
	Wanted, First uint64
}

func (e *ReleasedError) Error() string {
	return fmt.Sprintf("record %d has been released; the oldest one left is %d", e.Wanted, e.First)
}

// CorruptError says that a segment holds something that no writer wrote.
type CorruptError struct {
	Path   string
	Offset int64
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("spool segment %s is corrupt at byte %d: %s", e.Path, e.Offset, e.Reason)
}

// Tally counts records and sums them up, so that two ends can tell whether they have seen the same. The zero value is that
// of no records.
type Tally struct {
	Records uint64 `json:"records"`
	// Checksum is the CRC32C of the records' own checksums in order, each 4 bytes little-endian. A record's checksum is
	// that of its frame: the CRC32C of 9 plus the length of the text (4), the flags (1), the time (8) and the text.
	Checksum uint32 `json:"checksum"`
}

// BatchBytes is what the records of a batch take in a spool.
func BatchBytes(b *record.Batch) int { return len(b.Data) + b.Len()*frameHeadBytes }

// AddBatch adds the records of a batch.
func (t *Tally) AddBatch(b *record.Batch) {
	var head [frameHeadBytes]byte
	for _, r := range b.All {
		putHead(&head, byte(r.Flags), r.Time, len(r.Text))
		t.add(crc32.Update(crc32.Checksum(head[sumBytes:], castagnoli), castagnoli, r.Text))
	}
}

// add adds a record by its checksum. It is crc32.Update of four bytes, which would put them on the heap.
func (t *Tally) add(sum uint32) {
	crc := ^t.Checksum
	for range sumBytes {
		crc = castagnoli[byte(crc)^byte(sum)] ^ crc>>8
		sum >>= 8
	}
	t.Checksum = ^crc
	t.Records++
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
