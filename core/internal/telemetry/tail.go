package telemetry

import "sync"

const (
	// tailLines is how many lines of a job's log go into its report: as many as with opslevel-runner.
	tailLines = 20
	// maxTailLine bounds one of them in bytes; with that a tail has 20 KiB at most.
	maxTailLine = 1 << 10
)

// Tail keeps the last lines of a job's log. It is safe for concurrent use; a nil one keeps nothing.
type Tail struct {
	redact func(string) string

	mu    sync.Mutex
	lines []string
	// next is where the next line goes, once there are tailLines.
	next int
}

// Tail returns one for a job's log; redact takes the job's sensitive values out of its lines, and may be nil. It is nil
// when nothing is reported.
func (r *Reports) Tail(redact func(string) string) *Tail {
	if r == nil {
		return nil
	}
	if redact == nil {
		redact = r.redact
	}
	return &Tail{redact: redact}
}

// Add adds lines, which are the caller's again afterwards.
func (t *Tail) Add(lines [][]byte) {
	if t == nil {
		return
	}
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, line := range lines {
		// A value that the cut goes through is not found any more, so what is sensitive is taken out first.
		text := cut(t.redact(string(line)), maxTailLine)
		if len(t.lines) < tailLines {
			t.lines = append(t.lines, text)
			continue
		}
		t.lines[t.next] = text
		t.next = (t.next + 1) % tailLines
	}
}

// Lines returns the lines, the oldest first.
func (t *Tail) Lines() []string {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return append(append([]string(nil), t.lines[t.next:]...), t.lines[:t.next]...)
}
