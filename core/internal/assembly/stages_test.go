package assembly_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/podrunner/runner/core/internal/assembly"
	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/pipeline"
	"github.com/podrunner/runner/core/internal/pluginhost"
	"github.com/podrunner/runner/core/internal/pluginhost/hosttest"
	"github.com/podrunner/runner/core/internal/rawlog"
	"github.com/podrunner/runner/core/internal/record"
)

func TestMain(m *testing.M) { os.Exit(hosttest.Main(m)) }

// stageOf launches the test plugin in a mode, with a configuration, and returns it as a stage. At the end of the test
// nothing of it is left.
func stageOf(t *testing.T, mode, configuration string, limits pluginhost.Limits) (pipeline.Stage, *pluginhost.Plugin) {
	t.Helper()
	host := newHost(t, pluginhost.Options{Dirs: []pluginhost.Dir{hosttest.Dir(t, mode)}, Limits: limits, Logger: hclog.NewNullLogger()})
	plugin, err := host.Launch(t.Context(), pluginhost.Processor, mode)
	if err != nil {
		t.Fatal(err)
	}
	if diagnostics, err := plugin.Configure(t.Context(), []byte(configuration)); err != nil || len(diagnostics) > 0 {
		t.Fatal(diagnostics, err)
	}
	stage := assembly.Stage{Processor: &config.Processor{Use: config.Use{Name: mode}, OnError: "fail"}, Plugin: plugin}
	return assembly.PipelineStages([]assembly.Stage{stage})[0], plugin
}

// newHost returns a host of which nothing is left at the end of the test.
func newHost(t *testing.T, options pluginhost.Options) *pluginhost.Host {
	t.Helper()
	before := goleak.IgnoreCurrent()
	temp, err := os.MkdirTemp("", "as-") //nolint:usetesting // t.TempDir's path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	options.TempDir, options.Environ = temp, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + temp}
	host, err := pluginhost.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(host.Close(ctx), os.RemoveAll(temp)); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, before)
	})
	return host
}

// shown is a Sink.
type shown struct {
	lines []string
	// next, when set, is called before each line.
	next func(line string)
}

func (s *shown) Write(_ context.Context, batch *record.Batch, through uint64, delivered func(uint64)) error {
	if batch != nil {
		for _, r := range batch.All {
			if s.next != nil {
				s.next(string(r.Text))
			}
			s.lines = append(s.lines, string(r.Text))
		}
	}
	delivered(through)
	return nil
}

func (*shown) Flush(context.Context) error { return nil }

// run sends a log through a stage.
func run(t *testing.T, stage pipeline.Stage, log io.Reader, sink *shown) job.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	raw := rawlog.New(nil)
	raw.Add("log", log, 0)
	result, err := pipeline.Run(ctx, pipeline.Options{
		Job: pipeline.Job{ID: "1", Attempt: 1}, Stages: []pipeline.Stage{stage}, Log: raw, Sink: sink,
		Result: func(_ context.Context, err error) (job.Result, []string) {
			if err != nil {
				t.Error(err)
			}
			return job.Result{Outcome: job.Success}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// TestExplain: what a job's result says of a processor that fails is what became of its process, on one line.
func TestExplain(t *testing.T) {
	for mode, want := range map[string]string{
		"exit-batch":   "exited with code 5",
		"panic-batch":  "exited with code 2: panic: a test's panic in a batch",
		"panic-finish": "exited with code 2: panic: a test's panic in Finish",
		"error-batch":  "answered to Process with an error: Internal: a test's error",
		"plain-batch":  "answered to Process with an error: a test's error",
		"error-open":   "answered to Process with an error: Internal: a test's error",
		"nonsense-ack": "protocol error: it acknowledged record 1001, which is not the last of a batch that waits for it",
		"end-batch":    "protocol error: it ended the stream before it sent Finished",
	} {
		t.Run(mode, func(t *testing.T) {
			stage, _ := stageOf(t, mode, "{}", pluginhost.Limits{Restart: time.Millisecond})
			var out shown
			result := run(t, stage, strings.NewReader("a line\n"), &out)
			if result.Outcome != job.Failed || result.Reason != job.ReasonProcessor {
				t.Errorf("the result is %+v", result)
			}
			if want := `processor "` + mode + `" failed: ` + want; result.Message != want {
				t.Errorf("the message is %q, want %q", result.Message, want)
			}
			if mark := "[runner] " + result.Message + "; "; !strings.HasPrefix(strings.Join(out.lines, "\n"), mark) && mode != "panic-finish" {
				t.Errorf("the log is %q", out.lines)
			}
		})
	}
}

// TestPoisonBatch: a batch that a processor dies of is tried three times and then never again. Deaths with progress in
// between do not add up.
func TestPoisonBatch(t *testing.T) {
	t.Run("dies of each batch", func(t *testing.T) {
		stage, connects := counted(t, "exit-batch", "{}")
		if result := run(t, stage, strings.NewReader("a line\n"), &shown{}); result.Reason != job.ReasonProcessor || *connects != 3 {
			t.Errorf("the result is %+v after %d tries", result, *connects)
		}
	})
	t.Run("dies of each second batch", func(t *testing.T) {
		stage, connects := counted(t, "exit-batch", `{"after":1}`)
		// A line is written when the one before has come out, so that each is a batch and is acknowledged.
		reader, writer := io.Pipe()
		write := func(text string) { _, _ = io.WriteString(writer, text) }
		out := shown{next: func(line string) {
			if line == "xxxxx" {
				_ = writer.Close()
				return
			}
			go write(line + "x\n")
		}}
		go write("x\n")
		if result := run(t, stage, reader, &out); result.Outcome != job.Success || *connects != 5 || len(out.lines) != 5 {
			t.Errorf("the result is %+v after %d tries, the log %q", result, *connects, out.lines)
		}
	})
}

// counted is stageOf that counts the calls of Connect.
func counted(t *testing.T, mode, configuration string) (pipeline.Stage, *int) {
	stage, _ := stageOf(t, mode, configuration, pluginhost.Limits{Restart: time.Millisecond})
	c := &counting{Connector: stage.Connector}
	stage.Connector = c
	return stage, &c.connects
}

type counting struct {
	pipeline.Connector
	connects int
}

func (c *counting) Connect(ctx context.Context) (pipeline.Connection, error) {
	c.connects++
	return c.Connector.Connect(ctx)
}

// TestConnectWaitsAcrossARestart kills the process under a stage in the middle of a log. The next one goes on from the
// checkpoint.
func TestConnectWaitsAcrossARestart(t *testing.T) {
	stage, plugin := stageOf(t, "count", "{}", pluginhost.Limits{Restart: time.Millisecond})
	first, err := plugin.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	reader, writer := io.Pipe()
	write := func(text string) { _, _ = io.WriteString(writer, text) }
	out := shown{next: func(line string) {
		if line == "2 b" {
			first.Condemn(errors.New("for the test"))
			<-first.Done()
			go func() { write("c\n"); _ = writer.Close() }()
		}
	}}
	go write("a\nb\n")
	if result := run(t, stage, reader, &out); result.Outcome != job.Success || strings.Join(out.lines, ",") != "1 a,2 b,3 c" {
		t.Errorf("the result is %+v, the log %q", result, out.lines)
	}
	if last, err := plugin.Connect(t.Context()); err != nil || last.Generation() != 2 {
		t.Errorf("%v, want the second process: %v", last, err)
	}
}

// TestConnectSaysWhyThereIsNone: a plugin that keeps dying fails its jobs with that reason.
func TestConnectSaysWhyThereIsNone(t *testing.T) {
	stage, _ := stageOf(t, "exit-batch", "{}", pluginhost.Limits{Failures: 2, Restart: time.Millisecond, Retry: time.Hour})
	result := run(t, stage, strings.NewReader("a line\n"), &shown{})
	want := `processor "exit-batch" failed: has ended 2 times in a row and is not started again for 1h0m0s; the last time it exited with code 5`
	if result.Message != want {
		t.Errorf("the message is %q, want %q", result.Message, want)
	}
}
