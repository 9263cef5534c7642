package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/internal/inside"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// runTimeout bounds one pass over a job's log; a processor that needs it hangs.
const runTimeout = 60 * time.Second

// Job is the job of a test.
type Job struct {
	// Config is the plugin's `config {}`, by the names that stand in runner.hcl. A duration is a time.Duration, a size a
	// number of bytes, a block a map, several blocks a slice of maps or, with labels, a map of maps.
	Config map[string]any
	// Info is what the processor is told of the job. Its secrets reach only a plugin with NeedsSecrets.
	Info sdk.Job
	// End is how the job ends; with no Outcome: with success.
	End sdk.End
}

// Result is what comes out of a processor.
type Result struct {
	// Lines is the job's log, pieces of long lines put together.
	Lines []Line
	// End is the job's result.
	End sdk.End
}

// Run gives the lines of a job to a processor and returns what comes out. It fails the test at once when the plugin
// refuses the configuration, when the processor returns an error or panics, and when an edit is wrong.
func Run(t testing.TB, plugin sdk.Plugin, job Job, lines ...Line) *Result {
	t.Helper()
	conn := serve(t, plugin, job.Config)
	p := &progress{}
	if err := pass(t.Context(), conn, scriptOf(plugin, job, lines, protocol.MaxBatchLines), p, -1); err != nil {
		t.Fatalf("sdktest.Run: %v", err)
	}
	return resultOf(p)
}

// Replay is Run, and then it breaks the job off after each line, in turn, and goes on with a new value and the last
// checkpoint, as core does when a plugin's process dies. It fails the test when that changes what comes out. Its cost
// grows with the square of the number of lines.
func Replay(t testing.TB, plugin sdk.Plugin, job Job, lines ...Line) *Result {
	t.Helper()
	want := Run(t, plugin, job, lines...)
	conn := serve(t, plugin, job.Config)
	s := scriptOf(plugin, job, lines, 1)
	for stop := range len(s.batches) + 1 {
		p := &progress{}
		err := pass(t.Context(), conn, s, p, stop)
		if errors.Is(err, errStopped) {
			err = pass(t.Context(), conn, s, p, -1)
		}
		if err != nil {
			t.Fatalf("sdktest.Replay: broken off after line %d: %v", stop, err)
		}
		if err := same(resultOf(p), want); err != nil {
			t.Fatalf("sdktest.Replay: broken off after line %d and gone on with from a checkpoint of %d bytes: %v",
				stop, len(p.checkpoint), err)
		}
	}
	return want
}

// Diagnostic is what a plugin finds wrong with its configuration.
type Diagnostic struct {
	// Severity is "error" or "warning".
	Severity string
	// Path is where it is: `rule[0].pattern`, `labels["k"]`; empty for the configuration as a whole.
	Path            string
	Summary, Detail string
}

// Validate returns what a plugin finds wrong with a configuration, written as in [Job].
func Validate(t testing.TB, plugin sdk.Plugin, config map[string]any) []Diagnostic {
	t.Helper()
	response, err := pluginv1.NewPluginClient(dial(t, plugin)).Validate(t.Context(),
		&pluginv1.ValidateRequest{ConfigJson: configJSON(t, config)})
	if err != nil {
		t.Fatalf("sdktest.Validate: %v", err)
	}
	return diagnosticsOf(response.Diagnostics)
}

// AssertLines fails the test when the lines that came out are not those wanted.
func AssertLines(t testing.TB, result *Result, want ...string) {
	t.Helper()
	got := make([]string, len(result.Lines))
	for i, l := range result.Lines {
		got[i] = l.Text
	}
	if !slices.Equal(got, want) {
		t.Errorf("the lines that came out are not those wanted:\n%s", diff(got, want))
	}
}

// diff shows two lists of lines side by side as far as they differ: -got +want.
func diff(got, want []string) string {
	var b strings.Builder
	for i := range max(len(got), len(want)) {
		if i < len(got) && i < len(want) && got[i] == want[i] {
			_, _ = fmt.Fprintf(&b, "  %4d  %s\n", i+1, quoted(got[i]))
			continue
		}
		if i < len(got) {
			_, _ = fmt.Fprintf(&b, "- %4d  %s\n", i+1, quoted(got[i]))
		}
		if i < len(want) {
			_, _ = fmt.Fprintf(&b, "+ %4d  %s\n", i+1, quoted(want[i]))
		}
	}
	return b.String()
}

// quoted writes a line for a person, and not all of a long one.
func quoted(s string) string {
	const most = 200
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// same tells how two results differ.
func same(got, want *Result) error {
	for i := range max(len(got.Lines), len(want.Lines)) {
		switch {
		case i >= len(got.Lines):
			return fmt.Errorf("line %d is missing: %s", i+1, quoted(want.Lines[i].Text))
		case i >= len(want.Lines):
			return fmt.Errorf("line %d is one too many: %s", i+1, quoted(got.Lines[i].Text))
		case got.Lines[i] != want.Lines[i]:
			return fmt.Errorf("line %d is %s of %v; undisturbed it is %s of %v", i+1,
				quoted(got.Lines[i].Text), got.Lines[i].Stream, quoted(want.Lines[i].Text), want.Lines[i].Stream)
		}
	}
	if g, w := protoOf(got.End), protoOf(want.End); !proto.Equal(g, w) {
		return fmt.Errorf("the result is {%v}; undisturbed it is {%v}", g, w)
	}
	return nil
}

// pass is play with a deadline.
func pass(ctx context.Context, conn grpc.ClientConnInterface, s *script, p *progress, stopAfter int) error {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	return play(ctx, conn, s, p, stopAfter)
}

func scriptOf(plugin sdk.Plugin, job Job, lines []Line, maxLines int) *script {
	s := newScript(job.Info.ID, records(lines), maxLines, protocol.WindowBatches)
	s.open.Attempt = uint32(max(job.Info.Attempt, 1))
	s.open.Pipeline, s.open.Runner = job.Info.Pipeline, job.Info.Runner
	s.open.Worker, s.open.Labels = uint32(job.Info.Worker), job.Info.Labels
	if plugin.NeedsSecrets {
		s.open.Secrets = secretsOf(job.Info.Secrets)
	}
	if job.End.Outcome != "" {
		s.result = protoOf(job.End)
	}
	return s
}

func secretsOf(secrets []sdk.Secret) []*pluginv1.Secret {
	var list []*pluginv1.Secret
	for _, s := range secrets {
		list = append(list, &pluginv1.Secret{Key: s.Key, Value: s.Value})
	}
	return list
}

func protoOf(end sdk.End) *pluginv1.JobResult {
	r := &pluginv1.JobResult{
		Outcome: end.Outcome, Reason: end.Reason, Message: end.Message, ExitCode: end.ExitCode,
	}
	for _, v := range end.Variables {
		r.Variables = append(r.Variables, &pluginv1.Variable{Key: v.Key, Value: v.Value})
	}
	return r
}

func resultOf(p *progress) *Result {
	r := &Result{Lines: join(p.output), End: sdk.End{
		Outcome:  p.result.Outcome,
		Reason:   p.result.Reason,
		Message:  p.result.Message,
		ExitCode: p.result.ExitCode,
	}}
	for _, v := range p.result.Variables {
		r.End.Variables = append(r.End.Variables, sdk.Variable{Key: v.Key, Value: v.Value})
	}
	return r
}

// serve starts a plugin in this process and configures it.
func serve(t testing.TB, plugin sdk.Plugin, config map[string]any) *grpc.ClientConn {
	t.Helper()
	conn := dial(t, plugin)
	client := pluginv1.NewPluginClient(conn)
	response, err := client.Configure(t.Context(), &pluginv1.ConfigureRequest{ConfigJson: configJSON(t, config), RunnerName: "sdktest"})
	if err != nil {
		t.Fatalf("sdktest: configure plugin %s: %v", plugin.Name, err)
	}
	for _, d := range diagnosticsOf(response.Diagnostics) {
		if d.Severity == "error" {
			t.Fatalf("sdktest: plugin %s refuses its configuration: at %q: %s: %s", plugin.Name, d.Path, d.Summary, d.Detail)
		}
		t.Logf("sdktest: plugin %s warns: at %q: %s: %s", plugin.Name, d.Path, d.Summary, d.Detail)
	}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		if _, err := client.Shutdown(context.Background(), &pluginv1.ShutdownRequest{}); err != nil {
			t.Errorf("sdktest: shut plugin %s down: %v", plugin.Name, err)
		}
	})
	return conn
}

// dial starts a plugin in this process. Both ends are closed when the test is over.
func dial(t testing.TB, plugin sdk.Plugin) *grpc.ClientConn {
	t.Helper()
	server, err := inside.NewServer(plugin, hclog.New(&hclog.LoggerOptions{Name: plugin.Name, Level: hclog.Trace, Output: t.Output()}))
	if err != nil {
		t.Fatalf("sdktest: %v", err)
	}
	listener := bufconn.Listen(protocol.StreamWindowBytes)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	options := append(protocol.DialOptions(), grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return listener.DialContext(ctx)
	}))
	conn, err := grpc.NewClient("passthrough:///sdktest", options...)
	if err != nil {
		t.Fatalf("sdktest: %v", err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.GracefulStop()
		if err := <-served; err != nil {
			t.Errorf("sdktest: serve: %v", err)
		}
	})
	return conn
}

func configJSON(t testing.TB, config map[string]any) []byte {
	t.Helper()
	if config == nil {
		config = map[string]any{}
	}
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatalf("sdktest: Config: %v", err)
	}
	return data
}

func diagnosticsOf(list []*pluginv1.Diagnostic) []Diagnostic {
	var out []Diagnostic
	for _, d := range list {
		severity := "warning"
		if d.Severity == pluginv1.Severity_SEVERITY_ERROR {
			severity = "error"
		}
		out = append(out, Diagnostic{Severity: severity, Path: pathText(d.Path), Summary: d.Summary, Detail: d.Detail})
	}
	return out
}

func pathText(p *pluginv1.Path) string {
	var b strings.Builder
	for _, step := range p.GetSteps() {
		switch s := step.Step.(type) {
		case *pluginv1.Path_Step_Name:
			if b.Len() > 0 {
				_ = b.WriteByte('.')
			}
			_, _ = b.WriteString(s.Name)
		case *pluginv1.Path_Step_Key:
			_, _ = fmt.Fprintf(&b, "[%q]", s.Key)
		case *pluginv1.Path_Step_Index:
			_, _ = fmt.Fprintf(&b, "[%d]", s.Index)
		}
	}
	return b.String()
}
