package render

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/podrunner/runner/core/internal/engine"
	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
)

// Escape sequences of a terminal.
const (
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	reset  = "\x1b[0m"
	// wipe empties the line that the cursor is on.
	wipe = "\r\x1b[K"
	// cut has what is too long for a line cut off, until wrap; else wipe would leave the rows above.
	cut  = "\x1b[?7l"
	wrap = "\x1b[?7h"
)

// progressInterval is how often the elapsed time of a job that waits is drawn anew.
const progressInterval = 200 * time.Millisecond

// maxHeldBytes bounds the lines of one stream that wait for the end of a long line of the other.
const maxHeldBytes = 1 << 20

// TextOptions say what Text may use.
type TextOptions struct {
	// Out takes the lines, Err everything else.
	Out, Err io.Writer
	// Color says that Out is a terminal that shows colours: lines of stderr are told apart.
	Color bool
	// Live says that Err is a terminal: what the job waits for is shown, with the time that it takes.
	Live bool
}

// Text shows a run to people.
type Text struct {
	options TextOptions
	begun   time.Time

	mu     sync.Mutex
	buffer bytes.Buffer
	// owner is the stream whose line stands on Out without its end; -1 when none does. held are lines of the other stream
	// that wait for that end.
	owner int
	held  bytes.Buffer
	// heldOpen says that the last line in held has no end yet.
	heldOpen bool
	// waiting describes the status that is drawn while the job waits, since the time that arrived says; "": nothing is
	// drawn. drawn says that it stands on the terminal now.
	waiting, arrived string
	drawn            bool
	stop             context.CancelFunc
	stopped          sync.WaitGroup
}

// NewText returns a renderer.
func NewText(options TextOptions) *Text {
	ctx, stop := context.WithCancel(context.Background())
	t := &Text{options: options, begun: time.Now(), owner: -1, stop: stop}
	if options.Live {
		t.stopped.Go(func() { t.draw(ctx) })
	}
	return t
}

// Status implements Renderer.
func (t *Text) Status(status executor.Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle()
	if status.Message == "" {
		return
	}
	t.waiting, t.arrived = describe(status), t.elapsed()
	if !t.options.Live || status.Phase != executor.Pending {
		t.settle()
	}
}

// settle ends the drawing: what was drawn stays as a line of its own.
func (t *Text) settle() {
	if t.drawn {
		fmt.Fprint(t.options.Err, wipe)
		t.drawn = false
	}
	if t.waiting != "" {
		fmt.Fprintf(t.options.Err, "%s\n", t.paint(dim, fmt.Sprintf("[%s] %s", t.arrived, t.waiting)))
		t.waiting = ""
	}
}

func describe(status executor.Status) string {
	if status.Reason != "" {
		return fmt.Sprintf("%s: %s: %s", status.Phase, status.Reason, inline(status.Message))
	}
	return fmt.Sprintf("%s: %s", status.Phase, inline(status.Message))
}

func (t *Text) elapsed() string { return fmt.Sprintf("%5.1fs", time.Since(t.begun).Seconds()) }

// draw keeps the line that says what the job waits for, until ctx ends. It never waits for a terminal that stands still:
// a line that is not drawn is not missed.
func (t *Text) draw(ctx context.Context) {
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !t.mu.TryLock() {
			continue
		}
		if t.waiting != "" {
			fmt.Fprintf(t.options.Err, "%s%s%s[%s] %s%s%s", wipe, cut, dim, t.elapsed(), t.waiting, reset, wrap)
			t.drawn = true
		}
		t.mu.Unlock()
	}
}

// Records implements Renderer.
func (t *Text) Records(batch *record.Batch) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle()
	t.buffer.Reset()
	for _, r := range batch.All {
		t.record(r)
	}
	if _, err := t.options.Out.Write(t.buffer.Bytes()); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	return nil
}

// record writes a record. A line that came in pieces is one line; lines of the other stream wait for its end, up to a
// bound.
func (t *Text) record(r record.Record) {
	stream := int(r.Flags & record.Stderr)
	if t.owner >= 0 && t.owner != stream {
		t.line(&t.held, r)
		t.heldOpen = r.Flags&record.Partial != 0
		if t.held.Len() > maxHeldBytes {
			t.buffer.WriteByte('\n')
			t.release()
		}
		return
	}
	t.line(&t.buffer, r)
	switch {
	case r.Flags&record.Partial != 0:
		t.owner = stream
	case t.owner == stream:
		t.release()
	}
}

// release writes the lines that have waited. Should the last of them be open, it is now the one that others wait for.
func (t *Text) release() {
	if t.heldOpen {
		t.owner = int(record.Stderr) - t.owner
	} else {
		t.owner = -1
	}
	t.heldOpen = false
	t.buffer.Write(t.held.Bytes())
	t.held.Reset()
}

func (t *Text) line(to *bytes.Buffer, r record.Record) {
	colored := t.options.Color && r.Flags&record.Stderr != 0
	if colored {
		to.WriteString(yellow)
	}
	to.Write(r.Text)
	if colored {
		to.WriteString(reset)
	}
	if r.Flags&record.Partial == 0 {
		to.WriteByte('\n')
	}
}

// Summary implements Renderer.
func (t *Text) Summary(s engine.Summary) error {
	t.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle()
	if _, err := io.WriteString(t.options.Err, t.summary(s)); err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	return nil
}

// Close implements Renderer.
func (t *Text) Close() {
	t.stop()
	t.stopped.Wait()
	if t.mu.TryLock() {
		t.settle()
		t.mu.Unlock()
	}
}

func (t *Text) summary(s engine.Summary) string {
	var b strings.Builder
	color := red
	if s.Result.Outcome == job.Success {
		color = green
	}
	b.WriteString("\n")
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	outcome := string(s.Result.Outcome)
	if s.Result.Reason != "" {
		outcome += " (" + inline(string(s.Result.Reason)) + ")"
	}
	row("outcome", "%s", t.paint(color, outcome))
	if s.Result.Message != "" {
		row("message", "%s", inline(s.Result.Message))
	}
	if hint := s.Result.Reason.Info().Hint; hint != "" && s.Result.Outcome != job.Success {
		row("hint", "%s", hint)
	}
	if s.Result.ExitCode != nil {
		row("exit code", "%d", *s.Result.ExitCode)
	}
	row("duration", "%s (pending %s, running %s)", round(s.Total), round(s.Pending), round(s.Running))
	row("records", "%d", s.Records)
	for i, v := range s.Result.Variables {
		name := ""
		if i == 0 {
			name = "variables"
		}
		row(name, "%s=%s", inline(v.Key), inline(string(v.Value)))
	}
	return b.String()
}

// inline shows a text on one line. What a job has a say in must not move the cursor or hide a part of the summary, so a
// text with anything in it that does not print is quoted.
func inline(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) || r == utf8.RuneError }) {
		return strconv.Quote(text)
	}
	return text
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Millisecond)
}

func (t *Text) paint(color, text string) string {
	if !t.options.Live {
		return text
	}
	return color + text + reset
}
