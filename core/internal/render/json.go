package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/podrunner/runner/core/internal/engine"
	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
)

// JSON writes events, one JSON object a line: "status", "log" and at last "result". docs/events.md has the schema.
type JSON struct {
	mu      sync.Mutex
	out     io.Writer
	begun   time.Time
	buffer  bytes.Buffer
	encoder *json.Encoder
	// seq counts the log events.
	seq uint64
}

// NewJSON returns a renderer that writes to out.
func NewJSON(out io.Writer) *JSON {
	j := &JSON{out: out, begun: time.Now()}
	j.encoder = json.NewEncoder(&j.buffer)
	j.encoder.SetEscapeHTML(false)
	return j
}

type statusEvent struct {
	Event     string `json:"event"`
	Phase     string `json:"phase"`
	Reason    string `json:"reason"`
	Message   string `json:"message"`
	ElapsedMS int64  `json:"elapsed_ms"`
}

// logEvent is one record. A line that is not UTF-8 is in line_base64; one that is longer than 30 KiB comes in several
// events, all but the last with partial.
type logEvent struct {
	Event      string  `json:"event"`
	Seq        uint64  `json:"seq"`
	Step       string  `json:"step"`
	Stream     string  `json:"stream"`
	Time       string  `json:"time"`
	Line       *string `json:"line,omitempty"`
	LineBase64 *[]byte `json:"line_base64,omitempty"`
	Partial    bool    `json:"partial,omitempty"`
}

type resultEvent struct {
	Event      string     `json:"event"`
	Outcome    string     `json:"outcome"`
	Reason     string     `json:"reason"`
	Message    string     `json:"message"`
	Hint       string     `json:"hint"`
	ExitCode   *int       `json:"exit_code"`
	Records    uint64     `json:"records"`
	Variables  []variable `json:"variables"`
	DurationMS durations  `json:"duration_ms"`
}

type variable struct {
	Key         string  `json:"key"`
	Value       *string `json:"value,omitempty"`
	ValueBase64 *[]byte `json:"value_base64,omitempty"`
}

type durations struct {
	Pending int64 `json:"pending"`
	Running int64 `json:"running"`
	Total   int64 `json:"total"`
}

// Status implements Renderer. An error to write it shows at the next event that counts.
func (j *JSON) Status(status executor.Status) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.encode(statusEvent{
		Event:     "status",
		Phase:     string(status.Phase),
		Reason:    status.Reason,
		Message:   status.Message,
		ElapsedMS: time.Since(j.begun).Milliseconds(),
	})
	_ = j.flush()
}

// Records implements Renderer.
func (j *JSON) Records(batch *record.Batch) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range batch.All {
		j.seq++
		j.record(batch.Step, r)
	}
	return j.flush()
}

// record adds a log event as logEvent would have it. Most lines need no escape, and there are many.
func (j *JSON) record(step string, r record.Record) {
	stream := "stdout"
	if r.Flags&record.Stderr != 0 {
		stream = "stderr"
	}
	if !plain(r.Text) {
		event := logEvent{
			Event: "log", Seq: j.seq, Step: step, Stream: stream, Time: r.When().UTC().Format(time.RFC3339Nano),
			Partial: r.Flags&record.Partial != 0,
		}
		event.Line, event.LineBase64 = textOrBytes(r.Text)
		j.encode(event)
		return
	}
	b := append(j.buffer.AvailableBuffer(), `{"event":"log","seq":`...)
	b = strconv.AppendUint(b, j.seq, 10)
	b = append(b, `,"step":"`...)
	b = append(b, step...)
	b = append(b, `","stream":"`...)
	b = append(b, stream...)
	b = append(b, `","time":"`...)
	b = r.When().UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","line":"`...)
	b = append(b, r.Text...)
	b = append(b, '"')
	if r.Flags&record.Partial != 0 {
		b = append(b, `,"partial":true`...)
	}
	b = append(b, "}\n"...)
	_, _ = j.buffer.Write(b)
}

// plain tells whether a text is itself in JSON.
func plain(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// Summary implements Renderer.
func (j *JSON) Summary(s engine.Summary) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	event := resultEvent{
		Event:     "result",
		Outcome:   string(s.Result.Outcome),
		Reason:    string(s.Result.Reason),
		Message:   s.Result.Message,
		Hint:      s.Result.Reason.Info().Hint,
		ExitCode:  s.Result.ExitCode,
		Records:   s.Records,
		Variables: []variable{},
		DurationMS: durations{
			Pending: s.Pending.Milliseconds(),
			Running: s.Running.Milliseconds(),
			Total:   s.Total.Milliseconds(),
		},
	}
	for _, v := range s.Result.Variables {
		event.Variables = append(event.Variables, variableOf(v))
	}
	j.encode(event)
	return j.flush()
}

// Close implements Renderer.
func (j *JSON) Close() {}

func variableOf(v job.OutcomeVariable) variable {
	out := variable{Key: v.Key}
	out.Value, out.ValueBase64 = textOrBytes(v.Value)
	return out
}

// textOrBytes returns bytes as a text when they are one.
func textOrBytes(b []byte) (*string, *[]byte) {
	if utf8.Valid(b) {
		text := string(b)
		return &text, nil
	}
	return nil, &b
}

// encode adds an event to the buffer. It can't fail: the events hold nothing that JSON has no form for.
func (j *JSON) encode(event any) { _ = j.encoder.Encode(event) }

func (j *JSON) flush() error {
	_, err := j.out.Write(j.buffer.Bytes())
	j.buffer.Reset()
	if err != nil {
		return fmt.Errorf("write the events: %w", err)
	}
	return nil
}
