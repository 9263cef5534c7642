package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/podrunner/runner/core/internal/job"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// badAt answers wrongly when it sees a line.
func badAt(line string, answer func(*pluginv1.Batch) (*pluginv1.Result, error)) func(int) *processor {
	return func(int) *processor {
		return &processor{batch: func(b *pluginv1.Batch) (*pluginv1.Result, error) {
			for i := range b.Ends {
				if text(b, i) == line {
					return answer(b)
				}
			}
			return &pluginv1.Result{AckThrough: lastSeq(b)}, nil
		}}
	}
}

func crashing(*pluginv1.Batch) (*pluginv1.Result, error) { return nil, errCrash }

func TestOnError(t *testing.T) {
	const failed = `processor "bad" failed: rpc error: code = Unknown desc = crash`
	tests := []struct {
		name    string
		onError OnError
		redacts bool
		want    []string
		result  job.Result
		told    string
	}{
		{
			name: "fail", onError: Fail,
			want: []string{
				"p:a…", "p:", "!p:[runner] " + failed + "; the job is ended, and its log from here on is withheld",
				`!p:[runner] 256 lines are missing because processor "bad" failed`,
			},
			result: job.Result{
				Outcome: job.Failed, Reason: job.ReasonProcessor, Message: failed,
				Variables: []job.OutcomeVariable{{Key: "k", Value: []byte("v")}},
			},
			told: failed,
		},
		{
			name: "fail of a processor that redacts", onError: Fail, redacts: true,
			want: []string{
				"p:a…", "p:", "!p:[runner] " + failed + "; the job is ended, and its log from here on is withheld",
				`!p:[runner] 256 lines are missing because processor "bad" failed`,
			},
			result: job.Result{Outcome: job.Failed, Reason: job.ReasonProcessor, Message: failed},
			told:   failed,
		},
		{
			name: "pass", onError: Pass,
			want: slices.Concat(
				[]string{"p:a…", "!p:[runner] " + failed + "; the log from here on has not gone through it", "p:b", "p:poison"},
				slices.Repeat([]string{"p:c"}, 254)),
			result: job.Result{
				Outcome: job.Success, Message: "fine",
				Variables: []job.OutcomeVariable{{Key: "k", Value: []byte("v")}},
			},
		},
		{
			name: "drop", onError: Drop,
			want: []string{
				"p:a…", "p:", "!p:[runner] " + failed + "; the log from here on is withheld",
				`!p:[runner] 256 lines are missing because processor "bad" failed`,
			},
			result: job.Result{
				Outcome: job.Success, Message: "fine",
				Variables: []job.OutcomeVariable{{Key: "k", Value: []byte("v")}},
			},
		},
		{
			name: "drop of a processor that redacts", onError: Drop, redacts: true,
			want: []string{
				"p:a…", "p:", "!p:[runner] " + failed + "; the log from here on is withheld",
				`!p:[runner] 256 lines are missing because processor "bad" failed`,
			},
			result: job.Result{Outcome: job.Success, Message: failed},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bad := stageOf(t, "bad", badAt("poison", crashing))
			bad.OnError, bad.Redacts = tt.onError, tt.redacts
			sink, told := &collector{}, ""
			// The first batch is acknowledged; the second is large enough not to be gathered with it.
			log := logOf(1, "a…")
			log.batches = append(log.batches, logOf(256, append([]string{"b", "poison"}, slices.Repeat([]string{"c"}, 254)...)...).batches...)
			opts := options(log, sink, bad, stageOf(t, "p", prefixing("p:")))
			opts.Failed = func(_, text string) { told = text }
			opts.Result = func(context.Context, error) (job.Result, []string) {
				return job.Result{
					Outcome: job.Success, Message: "fine",
					Variables: []job.OutcomeVariable{{Key: "k", Value: []byte("v")}},
				}, nil
			}
			result, err := Run(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, sink.words); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.result, result); diff != "" {
				t.Error(diff)
			}
			if told != tt.told {
				t.Errorf("Failed was told %q, want %q", told, tt.told)
			}
			if log.acked.Load() != log.records() {
				t.Errorf("%d records are acknowledged, want %d", log.acked.Load(), log.records())
			}
		})
	}
}

func TestProtocolErrors(t *testing.T) {
	edited := func(change func(e *editor)) func(*pluginv1.Batch) (*pluginv1.Result, error) {
		return func(b *pluginv1.Batch) (*pluginv1.Result, error) {
			var e editor
			change(&e)
			return &pluginv1.Result{AckThrough: lastSeq(b), Edits: &e.edits}, nil
		}
	}
	tests := []struct {
		name   string
		answer func(*pluginv1.Batch) (*pluginv1.Result, error)
		want   string
	}{
		{"acknowledges nonsense", func(*pluginv1.Batch) (*pluginv1.Result, error) {
			return &pluginv1.Result{AckThrough: 99}, nil
		}, "it acknowledged record 99, which is not the last of a batch that waits for it"},
		{"acknowledges half a batch", func(b *pluginv1.Batch) (*pluginv1.Result, error) {
			return &pluginv1.Result{AckThrough: b.GetFirstSeq()}, nil
		}, "it acknowledged record 1, which is not the last of a batch that waits for it"},
		{"a checkpoint too large", func(b *pluginv1.Batch) (*pluginv1.Result, error) {
			return &pluginv1.Result{AckThrough: lastSeq(b), Checkpoint: make([]byte, protocol.MaxCheckpointBytes+1)}, nil
		}, "its checkpoint has 2097153 bytes, more than 2097152"},
		{"an edit of a record of the future", edited(func(e *editor) { e.drop(7) }), "an edit is for record 7, but records 1 to 2"},
		{"a splice outside of its record", edited(func(e *editor) { e.splice(1, 0, 100, "") }), "a splice of record 1 removes 100 bytes"},
		{"splices that overlap", edited(func(e *editor) { e.splice(1, 0, 3, ""); e.splice(1, 2, 1, "") }), "the splice before ends at 3"},
		{"a splice after an insert", edited(func(e *editor) { e.insert(1, "x"); e.splice(1, 0, 0, "y") }), "edits of record 1 are out of order"},
		{"two drops", edited(func(e *editor) { e.drop(1); e.drop(1) }), "edits of record 1 are out of order"},
		{"a partial insert", edited(func(e *editor) { e.insert(1, "x…") }), "a new line is marked as partial"},
		{"an insert into the outcome file", edited(func(e *editor) { e.insert(1, "@x") }), "a new line is marked as one of the outcome file"},
		{"columns too short", edited(func(e *editor) { e.splice(1, 0, 0, "abc"); e.edits.Data = nil }), "its text ends outside of data"},
		{"columns too long", edited(func(e *editor) { e.drop(1); e.edits.Data = []byte("x") }), "their columns hold more than their ops use"},
		{"a line end in a splice", edited(func(e *editor) { e.splice(1, 0, 0, "a\nb") }), "an edit puts a line end into a line"},
		{"a line end in an insert", edited(func(e *editor) { e.insert(1, "a\nb") }), "an edit puts a line end into a line"},
		{"an unknown op", edited(func(e *editor) { e.op(1, 99) }), "unknown op 99"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			starts := 0
			start := badAt("poison", tt.answer)
			got, result := runStages(t, logOf(2, "poison", "b"), stageOf(t, "bad", func(n int) *processor { starts++; return start(n) }))
			if len(got) != 2 || !strings.Contains(got[0], tt.want) || !strings.Contains(got[0], `processor "bad" failed: protocol error: `) {
				t.Errorf("came out %q, want an error with %q", got, tt.want)
			}
			if result.Reason != job.ReasonProcessor || !strings.Contains(result.Message, tt.want) {
				t.Errorf("result is %+v", result)
			}
		})
	}
}

func TestFinishErrors(t *testing.T) {
	finished := func(f *pluginv1.Finished) func(int) *processor {
		return func(int) *processor {
			return &processor{finish: func(*pluginv1.Finish) (*pluginv1.Finished, error) { return f, nil }}
		}
	}
	tests := []struct {
		name  string
		start func(int) *processor
		want  string
	}{
		{"no result", finished(&pluginv1.Finished{}), "it has no result"},
		{"unknown outcome", finished(&pluginv1.Finished{Result: &pluginv1.JobResult{Outcome: "great"}}), `unknown outcome "great"`},
		{"a line end in a last line", finished(&pluginv1.Finished{Lines: []*pluginv1.FinalLine{{Line: []byte("a\nb")}}}), "has a line end in it"},
		{"a partial last line", finished(&pluginv1.Finished{Lines: []*pluginv1.FinalLine{{Flags: uint32(pluginv1.Flag_FLAG_PARTIAL)}}}), "is marked as partial"},
		{"crash", func(int) *processor {
			return &processor{finish: func(*pluginv1.Finish) (*pluginv1.Finished, error) { return nil, errCrash }}
		}, "crash"},
		{"refuses the job", func(int) *processor {
			return &processor{open: func(*pluginv1.Open) error { return errors.New("too many secrets") }}
		}, "too many secrets"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, result := runStages(t, logOf(2, "a", "b"), stageOf(t, "bad", tt.start))
			if result.Reason != job.ReasonProcessor || !strings.Contains(result.Message, tt.want) {
				t.Errorf("result is %+v, want %q; log %q", result, tt.want, got)
			}
		})
	}
}

func TestStall(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(int) *processor
		want  string
	}{
		{"never acknowledges", badAt("a", func(*pluginv1.Batch) (*pluginv1.Result, error) { return nil, errHang }), "it did not answer a batch for"},
		{"does not answer Open", func(int) *processor {
			return &processor{open: func(*pluginv1.Open) error { return errHang }}
		}, "it did not answer Open for"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := stageOf(t, "bad", tt.start)
			opts := options(logOf(2, "a", "b"), &collector{}, bad)
			opts.StallTimeout = 50 * time.Millisecond
			result, err := Run(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(result.Message, tt.want) {
				t.Errorf("result is %+v, want %q", result, tt.want)
			}
			if h, _ := bad.Connector.(*host); len(h.condemned) != maxFailures {
				t.Errorf("%d processes were condemned, want %d", len(h.condemned), maxFailures)
			}
		})
	}
}

func TestNoMoreProcesses(t *testing.T) {
	bad := stageOf(t, "bad", prefixing("x"))
	h, _ := bad.Connector.(*host)
	h.broken = errors.New("it died 10 times; its circuit is open")
	_, result := runStages(t, logOf(2, "a", "b"), bad)
	if want := `processor "bad" failed: it died 10 times; its circuit is open`; result.Message != want {
		t.Errorf("message is %q, want %q", result.Message, want)
	}
}

func TestSecretsGoOnlyToWhoNeedsThem(t *testing.T) {
	var got [2]int
	start := func(count *int) func(int) *processor {
		return func(int) *processor {
			return &processor{open: func(o *pluginv1.Open) error { *count = len(o.GetSecrets()); return nil }}
		}
	}
	needs, other := stageOf(t, "needs", start(&got[0])), stageOf(t, "other", start(&got[1]))
	needs.NeedsSecrets = true
	opts := options(logOf(1, "a"), &collector{}, needs, other)
	opts.Job.Secrets = []job.Variable{{Key: "K", Value: "v", Sensitive: true}}
	if _, err := Run(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if want := [2]int{1, 0}; got != want {
		t.Errorf("the two were told %v secrets, want %v", got, want)
	}
}

func TestRedactedFailure(t *testing.T) {
	opts := options(logOf(1, "a"), &collector{}, stageOf(t, "bad", badAt("a", func(*pluginv1.Batch) (*pluginv1.Result, error) {
		return nil, errors.New("cannot read hunter2")
	})))
	opts.Redact = func(text string) string { return strings.ReplaceAll(text, "hunter2", "**********") }
	result, err := Run(t.Context(), opts)
	if err != nil || strings.Contains(result.Message, "hunter2") || !strings.Contains(result.Message, "cannot read **********") {
		t.Errorf("result is %+v, %v", result, err)
	}
}

// TestFailureOfSeveralLines: a processor's error may have several lines; a record has one.
func TestFailureOfSeveralLines(t *testing.T) {
	got, _ := runStages(t, logOf(1, "a"), stageOf(t, "bad", badAt("a", func(*pluginv1.Batch) (*pluginv1.Result, error) {
		return nil, errors.New("first\nsecond")
	})))
	if len(got) == 0 || strings.Contains(strings.Join(got, ""), "\n") || !strings.Contains(got[0], "first; second") {
		t.Errorf("came out %q", got)
	}
}

// TestHeldUpIsNoStall: the time for which the next stage holds this one up does not count as the processor's.
func TestHeldUpIsNoStall(t *testing.T) {
	out := make(chan item, 1)
	s := &stage{ctx: t.Context(), out: out, window: newWindow(), through: 1}
	s.output.emit = s.emit
	s.window.add(item{batch: logOf(1, "a").batches[0], through: 2}, 2, false)
	s.window.since = time.Now().Add(-time.Hour)
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	if it := <-out; it.through != 1 {
		t.Errorf("sent on through %d, want 1", it.through)
	}
	if waited, ok := s.window.waiting(); !ok || waited > time.Minute {
		t.Errorf("the processor counts as silent for %s, %v", waited, ok)
	}
}

// TestMessageIsUTF8: what the protocol calls a string has to be one, whatever an executor quotes.
func TestMessageIsUTF8(t *testing.T) {
	opts := options(logOf(1, "a"), &collector{}, stageOf(t, "p", prefixing("p:")))
	opts.Result = func(context.Context, error) (job.Result, []string) {
		return job.Result{Outcome: job.Failed, Reason: job.ReasonStart, Message: "exec /bin/\xff: not found"}, nil
	}
	result, err := Run(t.Context(), opts)
	if want := "exec /bin/\uFFFD: not found"; err != nil || result.Message != want {
		t.Errorf("message is %q, want %q; %v", result.Message, want, err)
	}
}

// directStage runs a stage by itself, whose items the test puts in and takes out.
func directStage(t *testing.T, of Stage) (in chan<- item, next func() item) {
	t.Helper()
	opts := options(nil, nil, of)
	opts.Logger, opts.Redact = hclog.NewNullLogger(), func(text string) string { return text }
	into, out := make(chan item), make(chan item)
	s := &stage{Stage: of, options: &opts, in: into, out: out}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return into, func() item {
		t.Helper()
		select {
		case it := <-out:
			return it
		case <-time.After(time.Minute):
			t.Fatal("nothing comes out")
			return item{}
		}
	}
}

// TestFinishedTooEarly: a processor that ends the job while that goes on is told what it did.
func TestFinishedTooEarly(t *testing.T) {
	_, next := directStage(t, stageOf(t, "bad", func(int) *processor {
		return &processor{opened: func(stream pluginv1.Processor_ProcessServer) error {
			finished := &pluginv1.Finished{Result: &pluginv1.JobResult{Outcome: "success"}}
			return stream.Send(&pluginv1.ProcessResponse{Message: &pluginv1.ProcessResponse_Finished{Finished: finished}})
		}}
	}))
	if it := next(); it.batch == nil || !strings.Contains(string(it.batch.Data), "it sent Finished before it was sent Finish") {
		t.Errorf("came out %+v, want the failure", it)
	}
}

// TestDeathsWhileIdle: a processor's process serves many jobs, and dies of some of them. A job that has nothing with it when
// that happens is not the one, however often it happens.
func TestDeathsWhileIdle(t *testing.T) {
	idle := stageOf(t, "idle", prefixing("p:"))
	h, _ := idle.Connector.(*host)
	in, next := directStage(t, idle)
	for n := range uint64(2 * maxFailures) {
		in <- item{through: n + 1} // taken once the job is open
		if it := next(); it.through != n+1 {
			t.Fatalf("came out %+v, want through %d", it, n+1)
		}
		h.kill()
	}
	in <- item{result: &job.Result{Outcome: job.Success}}
	if it := next(); it.result == nil || it.result.Outcome != job.Success {
		t.Errorf("came out %+v, want success", it)
	}
}

// TestEndsWhileIdle: a processor that ends an idle job by itself, and lives on, would do so for ever.
func TestEndsWhileIdle(t *testing.T) {
	var opens atomic.Int64
	in, next := directStage(t, stageOf(t, "bad", func(int) *processor {
		return &processor{opened: func(pluginv1.Processor_ProcessServer) error { opens.Add(1); return errCrash }}
	}))
	if it := next(); it.batch == nil || !strings.Contains(string(it.batch.Data), `processor "bad" failed: `) {
		t.Errorf("came out %+v, want the failure", it)
	}
	if n := opens.Load(); n != maxFailures {
		t.Errorf("the job was opened %d times, want %d", n, maxFailures)
	}
	in <- item{result: &job.Result{Outcome: job.Success}}
	if it := next(); it.result == nil || it.result.Reason != job.ReasonProcessor {
		t.Errorf("came out %+v, want a failure", it)
	}
}
