package entrypoint

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/spool"
)

// TestPumpsAtTheEnd: when the shell has ended, the deadline of its pipes is set, and set again at each event after that. What
// the shell has printed at the last moment is kept, whenever that happens.
func TestPumpsAtTheEnd(t *testing.T) {
	for i := range 200 {
		text := fmt.Sprint("the last words of step ", i)
		if got := pumped(t, text); !strings.Contains(got, text) {
			t.Fatalf("of %q, %q was kept", text, got)
		}
	}
}

// pumped returns what is kept of a text that is in the pipe of stdout when a deadline is set again and again.
func pumped(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	out, err := spool.NewWriter(dir, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var pipes [2]*os.File
	for i := range pipes {
		from, to, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer from.Close() //nolint:errcheck // it is only read
		pipes[i] = from
		if i == 0 {
			_, err = to.WriteString(text + "\n")
		}
		// Somebody beyond reach holds the other end.
		defer to.Close() //nolint:errcheck // see above
		if err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	pumps := newPumps(pipes[0], pipes[1], out, func(err error) { t.Error(err) })
	again, cancel := context.WithCancel(t.Context())
	go func() {
		for again.Err() == nil {
			for _, p := range pipes {
				_ = p.SetReadDeadline(time.Now())
			}
		}
	}()
	for _, p := range pumps {
		go func() {
			p.run(t.Context())
			done <- struct{}{}
		}()
	}
	<-done
	<-done
	cancel()
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return contents(t, dir)
}

// contents returns the bytes of all files of a folder.
func contents(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(dir + "/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
