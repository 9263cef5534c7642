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

// TestPumpAfterTheEnd: somebody beyond reach goes on to write to stderr when its pump has ended, and the pump of stdout takes
// that along. The start of a line that was kept already is not kept again.
func TestPumpAfterTheEnd(t *testing.T) {
	dir := t.TempDir()
	to, err := spool.NewWriter(dir, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var from, ends [2]*os.File
	for i := range from {
		if from[i], ends[i], err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
		defer from[i].Close() //nolint:errcheck // it is only read
		defer ends[i].Close() //nolint:errcheck // see below
	}
	write := func(i int, text string) {
		t.Helper()
		if _, err := ends[i].WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	pumps := newPumps(from[0], from[1], to, func(err error) { t.Error(err) })
	write(1, "start")
	if err := from[1].SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	pumps[1].run(t.Context())
	write(1, "more\n")
	write(0, "out\n")
	_ = ends[0].Close()
	pumps[0].run(t.Context())
	if err := to.Finish(spool.Exit{Finished: time.Now()}); err != nil {
		t.Fatal(err)
	}
	r, err := spool.NewReader(dir, "job", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // the test is over
	batch, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range batch.All {
		got = append(got, string(line.Text))
	}
	if strings.Join(got, "|") != "start|more|out" {
		t.Errorf("got %q", got)
	}
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
