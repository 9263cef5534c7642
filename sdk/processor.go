package sdk

import (
	"context"
	"time"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// LineProcessor sees the lines of one job, one at a time, in order.
type LineProcessor interface {
	// Line looks at a line and may edit it. An error says that the processor is broken and ends the job in it: what
	// becomes of the job is said by `on_error` in runner.hcl. A line that is merely odd is no error. The line is valid
	// until Line returns. ctx ends when core gives the job up. Core waits 30 seconds for what becomes of a batch, and then
	// kills the process.
	Line(ctx context.Context, line *Line) error
}

// BatchProcessor sees the lines of one job, many at a time, in order. It is for processors that gain from looking at
// the bytes of many lines at once; it has the same powers as a LineProcessor.
type BatchProcessor interface {
	// Batch looks at a batch and may edit its lines. Errors as in LineProcessor. The batch is valid until Batch returns.
	Batch(ctx context.Context, batch *Batch) error
}

// Finisher is implemented by a LineProcessor or BatchProcessor that has something to do at the end of a job.
type Finisher interface {
	// Finish sees the job's result and may change it, and may add last lines to the log. It is called once, after the
	// last line; again by a new process when the one before has died at it. Errors as in LineProcessor. end is valid until
	// Finish returns.
	Finish(ctx context.Context, end *End) error
}

// Checkpointer is implemented by a LineProcessor or BatchProcessor whose treatment of a line depends on lines before
// it. A plugin process that dies is replaced, and its jobs go on from their last checkpoint.
type Checkpointer interface {
	// Checkpoint returns the state after the last line seen; nil is the state of a new value. It is called after each
	// batch, so it should be cheap when nothing has changed: return the same bytes, not to be changed afterwards. At most
	// 2 MiB.
	Checkpoint() ([]byte, error)
	// Restore puts a new value into the state that Checkpoint returned in another process, perhaps one of an older
	// version. It is called at most once, before the first line. Errors of both as in LineProcessor.
	Restore(checkpoint []byte) error
}

// Job is what a processor is told of the job whose log it sees.
type Job struct {
	// ID is the job's id at its source. Its form is the source's affair.
	ID string
	// Attempt counts the starts of this job, from 1.
	Attempt int
	// Pipeline and Runner are the names of the pipeline and the runner that run it.
	Pipeline, Runner string
	// Worker is the slot that runs it, from 1; 0 when there are no slots.
	Worker int
	// Labels are those that the source has given to the job. Not to be changed.
	Labels map[string]string
	// Secrets are the sensitive variables of the job, in its order, empty unless the Plugin sets NeedsSecrets. They
	// must not be logged or kept in a checkpoint.
	Secrets []Secret
}

// Stream is the stream of a step that a line was written to.
type Stream byte

// The streams of a step.
const (
	Stdout = Stream(pluginv1.Flag_FLAG_NONE)
	Stderr = Stream(pluginv1.Flag_FLAG_STDERR)
	// Outcome is the step's outcome file, which comes behind all its output. Only a processor whose Plugin sets
	// ReadsOutcome or Redacts sees it. Its lines are no part of the log: what no processor drops, core does, and no line
	// can be added to it.
	Outcome = Stream(pluginv1.Flag_FLAG_OUTCOME)
)

// streamFlags are the flags of a record that tell its stream.
const streamFlags = byte(pluginv1.Flag_FLAG_STDERR | pluginv1.Flag_FLAG_OUTCOME)

// String returns "stdout", "stderr" or "outcome".
func (s Stream) String() string {
	switch s {
	case Stderr:
		return "stderr"
	case Outcome:
		return "outcome"
	default:
		return "stdout"
	}
}

// Line is one line of a job's log, or a piece of a long one.
//
// Edits are relative to the line as it came: the order of calls does not matter, only their offsets. Splices must not
// overlap; those at the same offset come in the order of the calls. A wrong edit (an offset outside the line, an
// overlap, a line end in the new text) ends the job in this processor when the call returns, as an error would.
type Line struct {
	batch *Batch
	index int
}

// Bytes returns the line without its line end, as the job wrote it: not always UTF-8. It is valid until the call of the
// processor returns, and not to be changed.
func (l *Line) Bytes() []byte { return l.batch.Bytes(l.index) }

// Seq returns the line's number in this processor, from 1 in each job; pieces of a line count one by one. Replay after a
// crash gives a line the same number.
func (l *Line) Seq() uint64 { return l.batch.FirstSeq() + uint64(l.index) }

// Stream returns the stream that the line was written to.
func (l *Line) Stream() Stream { return l.batch.Stream(l.index) }

// Step returns the step that wrote the line: "init" or "job".
func (l *Line) Step() string { return l.batch.Step() }

// Time returns when the job wrote the line, in the time zone of the process.
func (l *Line) Time() time.Time { return l.batch.Time(l.index) }

// Partial reports whether the line goes on in the next Line of the same step and stream. A line of more than 30 KiB
// comes in pieces.
func (l *Line) Partial() bool { return l.batch.Partial(l.index) }

// Replace puts text in place of the whole line. text holds no line end; it is copied.
func (l *Line) Replace(text []byte) { l.batch.Replace(l.index, text) }

// Splice removes n bytes at offset and puts text there. text holds no line end; it is copied.
func (l *Line) Splice(offset, n int, text []byte) { l.batch.Splice(l.index, offset, n, text) }

// Drop removes the line from the log.
func (l *Line) Drop() { l.batch.Drop(l.index) }

// InsertAfter adds a line after this one; after a piece of a line of the same stream, behind the end of that line.
// Several come in the order of the calls. stream is Stdout or Stderr. text holds no line end; it is copied.
func (l *Line) InsertAfter(stream Stream, text []byte) { l.batch.InsertAfter(l.index, stream, text) }
