package engine

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/pipeline"
)

var (
	zero = 0
	one  = 1

	succeeded = executor.Result{Outcome: job.Success, ExitCode: &zero, Records: 2}
	canceled  = executor.Result{Outcome: job.Canceled, Reason: job.ReasonCanceled, Message: "the job was canceled"}
)

func TestResults(t *testing.T) {
	exited := executor.Result{Outcome: job.Failed, Reason: job.ReasonExit, Message: "the commands ended with exit code 1", ExitCode: &one}
	gap := succeeded
	gap.Gap = "2 records were written and 1 was read"
	killed := executor.Result{Outcome: job.Failed, Reason: job.ReasonInfrastructure, Message: "the helper was killed"}
	failedGap := exited
	failedGap.Gap = gap.Gap
	for _, test := range []struct {
		name   string
		script script
		want   job.Result
		log    []string
	}{
		{
			"success",
			script{lines: []string{"a", "b"}, result: succeeded},
			job.Result{Outcome: job.Success, ExitCode: &zero},
			[]string{"a", "b"},
		},
		{"no log", script{result: succeeded}, job.Result{Outcome: job.Success, ExitCode: &zero}, nil},
		{
			"exit code",
			script{lines: []string{"a"}, result: exited},
			job.Result{Outcome: job.Failed, Reason: job.ReasonExit, Message: exited.Message, ExitCode: &one},
			[]string{"a"},
		},
		{
			"init failed",
			script{result: executor.Result{Outcome: job.Failed, Reason: job.ReasonInitFailed, Message: "the commands were not run", ExitCode: &one}},
			job.Result{Outcome: job.Failed, Reason: job.ReasonInitFailed, Message: "the commands were not run", ExitCode: &one},
			nil,
		},
		{
			"log ends early",
			script{lines: []string{"a"}, logErr: errors.New("the stream broke"), result: succeeded},
			infrastructure("the stream broke"),
			[]string{"a", "[runner] the log ends here: the stream broke"},
		},
		{
			"log ends early, and it is known why",
			script{lines: []string{"a"}, logErr: errors.New("the log has no end"), result: killed},
			infrastructure("the helper was killed; the log has no end"),
			[]string{"a", "[runner] the log ends here: the helper was killed; the log has no end"},
		},
		{
			"no evidence",
			script{lines: []string{"a"}, resultErr: errors.New("the node is gone")},
			infrastructure("the node is gone"),
			[]string{"a", "[runner] the log ends here: the node is gone"},
		},
		{
			"neither log nor evidence",
			script{logErr: errors.New("the stream broke"), resultErr: errors.New("the node is gone")},
			infrastructure("the stream broke; the node is gone"),
			[]string{"[runner] the log ends here: the stream broke; the node is gone"},
		},
		{
			"gap",
			script{lines: []string{"a"}, result: gap},
			job.Result{Outcome: job.Success, ExitCode: &zero, Message: "the log is not complete: " + gap.Gap},
			[]string{"a", "[runner] the log is not complete: " + gap.Gap},
		},
		{
			"gap of a job that failed",
			script{lines: []string{"a"}, result: failedGap},
			job.Result{Outcome: job.Failed, Reason: job.ReasonExit, ExitCode: &one, Message: exited.Message},
			[]string{"a", "[runner] the log is not complete: " + gap.Gap},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			run, sink := newRun(&test.script)
			summary, err := run.Do(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, summary.Result); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.log, sink.lines); diff != "" {
				t.Error(diff)
			}
			checkClosed(t, &test.script)
			if got := test.script.run.acked; got != uint64(len(test.script.lines)) {
				t.Errorf("%d records are acknowledged, want %d", got, len(test.script.lines))
			}
			if len(test.script.run.cancels) > 0 {
				t.Error("a job that has ended of its own was canceled")
			}
		})
	}
}

func TestStartFails(t *testing.T) {
	run, sink := newRun(&script{startErr: errors.New("no namespaces here")})
	summary, err := run.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(infrastructure("the job could not be started: no namespaces here"), summary.Result); diff != "" {
		t.Error(diff)
	}
	if sink.lines != nil {
		t.Errorf("the log is %q", sink.lines)
	}
}

func TestCanceledBeforeTheStart(t *testing.T) {
	run, _ := newRun(&script{startErr: context.Canceled})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	summary, err := run.Do(ctx)
	if err != nil || summary.Result.Outcome != job.Canceled || summary.Result.Reason != job.ReasonCanceled {
		t.Errorf("got %+v, %v", summary.Result, err)
	}
}

// TestCancel ends a job that runs: what it has printed, its last words included, is shipped.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{lines: []string{"a", "b"}, runs: true, canceled: canceled}
		run, sink := newRun(s)
		sink.wrote = make(chan string)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-sink.wrote
			cancel()
			<-sink.wrote
		}()
		summary, err := run.Do(ctx)
		if err != nil {
			t.Fatal(err)
		}
		want := job.Result{Outcome: job.Canceled, Reason: job.ReasonCanceled, Message: canceled.Message}
		if diff := cmp.Diff(want, summary.Result); diff != "" {
			t.Error(diff)
		}
		if want := []string{"a", "b"}; !slices.Equal(sink.lines, want) {
			t.Errorf("the log is %q, want %q", sink.lines, want)
		}
		if want := []time.Duration{grace}; !slices.Equal(s.run.cancels, want) {
			t.Errorf("canceled with %v, want %v", s.run.cancels, want)
		}
		checkClosed(t, s)
	})
}

// TestCancelIgnored has a run that goes on whatever it is told. After a bounded time core gives up.
func TestCancelIgnored(t *testing.T) {
	for name, stages := range map[string][]pipeline.Stage{
		"canceled":        nil,
		"processor fails": {brokenStage(pipeline.Fail)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{lines: []string{"a"}, runs: true, stubborn: true}
				run, _ := newRun(s)
				run.Stages = stages
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if stages == nil {
					cancel()
				}
				begun := time.Now()
				_, err := run.Do(ctx)
				if err == nil || !strings.Contains(err.Error(), `job "1" was ended early, but its log was not delivered within 18s`) {
					t.Errorf("the error is %v", err)
				}
				if took := time.Since(begun); took != grace+drainTimeout {
					t.Errorf("it took %s, want %s", took, grace+drainTimeout)
				}
				checkClosed(t, s)
			})
		})
	}
}

// TestStageFails has a processor that can't be had: with on_error = "fail" the job is ended, else it goes on.
func TestStageFails(t *testing.T) {
	for onError, want := range map[pipeline.OnError]job.Result{
		pipeline.Fail: {Outcome: job.Failed, Reason: job.ReasonProcessor, Message: `processor "bad" failed: it is gone`},
		pipeline.Drop: {Outcome: job.Success, ExitCode: &zero},
	} {
		t.Run(string(onError), func(t *testing.T) {
			s := &script{lines: []string{"a"}, result: succeeded, canceled: canceled, runs: onError == pipeline.Fail}
			run, sink := newRun(s)
			run.Stages = []pipeline.Stage{brokenStage(onError)}
			summary, err := run.Do(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, summary.Result); diff != "" {
				t.Error(diff)
			}
			if wasCanceled := len(s.run.cancels) > 0; wasCanceled != (onError == pipeline.Fail) {
				t.Errorf("canceled is %v", wasCanceled)
			}
			if slices.Contains(sink.lines, "a") {
				t.Error("a line came out that the processor has not seen")
			}
			checkClosed(t, s)
		})
	}
}

// TestSinkFails: when the log can't be delivered there is no result, and the job is not left running.
func TestSinkFails(t *testing.T) {
	s := &script{lines: []string{"a"}, runs: true}
	run, sink := newRun(s)
	sink.err = errors.New("no space left")
	if _, err := run.Do(t.Context()); !errors.Is(err, sink.err) {
		t.Errorf("the error is %v, want the sink's", err)
	}
	checkClosed(t, s)
}

// TestReaderStandsStill: who reads the log takes nothing any more, neither records nor statuses. A job that is canceled
// ends all the same, and is not waited for longer than its log is.
func TestReaderStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{lines: []string{"a"}, runs: true, canceled: canceled, statuses: []executor.Status{{Phase: executor.Running}}}
		run, _ := newRun(s)
		run.Sink = stuck{}
		reads := make(chan struct{})
		run.Status = func(executor.Status) { <-reads }
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begun := time.Now()
		if _, err := run.Do(ctx); err == nil || !strings.Contains(err.Error(), "its log was not delivered") {
			t.Errorf("the error is %v", err)
		}
		if took := time.Since(begun); took != grace+drainTimeout {
			t.Errorf("it took %s, want %s", took, grace+drainTimeout)
		}
		checkClosed(t, s)
		close(reads)
	})
}

// TestEndedIsNotCanceled: when a job ends of its own at the moment of a Ctrl-C, it is not told to end.
func TestEndedIsNotCanceled(t *testing.T) {
	early, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan struct{})
	close(ended)
	run, _ := newRun(&script{})
	for range 100 {
		fake := &fakeRun{script: &script{}, over: make(chan struct{})}
		run.endEarly(early, fake, ended, func(error) {})
		if len(fake.cancels) > 0 {
			t.Fatal("a job that has ended was told to end")
		}
	}
}

// TestCloseFails: the job has ended, so its result stands; the log says that something is left.
func TestCloseFails(t *testing.T) {
	var log bytes.Buffer
	s := &script{result: succeeded, closeErr: errors.New("folder hunter2 is busy")}
	run, _ := newRun(s)
	run.Logger = hclog.New(&hclog.LoggerOptions{Output: &log})
	run.Redact = hide
	summary, err := run.Do(t.Context())
	if err != nil || summary.Result.Outcome != job.Success {
		t.Errorf("got %+v, %v", summary, err)
	}
	if text := log.String(); !strings.Contains(text, "could not clean up after the job") || !strings.Contains(text, "folder *** is busy") {
		t.Errorf("the log is %q", text)
	}
}

func TestStatus(t *testing.T) {
	statuses := []executor.Status{
		{Phase: executor.Pending, Reason: "ImagePull", Message: "pulling hunter2"},
		{Phase: executor.Running, Message: "step job"},
		{Phase: executor.Done},
	}
	want := slices.Clone(statuses)
	want[0].Message = "pulling ***"
	run, _ := newRun(&script{statuses: statuses, result: succeeded})
	run.Redact = hide
	var got []executor.Status
	run.Status = func(status executor.Status) { got = append(got, status) }
	if _, err := run.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestStatusStaysOpen has a run that breaks its promise to close the channel.
func TestStatusStaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run, _ := newRun(&script{statusStays: true, result: succeeded})
		begun := time.Now()
		summary, err := run.Do(t.Context())
		if err != nil || summary.Result.Outcome != job.Success {
			t.Errorf("got %+v, %v", summary, err)
		}
		if took := time.Since(begun); took != closeTimeout {
			t.Errorf("it took %s, want %s", took, closeTimeout)
		}
	})
}

// TestRedaction: what the executor says of the job may quote it, and not all of it goes through the processors.
func TestRedaction(t *testing.T) {
	gap := succeeded
	gap.Gap = "a record with hunter2 is missing"
	for name, s := range map[string]*script{
		"start":   {startErr: errors.New("no such image: hunter2")},
		"log":     {logErr: errors.New("after hunter2")},
		"result":  {resultErr: errors.New("after hunter2")},
		"message": {result: executor.Result{Outcome: job.Failed, Reason: job.ReasonExit, Message: "hunter2: not found"}},
		"gap":     {result: gap},
	} {
		t.Run(name, func(t *testing.T) {
			run, sink := newRun(s)
			run.Redact = hide
			summary, err := run.Do(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(append(sink.lines, summary.Result.Message), "\n")
			if strings.Contains(all, "hunter2") || !strings.Contains(all, "***") {
				t.Errorf("log and message are %q", all)
			}
		})
	}
}

func hide(text string) string { return strings.ReplaceAll(text, "hunter2", "***") }

func TestDurations(t *testing.T) {
	begun := time.Now()
	for name, test := range map[string]struct {
		started, finished time.Duration
		pending, running  time.Duration
	}{
		"as it should be":       {2 * time.Second, 5 * time.Second, 2 * time.Second, 3 * time.Second},
		"another clock is slow": {-time.Second, time.Second, 0, 2 * time.Second},
		"a clock that jumped":   {5 * time.Second, time.Second, 5 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := ending{steps: executor.Result{Started: begun.Add(test.started), Finished: begun.Add(test.finished), Records: 7}}
			s := e.summary(job.Result{}, begun)
			if s.Pending != test.pending || s.Running != test.running || s.Records != 7 {
				t.Errorf("got %+v", s)
			}
		})
	}
	t.Run("nothing ran", func(t *testing.T) {
		if s := (&ending{}).summary(job.Result{}, begun); s.Pending != s.Total || s.Running != 0 || s.Total <= 0 {
			t.Errorf("got %+v", s)
		}
	})
}
