package faktory

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

// boot reads what a server says while it comes up. That its port answers is not enough: the port may be that of another
// server, and one that finds its port taken ends with exit code 0.
type boot struct {
	// log takes all that the server says; nil: nothing does.
	log io.Writer
	// ready is closed when the server listens at its own addresses.
	ready chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
	up   bool
}

// maxBoot is how much is read at most: a server that is up has said a few lines.
const maxBoot = 64 << 10

func newBoot(log io.Writer) *boot { return &boot{log: log, ready: make(chan struct{})} }

// Write takes a piece of what the server says.
func (b *boot) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.text.Len() < maxBoot {
		b.text.Write(p)
	}
	// The last thing that a server says when it comes up is where its page is.
	if !b.up && bytes.Contains(b.text.Bytes(), []byte("Web server now listening at")) {
		b.up = true
		close(b.ready)
	}
	if b.log == nil {
		return len(p), nil
	}
	return b.log.Write(p)
}

// complaints are the errors that the server has named so far: that its page has no port is only one of those.
func (b *boot) complaints() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []string
	for line := range strings.Lines(b.text.String()) {
		if level, rest, ok := strings.Cut(line, " "); ok && (level == "E" || level == "F") {
			list = append(list, strings.TrimSpace(rest))
		}
	}
	if len(list) == 0 {
		return nil
	}
	return fmt.Errorf("it says: %s", strings.Join(list, "; "))
}
