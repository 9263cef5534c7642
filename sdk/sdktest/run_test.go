package sdktest

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/protocol"
)

// recorder is a testing.TB that keeps what a failed test would say.
type recorder struct {
	testing.TB
	message string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) { r.message = fmt.Sprintf(format, args...) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// message runs a test and returns what it says when it fails.
func message(t *testing.T, test func(t testing.TB)) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(r)
	}()
	<-done
	return r.message
}

type lineFunc func(l *sdk.Line) error

func (f lineFunc) Line(_ context.Context, l *sdk.Line) error { return f(l) }

// pluginOf makes a plugin that calls start for each job.
func pluginOf(start func() lineFunc) sdk.Plugin {
	return sdk.Plugin{Name: "test", Processor: sdk.Lines(func(context.Context, sdk.Job, struct{}) (lineFunc, error) {
		return start(), nil
	})}
}

func TestAssertLinesShowsTheDifference(t *testing.T) {
	result := &Result{Lines: Lines("a", "b", "c")}
	if got := message(t, func(t testing.TB) { AssertLines(t, result, "a", "b", "c") }); got != "" {
		t.Errorf("equal lines: %s", got)
	}
	got := message(t, func(t testing.TB) { AssertLines(t, result, "a", "x", "c", "d") })
	want := "the lines that came out are not those wanted:\n" +
		"     1  \"a\"\n" +
		"-    2  \"b\"\n" +
		"+    2  \"x\"\n" +
		"     3  \"c\"\n" +
		"+    4  \"d\"\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReplayFindsForgottenState(t *testing.T) {
	p := pluginOf(func() lineFunc {
		count := 0
		return func(l *sdk.Line) error {
			count++
			l.Splice(0, 0, fmt.Append(nil, count))
			return nil
		}
	})
	got := message(t, func(t testing.TB) { Replay(t, p, Job{}, Lines("a", "b")...) })
	want := `broken off after line 1 and gone on with from a checkpoint of 0 bytes: line 2 is "1b" of stdout; undisturbed it is "2b" of stdout`
	if !strings.Contains(got, want) {
		t.Errorf("got %q, want it to hold %q", got, want)
	}
}

func TestLongLinesComeInPieces(t *testing.T) {
	var sizes []int
	p := pluginOf(func() lineFunc {
		return func(l *sdk.Line) error {
			size := len(l.Bytes())
			if l.Partial() {
				size = -size
			}
			sizes = append(sizes, size)
			return nil
		}
	})
	long := strings.Repeat("x", 2*protocol.MaxRecordBytes+1)
	result := Run(t, p, Job{}, Lines("a", long, "b")...)
	AssertLines(t, result, "a", long, "b")
	if got, want := fmt.Sprint(sizes), fmt.Sprint([]int{1, -protocol.MaxRecordBytes, -protocol.MaxRecordBytes, 1, 1}); got != want {
		t.Errorf("the pieces have %s bytes, want %s", got, want)
	}
}

func TestJoin(t *testing.T) {
	part := func(text string) Line { return Line{Text: text, Partial: true} }
	onStderr := Line{Text: "on stderr", Stream: sdk.Stderr}
	for name, c := range map[string]struct {
		records []edited
		want    []string
	}{
		"two streams": {
			[]edited{{Line: part("a")}, {Line: onStderr}, {Line: part("b")}, {Line: Line{Text: "c"}}, {Line: Line{Text: "d"}}},
			[]string{"abc", "on stderr", "d"},
		},
		"put in after a piece": {
			[]edited{{Line: part("a"), inserts: append(Lines("x", "y"), onStderr)}, {Line: Line{Text: "b"}, inserts: Lines("z")}},
			[]string{"ab", "on stderr", "x", "y", "z"},
		},
		"last piece dropped": {
			[]edited{{Line: part("a")}, {Line: Line{Text: "b"}, dropped: true}, {Line: Line{Text: "c"}}},
			[]string{"a", "c"},
		},
		"all pieces dropped": {
			[]edited{{Line: part("a"), dropped: true, inserts: Lines("x")}, {Line: Line{Text: "b"}, dropped: true}, {Line: Line{Text: "c"}}},
			[]string{"x", "c"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			AssertLines(t, &Result{Lines: join(c.records)}, c.want...)
		})
	}
}

func TestBatchesFitTheProtocol(t *testing.T) {
	var lines []Line
	for i := range 5000 {
		lines = append(lines, Line{Text: strings.Repeat("x", i%300)})
	}
	lines = append(lines, Line{Text: strings.Repeat("y", protocol.MaxRecordBytes)}, Line{Step: "other"},
		Line{Step: "other", Stream: sdk.Outcome}, Line{Step: "other", Stream: sdk.Stderr})
	next := uint64(1)
	for _, b := range pack(records(lines), protocol.MaxBatchLines) {
		if b.FirstSeq != next || len(b.Ends) > protocol.MaxBatchLines || proto.Size(b) > protocol.MaxBatchBytes {
			t.Errorf("batch at %d: %d lines, %d bytes", b.FirstSeq, len(b.Ends), proto.Size(b))
		}
		for _, l := range unpack(b) {
			if first := unpack(b)[0]; outcome(l) != outcome(first) {
				t.Errorf("batch at %d: %v and %v", b.FirstSeq, first.Stream, l.Stream)
			}
		}
		next += uint64(len(b.Ends))
	}
	if next != uint64(len(lines))+1 {
		t.Errorf("%d lines became %d", len(lines), next-1)
	}
}
