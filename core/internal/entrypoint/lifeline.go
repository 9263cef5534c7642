package entrypoint

import (
	"bufio"
	"io"
	"strings"
	"time"
)

// lifeline is the connection to whoever wants the step.
type lifeline struct {
	// cancel gets the grace of each request to end the step. It is closed when there is nobody any more.
	cancel chan time.Duration
}

// followLifeline reads the lifeline until its end. There is no way to stop it before; the process does not outlive it.
func followLifeline(r io.Reader) lifeline {
	l := lifeline{cancel: make(chan time.Duration)}
	go func() {
		defer close(l.cancel)
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			if grace, ok := parseCancel(lines.Text()); ok {
				l.cancel <- grace
			}
		}
	}()
	return l
}

// CancelLine is what a lifeline says to end the step.
func CancelLine(grace time.Duration) string { return "cancel " + grace.String() + "\n" }

func parseCancel(line string) (time.Duration, bool) {
	text, ok := strings.CutPrefix(line, "cancel ")
	if !ok {
		return 0, false
	}
	grace, err := time.ParseDuration(text)
	return grace, err == nil && grace >= 0
}
