package render

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

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
	// waiting is the status that is drawn while the job waits; nil: nothing is drawn. drawn says that it stands on the
	// terminal now.
	waiting *executor.Status
	drawn   bool
	stop    chan struct{}
	stopped sync.WaitGroup
}

// NewText returns a renderer. Summary ends it.
func NewText(options TextOptions) *Text {
	t := &Text{options: options, begun: time.Now(), owner: -1, stop: make(chan struct{})}
	if options.Live {
		t.stopped.Go(t.draw)
	}
	return t
}

// Status implements Renderer.
func (t *Text) Status(status executor.Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.options.Live && status.Phase == executor.Pending {
		t.waiting = &status
		return
	}
	t.undraw()
	t.waiting = nil
	if status.Message == "" {
		return
	}
	fmt.Fprintf(t.options.Err, "%s\n", t.paint(dim, fmt.Sprintf("[%s] %s", t.elapsed(), describe(status))))
}

func describe(status executor.Status) string {
	if status.Reason != "" {
		return fmt.Sprintf("%s: %s: %s", status.Phase, status.Reason, status.Message)
	}
	return fmt.Sprintf("%s: %s", status.Phase, status.Message)
}

func (t *Text) elapsed() string { return fmt.Sprintf("%5.1fs", time.Since(t.begun).Seconds()) }

// draw keeps the line that says what the job waits for.
func (t *Text) draw() {
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-ticker.C:
		}
		t.mu.Lock()
		if t.waiting != nil {
			fmt.Fprintf(t.options.Err, "%s%s[%s] %s%s", wipe, dim, t.elapsed(), describe(*t.waiting), reset)
			t.drawn = true
		}
		t.mu.Unlock()
	}
}

func (t *Text) undraw() {
	if t.drawn {
		fmt.Fprint(t.options.Err, wipe)
		t.drawn = false
	}
}

// Records implements Renderer.
func (t *Text) Records(batch *record.Batch) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.undraw()
	t.waiting = nil
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

// release writes the lines that have waited.
func (t *Text) release() {
	t.owner = -1
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
	close(t.stop)
	t.stopped.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.undraw()
	_, err := io.WriteString(t.options.Err, t.summary(s))
	return err
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
		outcome += " (" + string(s.Result.Reason) + ")"
	}
	row("outcome", "%s", t.paint(color, outcome))
	if s.Result.Message != "" {
		row("message", "%s", s.Result.Message)
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
		row(name, "%s=%s", v.Key, inline(v.Value))
	}
	return b.String()
}

// inline shows a value on one line.
func inline(value []byte) string {
	text := string(value)
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == '\uFFFD' || r == 0x7f }) {
		return fmt.Sprintf("%q", text)
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
