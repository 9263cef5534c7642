package main

import (
	"context"
	"time"

	"github.com/podrunner/runner/plugins/source-opslevel/internal/api"
	"github.com/podrunner/runner/sdk"
)

// maxBisect bounds the requests that it may take to find the lines that the API refuses. A single one among a million is
// found with 40.
const maxBisect = 250

// chunk is a part of a log on its way. When a try breaks off in the middle, the next one goes on there.
type chunk struct {
	first uint64
	// done lines of it are settled: the API has them, or has refused them.
	done    int
	refused []sdk.RefusedLines
}

// AppendLogs implements sdk.JobSource.
func (s *source) AppendLogs(ctx context.Context, logs sdk.Logs) ([]sdk.RefusedLines, error) {
	h, err := decodeHandle(logs.Handle)
	if err != nil {
		return nil, err
	}
	if len(logs.Lines) == 0 {
		return nil, nil // the API refuses an empty chunk
	}
	r := s.jobs.open(logs.Job, h.Runner)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.chunk.first != logs.FirstLine {
		r.chunk = chunk{first: logs.FirstLine}
	}
	d := &delivery{chunk: &r.chunk, lines: logs.Lines, send: func(lines [][]byte) error {
		return s.append(ctx, h.Runner, logs.Job.ID, logs.SentAt, lines)
	}}
	if err := d.deliver(min(r.chunk.done, len(logs.Lines)), len(logs.Lines)); err != nil {
		return nil, err
	}
	return r.chunk.refused, nil
}

// append sends lines.
func (s *source) append(ctx context.Context, runner, job string, sentAt time.Time, lines [][]byte) error {
	return s.as(ctx, runner, func(id string) error {
		return s.api.Append(ctx, api.Append{Runner: id, Job: job, SentAt: sentAt, Lines: lines})
	})
}

// delivery finds out which lines of a chunk the API does not take, when it refuses the whole: it sends the two halves, the
// first one first, so that the order is kept, and halves what is refused again.
type delivery struct {
	*chunk
	lines [][]byte
	send  func([][]byte) error
	// requests counts; taken says that the API has taken anything, alone that it has refused a line by itself.
	requests     int
	taken, alone bool
}

// deliver settles the lines from..to. An error says that the API could not be asked.
func (d *delivery) deliver(from, to int) error {
	if from >= to {
		return nil
	}
	d.requests++
	err := d.send(d.lines[from:to])
	switch {
	case err == nil:
		d.taken = true
		d.done = to
		return nil
	case !api.IsRefused(err):
		return err
	case to-from == 1 || d.hopeless() || aboutJob(err):
		d.alone = d.alone || to-from == 1
		d.refuse(from, to, err)
		return nil
	}
	middle := from + (to-from)/2
	if err := d.deliver(from, middle); err != nil {
		return err
	}
	return d.deliver(middle, to)
}

// hopeless reports whether it is not a line that is at fault: even a single one was refused, and nothing was ever taken.
func (d *delivery) hopeless() bool { return d.alone && !d.taken || d.requests >= maxBisect }

// aboutJob reports whether the API refuses the job, and not what is said of it.
func aboutJob(err error) bool { return api.About(err, "runnerJobId") || api.About(err, "runnerId") }

// refuse settles lines as refused; those that belong together become one gap.
func (d *delivery) refuse(from, to int, err error) {
	d.done = to
	first, count, message := d.first+uint64(from), uint64(to-from), err.Error() //nolint:gosec // positions in a slice
	if n := len(d.refused); n > 0 {
		if last := &d.refused[n-1]; last.FirstLine+last.Count == first && last.Message == message {
			last.Count += count
			return
		}
	}
	d.refused = append(d.refused, sdk.RefusedLines{FirstLine: first, Count: count, Message: message})
}
