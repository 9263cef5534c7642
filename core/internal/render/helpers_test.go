package render

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/podrunner/runner/core/internal/engine"
	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// batch makes a batch of words: "text" is stdout, "!text" stderr, and a "…" at the end means partial.
func batch(step string, words ...string) *record.Batch {
	var b record.Builder
	for i, word := range words {
		r := record.Record{Time: time.Date(2026, 1, 2, 3, 4, 5, i*1000, time.UTC).UnixNano()}
		if rest, ok := strings.CutPrefix(word, "!"); ok {
			r.Flags, word = r.Flags|record.Stderr, rest
		}
		if rest, ok := strings.CutSuffix(word, "…"); ok {
			r.Flags, word = r.Flags|record.Partial, rest
		}
		r.Text = []byte(word)
		b.Add(step, r)
	}
	return b.Take()
}

// scene is a run to be shown: a slice of executor.Status, *record.Batch, time.Duration to pass, and at last an
// engine.Summary.
type scene []any

func (s scene) play(t *testing.T, r Renderer) {
	t.Helper()
	for _, event := range s {
		var err error
		switch e := event.(type) {
		case executor.Status:
			r.Status(e)
		case *record.Batch:
			err = r.Records(e)
		case time.Duration:
			time.Sleep(e)
		case engine.Summary:
			err = r.Summary(e)
		default:
			t.Fatalf("unknown event %T", e)
		}
		if err != nil {
			t.Error(err)
		}
	}
	r.Close()
	r.Close()
}

// golden compares with a golden file. Escape sequences are written out, so that a person can read the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	got = strings.NewReplacer("\x1b", "<ESC>", "\r", "<CR>").Replace(got)
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), run with -update when it is right:\n%s", path, diff)
	}
}

// terminal is a terminal that both streams are: what is written to it in the order of writing.
type terminal struct{ bytes.Buffer }

func code(n int) *int { return &n }

// summaries are the ways in which a job may end.
var summaries = map[string]engine.Summary{
	"success": {
		Result: job.Result{Outcome: job.Success, ExitCode: code(0)}, Records: 14,
		Pending: 412 * time.Millisecond, Running: 63*time.Second + 123456*time.Microsecond, Total: 64 * time.Second,
	},
	"variables": {
		Result: job.Result{Outcome: job.Success, ExitCode: code(0), Variables: []job.OutcomeVariable{
			{Key: "hello-world", Value: []byte("42")},
			{Key: "empty"},
			{Key: "lines", Value: []byte("one\ntwo\n")},
			{Key: "spaces", Value: []byte(" a b ")},
			{Key: "umlaut", Value: []byte("Größe ✓")},
			{Key: "bytes", Value: []byte("\xff\x00")},
			{Key: "escape", Value: []byte("\x1b[2J\u009b2Jgone")},
			{Key: "sideways", Value: []byte("a\u202eb")},
			{Key: "key\x1b[2J", Value: []byte("v")},
		}},
	},
	"exit code": {
		Result: job.Result{Outcome: job.Failed, Reason: job.ReasonExit, Message: "the commands ended with exit code 3", ExitCode: code(3)}, Records: 1,
	},
	"canceled": {
		Result: job.Result{Outcome: job.Canceled, Reason: job.ReasonCanceled, Message: "the job was canceled"},
	},
	"hostile message": {
		Result: job.Result{Outcome: job.Failed, Reason: "odd\nreason", Message: "first\nsecond\x1b[1A\x1b[2Koutcome    success"},
	},
}
