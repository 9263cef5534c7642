package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

func TestEdits(t *testing.T) {
	long := strings.Repeat("0123456789", record.MaxBytes/10)
	tests := []struct {
		name string
		in   []string
		edit func(e *editor, seq uint64, text string)
		want []string
	}{
		{
			name: "none", in: []string{"a", "", "!b"},
			edit: func(*editor, uint64, string) {},
			want: []string{"a", "", "!b"},
		},
		{
			name: "splices keep stream and order", in: []string{"a", "", "!b"},
			edit: func(e *editor, seq uint64, text string) { e.splice(seq, 0, 0, "<"); e.splice(seq, len(text), 0, ">") },
			want: []string{"<a>", "<>", "!<b>"},
		},
		{
			name: "a splice removes", in: []string{"hello"},
			edit: func(e *editor, seq uint64, _ string) { e.splice(seq, 1, 3, "") },
			want: []string{"ho"},
		},
		{
			name: "drop", in: []string{"a", "b", "c"},
			edit: func(e *editor, seq uint64, _ string) {
				if seq != 2 {
					e.drop(seq)
				}
			},
			want: []string{"b"},
		},
		{
			name: "drop everything", in: []string{"a", "b"},
			edit: func(e *editor, seq uint64, _ string) { e.drop(seq) },
		},
		{
			name: "inserts follow, a dropped record's too", in: []string{"a", "b"},
			edit: func(e *editor, seq uint64, text string) {
				if text == "a" {
					e.splice(seq, 0, 1, "never seen")
					e.drop(seq)
				}
				e.insert(seq, "!"+text+"1")
				e.insert(seq, text+"2")
			},
			want: []string{"!a1", "a2", "b", "!b1", "b2"},
		},
		{
			name: "a record that grows too long is cut", in: []string{long, "next"},
			edit: func(e *editor, seq uint64, _ string) { e.splice(seq, 0, 0, "prefix ") },
			want: []string{"prefix " + long[:record.MaxBytes-7] + "…", long[record.MaxBytes-7:], "prefix next"},
		},
		{
			name: "an inserted line of any length", in: []string{"a", "b"},
			edit: func(e *editor, seq uint64, text string) {
				if text == "a" {
					e.insert(seq, long+"rest")
				}
			},
			want: []string{"a", long + "…", "rest", "b"},
		},
		{
			name: "an insert in a line that is open waits for its end", in: []string{"a…", "!x", "b…", "c", "d"},
			edit: func(e *editor, seq uint64, text string) {
				if text == "a" {
					e.insert(seq, "new")
					e.insert(seq, "!now")
				}
			},
			want: []string{"a…", "!now", "!x", "b…", "c", "new", "d"},
		},
		{
			name: "the last piece is dropped: the line is closed", in: []string{"a…", "b", "c"},
			edit: func(e *editor, seq uint64, text string) {
				if text == "b" {
					e.drop(seq)
				}
			},
			want: []string{"a…", "", "c"},
		},
		{
			name: "all pieces are dropped", in: []string{"a…", "b", "c"},
			edit: func(e *editor, seq uint64, text string) {
				if text != "c" {
					e.drop(seq)
				}
			},
			want: []string{"c"},
		},
	}
	for _, tt := range tests {
		for _, size := range []int{1, 2, 100} {
			t.Run(fmt.Sprintf("%s/%d", tt.name, size), func(t *testing.T) {
				got, _ := runStages(t, logOf(size, tt.in...), stageOf(t, "edit", editing(tt.edit)))
				equal(t, got, tt.want)
			})
		}
	}
}

func TestChainKeepsOrderAndCount(t *testing.T) {
	in := numbered(20_000)
	var want []string
	for i, w := range in {
		if i%3 != 0 {
			want = append(want, "2: 1: "+w)
		}
	}
	got, result := runStages(t, logOf(500, in...),
		stageOf(t, "one", prefixing("1: ")),
		stageOf(t, "third", editing(func(e *editor, seq uint64, _ string) {
			if (seq-1)%3 == 0 {
				e.drop(seq)
			}
		})),
		stageOf(t, "two", prefixing("2: ")))
	equal(t, got, want)
	if result.Outcome != job.Success {
		t.Errorf("result is %+v", result)
	}
}

func TestEmptyLog(t *testing.T) {
	got, result := runStages(t, logOf(1), stageOf(t, "one", prefixing("1: ")), stageOf(t, "two", prefixing("2: ")))
	equal(t, got, nil)
	if result.Outcome != job.Success {
		t.Errorf("result is %+v", result)
	}
}

func TestNoStages(t *testing.T) {
	got, _ := runStages(t, logOf(2, "a", "b", "c"))
	equal(t, got, []string{"a", "b", "c"})
}

func TestLogClosesOpenLines(t *testing.T) {
	log := logOf(100, "a…", "!b…")
	log.batches = append(log.batches, logOf(100, "c…").batches...)
	log.batches[0].Step = record.StepInit
	got, _ := runStages(t, log, stageOf(t, "one", prefixing("")))
	equal(t, got, []string{"a…", "!b…", "", "!", "c…", ""})
}

func TestLogThatEndsEarlyIsInTheResult(t *testing.T) {
	log := logOf(100, "a")
	log.err = errors.New("the spool is gone")
	got, result := runStages(t, log, stageOf(t, "one", prefixing("1: ")))
	equal(t, got, []string{"1: a", "!1: [runner] early"})
	if result.Reason != job.ReasonInfrastructure || result.Message != "the spool is gone" {
		t.Errorf("result is %+v", result)
	}
}

func TestResultGoesThroughTheStagesInOrder(t *testing.T) {
	add := func(key string) func(int) *processor {
		return func(int) *processor {
			return &processor{finish: func(f *pluginv1.Finish) (*pluginv1.Finished, error) {
				r := f.GetResult()
				r.Message += key
				r.Variables = append(r.Variables, &pluginv1.Variable{Key: key, Value: []byte{0xff}})
				return &pluginv1.Finished{Result: r, Lines: []*pluginv1.FinalLine{{Line: []byte("end of " + key), Flags: 1}}}, nil
			}}
		}
	}
	got, result := runStages(t, logOf(1, "a"), stageOf(t, "x", add("x")), stageOf(t, "p", prefixing("p:")), stageOf(t, "y", add("y")))
	equal(t, got, []string{"p:a", "!p:end of x", "!end of y"})
	want := job.Result{
		Outcome: job.Success, Message: "xy",
		Variables: []job.OutcomeVariable{{Key: "x", Value: []byte{0xff}}, {Key: "y", Value: []byte{0xff}}},
	}
	if diff := cmp.Diff(want, result); diff != "" {
		t.Error(diff)
	}
}

// counting numbers the lines and keeps the number in its checkpoint. It crashes when crash says so, and refuses what does
// not go on where its checkpoint ends.
func counting(crash func(process int, seq uint64) bool) func(int) *processor {
	return func(process int) *processor {
		count := 0
		return &processor{
			open: func(o *pluginv1.Open) error {
				if len(o.GetCheckpoint()) > 0 {
					count, _ = strconv.Atoi(string(o.GetCheckpoint()))
				}
				if o.GetNextSeq() != uint64(count)+1 {
					return fmt.Errorf("next_seq is %d after a checkpoint at %d", o.GetNextSeq(), count)
				}
				return nil
			},
			batch: func(b *pluginv1.Batch) (*pluginv1.Result, error) {
				if b.GetFirstSeq() != uint64(count)+1 {
					return nil, fmt.Errorf("a batch begins at %d after record %d", b.GetFirstSeq(), count)
				}
				var e editor
				for i := range b.Ends {
					count++
					e.splice(b.FirstSeq+uint64(i), 0, 0, strconv.Itoa(count)+": ")
				}
				if crash(process, lastSeq(b)) {
					return nil, errCrash
				}
				return &pluginv1.Result{
					AckThrough: lastSeq(b), Edits: &e.edits, Checkpoint: []byte(strconv.Itoa(count)),
				}, nil
			},
		}
	}
}

func TestCrashChangesNothing(t *testing.T) {
	in := numbered(30_000)
	want := make([]string, len(in))
	for i, w := range in {
		want[i] = fmt.Sprintf("%d: %d: %s", i+1, i+1, w)
	}
	// Each processor crashes once after every few batches: by an error of the stream, or with its whole process.
	crasher := func(kill func()) func(int, uint64) bool {
		seen := map[uint64]bool{}
		return func(_ int, seq uint64) bool {
			if crash := seq/400%5 == 0 && !seen[seq]; !crash {
				return false
			}
			seen[seq] = true
			kill()
			return true
		}
	}
	var hosts [2]*host
	first := stageOf(t, "one", counting(crasher(func() { hosts[0].kill() })))
	first.Checkpoints = true
	second := stageOf(t, "two", counting(crasher(func() {})))
	second.Checkpoints = true
	for i, s := range []Stage{first, second} {
		hosts[i], _ = s.Connector.(*host)
	}
	got, _ := runStages(t, logOf(500, in...), first, second)
	equal(t, got, want)
	if hosts[0].starts < 5 {
		t.Errorf("the processor was started only %d times: the test tests nothing", hosts[0].starts)
	}
}

func TestBackPressure(t *testing.T) {
	log := logOf(512, numbered(100_000)...)
	sink := &collector{gate: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	opts := options(log, sink, stageOf(t, "one", prefixing("1: ")), stageOf(t, "two", prefixing("2: ")))
	go func() { _, err := Run(ctx, opts); done <- err }()
	for range 20 {
		sink.gate <- struct{}{}
	}
	reads := log.reads.Load()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
	// 20 writes took at most 20 batches away; the rest waits in two windows and a few hands.
	if limit := int64(20 + 2*(8+4) + 4); reads > limit {
		t.Errorf("%d batches were read while 20 were delivered, want at most %d", reads, limit)
	}
}

func TestSinkErrorEndsTheRun(t *testing.T) {
	want := errors.New("disk full")
	_, err := Run(t.Context(), options(logOf(1, "a"), &collector{err: want}, stageOf(t, "one", prefixing(""))))
	if !errors.Is(err, want) {
		t.Errorf("Run returned %v, want %v", err, want)
	}
}
