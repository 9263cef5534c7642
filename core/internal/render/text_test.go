package render

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podrunner/runner/core/internal/engine"
	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/record"
)

var (
	notUsed = executor.Status{Phase: executor.Pending, Reason: "ImageNotUsed", Message: `the image "alpine" is not used`}
	pulling = executor.Status{Phase: executor.Pending, Reason: "ImagePull", Message: "pulling\x1b[2J alpine"}
	running = executor.Status{Phase: executor.Running, Message: "step job"}
	done    = executor.Status{Phase: executor.Done}

	// wholeRun is a run from its first status to its summary.
	wholeRun = scene{
		notUsed, 500 * time.Millisecond, pulling, 250 * time.Millisecond, running,
		batch(record.StepInit, "preparing"),
		batch(record.StepJob, "first", "!a warning", "", "\x1b[32mgreen\x1b[0m, as the job wants it"),
		time.Second, done, summaries["success"],
	}
)

func TestText(t *testing.T) {
	for name, live := range map[string]bool{"piped": false, "terminal": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var both terminal
				var out, err bytes.Buffer
				options := TextOptions{Out: &out, Err: &err}
				if live {
					options = TextOptions{Out: &both, Err: &both, Color: true, Live: true}
				}
				wholeRun.play(t, NewText(options))
				if live {
					golden(t, "text-terminal", both.String())
					return
				}
				golden(t, "text-piped-out", out.String())
				golden(t, "text-piped-err", err.String())
			})
		})
	}
}

// TestTextOfPieces has long lines of both streams that come in pieces, mixed. Each is one line of output.
func TestTextOfPieces(t *testing.T) {
	for _, test := range []struct {
		name  string
		words []string
		want  string
	}{
		{"a line in pieces", []string{"a…", "b…", "c", "d"}, "abc\nd\n"},
		{"with an empty last piece", []string{"a…", "", "d"}, "a\nd\n"},
		{"the other stream waits", []string{"a…", "!x", "!y", "b", "c"}, "ab\nx\ny\nc\n"},
		{"both in pieces, the first ends first", []string{"a…", "!x…", "b", "!y", "c"}, "ab\nxy\nc\n"},
		{"both in pieces, the second ends first", []string{"a…", "!x…", "!y", "b", "c"}, "ab\nxy\nc\n"},
		{"the second is open when the first ends", []string{"a…", "!x…", "b", "c", "!y", "d"}, "ab\nxy\nc\nd\n"},
		{"one after the other", []string{"a…", "!x…", "b", "c…", "!y", "d"}, "ab\nxy\ncd\n"},
		{"stderr first", []string{"!x…", "a…", "!y", "b"}, "xy\nab\n"},
	} {
		for _, size := range []int{1, len(test.words)} {
			t.Run(test.name, func(t *testing.T) {
				var out bytes.Buffer
				text := NewText(TextOptions{Out: &out, Err: io.Discard})
				for words := test.words; len(words) > 0; words = words[size:] {
					if err := text.Records(batch(record.StepJob, words[:size]...)); err != nil {
						t.Fatal(err)
					}
				}
				if out.String() != test.want {
					t.Errorf("got %q, want %q", out.String(), test.want)
				}
			})
		}
	}
}

// TestTextHoldsOnlySoMuch: beyond a bound the lines that wait are shown, and the long line goes on on another line.
func TestTextHoldsOnlySoMuch(t *testing.T) {
	var out bytes.Buffer
	text := NewText(TextOptions{Out: &out, Err: io.Discard})
	line := strings.Repeat("x", 30<<10)
	if err := text.Records(batch(record.StepJob, "a…")); err != nil {
		t.Fatal(err)
	}
	n := maxHeldBytes/len(line) + 1
	for range n {
		if err := text.Records(batch(record.StepJob, "!"+line)); err != nil {
			t.Fatal(err)
		}
		if text.held.Len() > maxHeldBytes {
			t.Fatalf("%d bytes are held", text.held.Len())
		}
	}
	if err := text.Records(batch(record.StepJob, "b", "c")); err != nil {
		t.Fatal(err)
	}
	if want := "a\n" + strings.Repeat(line+"\n", n) + "b\nc\n"; out.String() != want {
		t.Errorf("got %d bytes that end in %.20q, want %d", out.Len(), out.String()[out.Len()-20:], len(want))
	}
}

func TestSummary(t *testing.T) {
	for name, summary := range summaries {
		t.Run(name, func(t *testing.T) {
			var plain, live bytes.Buffer
			scene{summary}.play(t, NewText(TextOptions{Out: io.Discard, Err: &plain}))
			scene{summary}.play(t, NewText(TextOptions{Out: io.Discard, Err: &live, Live: true}))
			golden(t, "summary-"+strings.ReplaceAll(name, " ", "-"), plain.String()+"--- on a terminal"+live.String())
		})
	}
}

// TestCloseWithNoSummary: a run that comes to no summary leaves no line of progress behind.
func TestCloseWithNoSummary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var err bytes.Buffer
		scene{pulling, time.Second}.play(t, NewText(TextOptions{Out: io.Discard, Err: &err, Live: true}))
		if text := err.String(); strings.Count(text, wipe) < 2 || !strings.HasSuffix(text, "alpine\""+reset+"\n") {
			t.Errorf("it ends in %q", text[max(0, len(text)-40):])
		}
	})
}

// broken is a writer that is full.
type broken struct{}

var errFull = errors.New("no space left on device")

func (broken) Write([]byte) (int, error) { return 0, errFull }

func TestWriteErrors(t *testing.T) {
	for name, r := range map[string]Renderer{
		"text": NewText(TextOptions{Out: broken{}, Err: broken{}}),
		"json": NewJSON(broken{}),
	} {
		t.Run(name, func(t *testing.T) {
			r.Status(running)
			if err := (Sink{r}).Write(t.Context(), batch(record.StepJob, "a"), 1, func(uint64) { t.Error("acknowledged") }); !errors.Is(err, errFull) {
				t.Errorf("records: %v", err)
			}
			if err := r.Summary(engine.Summary{}); !errors.Is(err, errFull) {
				t.Errorf("summary: %v", err)
			}
		})
	}
}

// TestReaderStandsStill: what is shown can't be called back, but the run ends all the same when its time is over.
func TestReaderStandsStill(t *testing.T) {
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancelCause(t.Context())
	late := errors.New("too late")
	time.AfterFunc(0, func() { cancel(late) })
	for name, r := range map[string]Renderer{
		"text": NewText(TextOptions{Out: writer, Err: io.Discard, Live: true}),
		"json": NewJSON(writer),
	} {
		err := (Sink{r}).Write(ctx, batch(record.StepJob, "a"), 1, func(uint64) { t.Error("acknowledged") })
		if !errors.Is(err, late) {
			t.Errorf("%s: %v", name, err)
		}
		r.Close()
	}
	_ = reader.Close()
}

func TestSinkAcknowledges(t *testing.T) {
	var got []uint64
	note := func(n uint64) { got = append(got, n) }
	sink := Sink{NewJSON(io.Discard)}
	if err := errors.Join(
		sink.Write(t.Context(), batch(record.StepJob, "a"), 1, note),
		sink.Write(t.Context(), nil, 5, note),
		sink.Flush(t.Context()),
	); err != nil || len(got) != 2 || got[1] != 5 {
		t.Errorf("acknowledged %v, %v", got, err)
	}
}
