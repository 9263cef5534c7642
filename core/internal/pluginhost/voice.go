package pluginhost

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// tailBytes is how much of what a process wrote is kept for when it has ended: its last lines, or from the first
	// line of a crash report on, as the stacks that follow may be many.
	tailBytes = 64 << 10
	// shownOfLong is how much is shown of a line that is longer than maxLine. It is far less than was kept, so that
	// what the cut goes through has been seen whole by the redactor.
	shownOfLong = 4 << 10
	// A process may write linesBurst lines to the log at once, and linesRate a second in the long run.
	linesBurst = 500
	linesRate  = 50
)

// voice takes what one process writes, re-emits it to the log, and keeps the end for when it dies. It is safe for
// concurrent use: a process has several ways to speak.
type voice struct {
	logger hclog.Logger
	redact func([]byte) []byte
	now    func() time.Time

	mu         sync.Mutex
	tail       []byte
	crashed    bool // tail is a crash report, and keeps its beginning
	allowance  float64
	asOf       time.Time
	suppressed int
}

func newVoice(logger hclog.Logger, redact func([]byte) []byte) *voice {
	return &voice{logger: logger, redact: redact, now: time.Now, allowance: linesBurst}
}

// stderr returns a writer for the process's standard error, where it writes its log.
func (v *voice) stderr() *lineWriter {
	return &lineWriter{line: func(text []byte, excess int) {
		if excess > 0 {
			v.say(logLine{level: hclog.Info, message: cutLine(v.redact(text), excess)})
			return
		}
		v.mu.Lock()
		crash := v.crashed || beginsCrash(text)
		v.mu.Unlock()
		line := parseLogLine(text, v.redact)
		if crash && !line.structured {
			v.crash(line.message)
			return
		}
		v.say(line)
	}}
}

// stray returns a writer for a stream that is no log: text that a plugin prints without thinking of us.
func (v *voice) stray(stream string) *lineWriter {
	return &lineWriter{line: func(text []byte, excess int) {
		v.say(logLine{level: hclog.Info, message: cutLine(v.redact(text), excess), fields: []any{"stream", stream}})
	}}
}

// cutLine returns the text of a line, which was longer by excess bytes.
func cutLine(text []byte, excess int) string {
	if excess == 0 {
		return printable(string(text))
	}
	total := len(text) + excess
	return fmt.Sprintf("%s… (a line of %d bytes)", printable(string(text[:min(len(text), shownOfLong)])), total)
}

// say logs a line, unless there were too many.
func (v *voice) say(line logLine) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.crashed && (!line.structured || line.level >= hclog.Info) {
		v.keep(line)
	}
	if line.level < v.logger.GetLevel() || v.tooMany() {
		return
	}
	v.logger.Log(line.level, line.message, line.fields...)
}

// crash logs a line of a crash report. There are never too many of these, up to what is kept.
func (v *voice) crash(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.crashed {
		v.crashed, v.tail = true, nil
	}
	if len(v.tail)+len(text) >= tailBytes {
		return
	}
	v.tail = append(append(v.tail, text...), '\n')
	v.logger.Error(text)
}

// keep adds a line to the tail. The tail may grow to twice its size before it is cut, so that lines are rarely moved.
func (v *voice) keep(line logLine) {
	v.tail = append(v.tail, line.message...)
	for i := 0; i+1 < len(line.fields) && line.structured; i += 2 {
		v.tail = fmt.Appendf(v.tail, " %v=%v", line.fields[i], line.fields[i+1])
	}
	v.tail = append(v.tail, '\n')
	if len(v.tail) > 2*tailBytes {
		v.tail = append(v.tail[:0], lastBytes(v.tail, tailBytes)...)
	}
}

// tooMany counts a line, and says so when lines were left out before it.
func (v *voice) tooMany() bool {
	now := v.now()
	if !v.asOf.IsZero() {
		v.allowance = min(linesBurst, v.allowance+now.Sub(v.asOf).Seconds()*linesRate)
	}
	v.asOf = now
	// Once lines are left out, that goes on until there is room for a second's worth: else every other line would be one
	// that says so.
	if v.allowance < 1 || v.suppressed > 0 && v.allowance < linesRate {
		v.suppressed++
		return true
	}
	v.allowance--
	v.confess()
	return false
}

// confess says how many lines were left out.
func (v *voice) confess() {
	if v.suppressed > 0 {
		v.logger.Warn("the plugin writes too many log lines; some were left out", "lines", v.suppressed)
		v.suppressed = 0
	}
}

// close is called when the process is gone and all it wrote has been read.
func (v *voice) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.confess()
}

// last returns the end of what the process wrote, or its crash report.
func (v *voice) last() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	// Each line was redacted when it came; a secret of several lines is seen whole only here.
	return string(v.redact(bytes.TrimRight(lastBytes(v.tail, tailBytes), "\n")))
}

// lastBytes returns at most n bytes of the end of text, from the beginning of a line on.
func lastBytes(text []byte, n int) []byte {
	if len(text) <= n {
		return text
	}
	text = text[len(text)-n:]
	if _, rest, ok := bytes.Cut(text, []byte("\n")); ok {
		return rest
	}
	return text
}
