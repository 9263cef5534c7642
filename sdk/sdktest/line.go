package sdktest

import (
	"time"

	"github.com/podrunner/runner/sdk"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// Line is a line of a job's log, before or after a processor.
type Line struct {
	// Text is the line without its line end. One that is longer than a record is sent in pieces, as core does.
	Text   string
	Stream sdk.Stream
	// Step is "init" or "job"; empty: "job".
	Step string
	// Time is when the job wrote the line; zero: a millisecond after the line before it, the first at a fixed time.
	Time time.Time
	// Partial says that the line goes on in the next Line of the same step and stream.
	Partial bool
}

// Lines returns lines of standard output.
func Lines(texts ...string) []Line {
	lines := make([]Line, len(texts))
	for i, text := range texts {
		lines[i].Text = text
	}
	return lines
}

// firstTime is when a job writes its first line, unless the test says something else.
var firstTime = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)

// records fills in what lines leave out, and cuts long ones into pieces.
func records(lines []Line) []Line {
	var out []Line
	now := firstTime
	for _, l := range lines {
		if l.Step == "" {
			l.Step = "job"
		}
		if l.Time.IsZero() {
			l.Time = now
		}
		now = l.Time.Add(time.Millisecond)
		for len(l.Text) > protocol.MaxRecordBytes {
			piece := l
			piece.Text, piece.Partial = l.Text[:protocol.MaxRecordBytes], true
			out = append(out, piece)
			l.Text = l.Text[protocol.MaxRecordBytes:]
		}
		out = append(out, l)
	}
	return out
}

// columnBytes is what a record costs in a batch beside its text.
const columnBytes = 16

// outcome reports whether a line is one of an outcome file. Core sends those in batches of their own.
func outcome(l Line) bool { return l.Stream == sdk.Outcome }

// pack packs records, as made by records, into batches of at most maxLines.
func pack(records []Line, maxLines int) []*pluginv1.Batch {
	var batches []*pluginv1.Batch
	var b *pluginv1.Batch
	var last int64
	for i, r := range records {
		now := r.Time.UnixNano()
		if b == nil || b.Step != r.Step || outcome(records[i-1]) != outcome(r) || len(b.Ends) == maxLines ||
			len(b.Data)+len(r.Text)+columnBytes*(len(b.Ends)+1) > protocol.MaxBatchBytes {
			b = &pluginv1.Batch{FirstSeq: uint64(i) + 1, BaseTime: now, Step: r.Step}
			batches, last = append(batches, b), now
		}
		b.Data = append(b.Data, r.Text...)
		b.Ends = append(b.Ends, uint32(len(b.Data)))
		b.Flags = append(b.Flags, flagsOf(r))
		b.Dt = append(b.Dt, now-last)
		last = now
	}
	return batches
}

// streamFlags are the flags of a record that tell its stream.
const streamFlags = byte(pluginv1.Flag_FLAG_STDERR | pluginv1.Flag_FLAG_OUTCOME)

func flagsOf(l Line) byte {
	flags := byte(l.Stream)
	if l.Partial {
		flags |= byte(pluginv1.Flag_FLAG_PARTIAL)
	}
	return flags
}

// unpack is the opposite of pack, for one batch.
func unpack(b *pluginv1.Batch) []Line {
	lines := make([]Line, len(b.Ends))
	start, now := uint32(0), b.BaseTime
	for i, end := range b.Ends {
		if len(b.Dt) > 0 {
			now += b.Dt[i]
		}
		lines[i] = Line{
			Text:    string(b.Data[start:end]),
			Stream:  sdk.Stream(b.Flags[i] & streamFlags),
			Step:    b.Step,
			Time:    time.Unix(0, now).UTC(),
			Partial: b.Flags[i]&byte(pluginv1.Flag_FLAG_PARTIAL) != 0,
		}
		start = end
	}
	return lines
}
