package sdk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

type none struct{}

// lineFunc is a LineProcessor of one function.
type lineFunc func(ctx context.Context, line *sdk.Line) error

func (f lineFunc) Line(ctx context.Context, line *sdk.Line) error { return f(ctx, line) }

// batchFunc is a BatchProcessor of one function.
type batchFunc func(ctx context.Context, batch *sdk.Batch) error

func (f batchFunc) Batch(ctx context.Context, batch *sdk.Batch) error { return f(ctx, batch) }

func linePlugin(f lineFunc) sdk.Plugin {
	return sdk.Plugin{Name: "test", Processor: sdk.Lines(func(context.Context, sdk.Job, none) (lineFunc, error) {
		return f, nil
	})}
}

func batchPlugin(f batchFunc) sdk.Plugin {
	return sdk.Plugin{Name: "test", Processor: sdk.Batches(func(context.Context, sdk.Job, none) (batchFunc, error) {
		return f, nil
	})}
}

func TestLineEdits(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(l *sdk.Line)
		want []string
	}{
		"none":                 {func(*sdk.Line) {}, []string{"hello", "world"}},
		"replace":              {func(l *sdk.Line) { l.Replace([]byte("x")) }, []string{"x", "x"}},
		"replace with nothing": {func(l *sdk.Line) { l.Replace(nil) }, []string{"", ""}},
		"prefix":               {func(l *sdk.Line) { l.Splice(0, 0, []byte("> ")) }, []string{"> hello", "> world"}},
		"suffix":               {func(l *sdk.Line) { l.Splice(5, 0, []byte("!")) }, []string{"hello!", "world!"}},
		"splices in any order": {func(l *sdk.Line) {
			l.Splice(4, 1, []byte("Z"))
			l.Splice(0, 1, []byte("AA"))
			l.Splice(2, 0, []byte("-"))
		}, []string{"AAe-llZ", "AAo-rlZ"}},
		"splices at one offset": {func(l *sdk.Line) {
			l.Splice(0, 0, []byte("1"))
			l.Splice(0, 0, []byte("2"))
			l.Splice(0, 5, []byte("3"))
		}, []string{"123", "123"}},
		"drop":       {func(l *sdk.Line) { l.Drop() }, nil},
		"drop twice": {func(l *sdk.Line) { l.Drop(); l.Drop() }, nil},
		"insert": {func(l *sdk.Line) {
			l.InsertAfter(sdk.Stdout, []byte("a"))
			l.InsertAfter(sdk.Stderr, []byte("b"))
		}, []string{"hello", "a", "b", "world", "a", "b"}},
		"everything, backwards": {func(l *sdk.Line) {
			l.InsertAfter(sdk.Stdout, []byte("in place"))
			l.Drop()
			l.Splice(1, 1, []byte("x"))
		}, []string{"in place", "in place"}},
		"one line of two": {func(l *sdk.Line) {
			if string(l.Bytes()) == "world" {
				l.Splice(0, 1, []byte("W"))
			}
		}, []string{"hello", "World"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := linePlugin(func(_ context.Context, l *sdk.Line) error { c.edit(l); return nil })
			sdktest.AssertLines(t, sdktest.Run(t, p, sdktest.Job{}, sdktest.Lines("hello", "world")...), c.want...)
		})
	}
}

func TestBatchEditsInAnyOrderOfLines(t *testing.T) {
	p := batchPlugin(func(_ context.Context, b *sdk.Batch) error {
		for i := b.Len() - 1; i >= 0; i-- {
			b.InsertAfter(i, sdk.Stdout, []byte("after "+strconv.Itoa(i)))
			b.Splice(i, 0, 0, []byte(strconv.Itoa(i)+":"))
		}
		b.Drop(1)
		return nil
	})
	result := sdktest.Run(t, p, sdktest.Job{}, sdktest.Lines("a", "b", "c")...)
	sdktest.AssertLines(t, result, "0:a", "after 0", "after 1", "2:c", "after 2")
}

func TestLineProperties(t *testing.T) {
	at := time.Date(2020, 2, 3, 4, 5, 6, 7, time.UTC)
	var got []string
	p := linePlugin(func(_ context.Context, l *sdk.Line) error {
		got = append(got, fmt.Sprintf("%d %s %s %q %v %s", l.Seq(), l.Step(), l.Stream(), l.Bytes(), l.Partial(),
			l.Time().UTC().Format(time.RFC3339Nano)))
		return nil
	})
	sdktest.Run(t, p, sdktest.Job{},
		sdktest.Line{Text: "a", Step: "init", Time: at},
		sdktest.Line{Text: "b", Stream: sdk.Stderr, Time: at.Add(time.Hour), Partial: true},
		sdktest.Line{Text: "", Stream: sdk.Stderr, Time: at.Add(-time.Hour)},
		sdktest.Line{Text: "k=v", Stream: sdk.Outcome, Time: at},
	)
	want := []string{
		`1 init stdout "a" false 2020-02-03T04:05:06.000000007Z`,
		`2 job stderr "b" true 2020-02-03T05:05:06.000000007Z`,
		`3 job stderr "" false 2020-02-03T03:05:06.000000007Z`,
		`4 job outcome "k=v" false 2020-02-03T04:05:06.000000007Z`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestBatchAsAWhole(t *testing.T) {
	p := batchPlugin(func(_ context.Context, b *sdk.Batch) error {
		start := uint32(0)
		for i, end := range b.Ends() {
			if !bytes.Equal(b.Data()[start:end], b.Bytes(i)) || cap(b.Bytes(i)) != len(b.Bytes(i)) {
				return fmt.Errorf("line %d is %q", i, b.Bytes(i))
			}
			start = end
			if l := b.Line(i); l.Seq() != b.FirstSeq()+uint64(i) || b.Flags(i) != 0 {
				return errors.New("properties")
			}
		}
		return nil
	})
	sdktest.Run(t, p, sdktest.Job{}, sdktest.Lines("a", "", "ccc")...)
}

// TestMistakes makes wrong edits; each ends the job with an error that says where.
func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(l *sdk.Line)
		want string
	}{
		"offset outside":     {func(l *sdk.Line) { l.Splice(6, 0, nil) }, "line 1, 0 bytes at offset 6: the line has 5 bytes"},
		"negative offset":    {func(l *sdk.Line) { l.Splice(-1, 0, nil) }, "at offset -1"},
		"removed outside":    {func(l *sdk.Line) { l.Splice(3, 3, nil) }, "3 bytes at offset 3"},
		"huge":               {func(l *sdk.Line) { l.Splice(1, int(^uint(0)>>1), nil) }, "at offset 1"},
		"line end in text":   {func(l *sdk.Line) { l.Replace([]byte("a\nb")) }, "holds a line end"},
		"line end in insert": {func(l *sdk.Line) { l.InsertAfter(sdk.Stdout, []byte("a\n")) }, "holds a line end"},
		"insert of no line":  {func(l *sdk.Line) { l.InsertAfter(sdk.Outcome, nil) }, "no line can be added to the outcome file"},
		"overlap":            {func(l *sdk.Line) { l.Splice(0, 3, nil); l.Splice(2, 2, nil) }, "splices of line 1 overlap"},
		"overlap, backwards": {func(l *sdk.Line) { l.Splice(2, 2, nil); l.Splice(0, 3, nil) }, "splices of line 1 overlap"},
		"replaced twice":     {func(l *sdk.Line) { l.Replace(nil); l.Replace(nil) }, "splices of line 1 overlap"},
		"too much text": {func(l *sdk.Line) {
			for range 20 {
				l.InsertAfter(sdk.Stdout, make([]byte, 1<<20))
			}
		}, "more than 12 MiB"},
		"panic": {func(*sdk.Line) { panic("ouch") }, "panic: ouch"},
	} {
		t.Run(name, func(t *testing.T) {
			p := linePlugin(func(_ context.Context, l *sdk.Line) error { c.edit(l); return nil })
			if err := failure(t, p, sdktest.Job{}, sdktest.Lines("hello")...); !strings.Contains(err, c.want) {
				t.Errorf("got %q, want it to hold %q", err, c.want)
			}
		})
	}
}

func TestErrorNamesTheLine(t *testing.T) {
	p := linePlugin(func(_ context.Context, l *sdk.Line) error {
		if l.Seq() == 2 {
			return errors.New("cannot")
		}
		return nil
	})
	if err := failure(t, p, sdktest.Job{}, sdktest.Lines("a", "b")...); !strings.Contains(err, "line 2: cannot") {
		t.Errorf("got %q", err)
	}
}

// failure runs a job that must fail and returns what Run says.
func failure(t *testing.T, p sdk.Plugin, job sdktest.Job, lines ...sdktest.Line) string {
	t.Helper()
	f := &fatal{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		sdktest.Run(f, p, job, lines...)
	}()
	<-done
	if f.message == "" {
		t.Fatal("Run did not fail")
	}
	return f.message
}
