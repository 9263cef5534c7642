// Package record has the unit that a job's log is made of, and batches of it. The helper in the pod writes records, the
// spool stores them, the pipeline carries them; this package knows none of these.
package record

import "time"

// MaxBytes is the most that one record holds; a longer line is cut into pieces. It is the plugin protocol's
// MaxRecordBytes, stated here again so that the helper needs no code of the protocol; a test compares them.
const MaxBytes = 30 << 10

// Step names, as they stand in a log event.
const (
	StepInit = "init"
	StepJob  = "job"
)

// Flags are the properties of a record that fit a bit. They are the plugin protocol's Flag bits; a test compares them.
type Flags byte

const (
	// Stderr: written to standard error; else, without Outcome, to standard output.
	Stderr Flags = 1 << iota
	// Partial: the line goes on in the next record of the same step and stream.
	Partial
	// Outcome: a line of the step's outcome file, which is a stream of its own and no part of the log.
	Outcome
	// KnownFlags are all that a record may have.
	KnownFlags = Stderr | Partial | Outcome
)

// In reports whether any of the records whose flags are given has one of these.
func (f Flags) In(flags []byte) bool {
	for _, b := range flags {
		if Flags(b)&f != 0 {
			return true
		}
	}
	return false
}

// Record is one line of output without its LF, or one piece of a long line. Text is as the job wrote it: any bytes but
// LF.
type Record struct {
	Flags Flags
	// Time of writing, nanoseconds since the Unix epoch.
	Time int64
	Text []byte
}

// When returns the time of writing.
func (r Record) When() time.Time { return time.Unix(0, r.Time) }
