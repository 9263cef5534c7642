package sdk

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// steered does with a line what its text says.
type steered struct{ canceled chan struct{} }

func (s *steered) Line(ctx context.Context, l *Line) error {
	switch string(l.Bytes()) {
	case "panic":
		panic("as told")
	case "wait":
		<-ctx.Done()
		close(s.canceled)
		return ctx.Err()
	case "log":
		Logger(ctx).Info("logged")
	}
	return nil
}

// served is a plugin behind a connection, and what it logs.
type served struct {
	pluginv1.PluginClient
	pluginv1.ProcessorClient
	canceled chan struct{}
	log      *strings.Builder
	server   *server
}

func serveSteered(t *testing.T) *served {
	t.Helper()
	x := &served{canceled: make(chan struct{}), log: &strings.Builder{}}
	logger := hclog.New(&hclog.LoggerOptions{Name: "steered", Output: x.log, DisableTime: true})
	var err error
	x.server, err = newServer(Plugin{Name: "steered", Processor: Lines(func(context.Context, Job, struct{}) (*steered, error) {
		return &steered{canceled: x.canceled}, nil
	})}, logger)
	if err != nil {
		t.Fatal(err)
	}
	grpcServer, listener := x.server.newGRPC(nil), bufconn.Listen(1<<20)
	x.server.register(grpcServer)
	done := make(chan error, 1)
	go func() { done <- grpcServer.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///test", append(protocol.DialOptions(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		grpcServer.Stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	x.PluginClient, x.ProcessorClient = pluginv1.NewPluginClient(conn), pluginv1.NewProcessorClient(conn)
	return x
}

func (x *served) configure(t *testing.T) {
	t.Helper()
	if _, err := x.Configure(t.Context(), &pluginv1.ConfigureRequest{}); err != nil {
		t.Fatal(err)
	}
}

// job is the client's end of a stream, whose steps fail the test.
type job struct {
	t *testing.T
	grpc.BidiStreamingClient[pluginv1.ProcessRequest, pluginv1.ProcessResponse]
	next uint64
}

func (x *served) job(ctx context.Context, t *testing.T) *job {
	t.Helper()
	stream, err := x.Process(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &job{t: t, BidiStreamingClient: stream, next: 1}
}

func (j *job) send(m *pluginv1.ProcessRequest) {
	j.t.Helper()
	if err := j.Send(m); err != nil {
		j.t.Fatal(err)
	}
}

func (j *job) open(open *pluginv1.Open) {
	j.t.Helper()
	j.send(&pluginv1.ProcessRequest{Message: &pluginv1.ProcessRequest_Open{Open: open}})
}

func (j *job) line(text string) {
	j.t.Helper()
	j.batch(&pluginv1.Batch{FirstSeq: j.next, Data: []byte(text), Ends: []uint32{uint32(len(text))}, Flags: []byte{0}})
	j.next++
}

func (j *job) batch(b *pluginv1.Batch) {
	j.t.Helper()
	j.send(&pluginv1.ProcessRequest{Message: &pluginv1.ProcessRequest_Batch{Batch: b}})
}

func (j *job) receive() *pluginv1.ProcessResponse {
	j.t.Helper()
	r, err := j.Recv()
	if err != nil {
		j.t.Fatal(err)
	}
	return r
}

func (j *job) fails(code codes.Code, text string) {
	j.t.Helper()
	_, err := j.Recv()
	if status.Code(err) != code || !strings.Contains(err.Error(), text) {
		j.t.Errorf("got %v, want %v with %q", err, code, text)
	}
}

func TestPanicEndsOneJobOnly(t *testing.T) {
	x := serveSteered(t)
	x.configure(t)
	good, bad := x.job(t.Context(), t), x.job(t.Context(), t)
	for _, j := range []*job{good, bad} {
		j.open(&pluginv1.Open{JobId: "1", NextSeq: 1})
		j.receive()
	}
	bad.line("panic")
	bad.fails(codes.Internal, "panic: as told")
	if log := x.log.String(); !strings.Contains(log, "[ERROR] steered: panic") || !strings.Contains(log, "steered).Line") {
		t.Errorf("the log does not tell of the panic and its place:\n%s", log)
	}
	good.line("fine")
	if ack := good.receive().GetResult().GetAckThrough(); ack != 1 {
		t.Errorf("ack_through is %d", ack)
	}
}

func TestCancelReachesTheAuthor(t *testing.T) {
	x := serveSteered(t)
	x.configure(t)
	ctx, cancel := context.WithCancel(t.Context())
	j := x.job(ctx, t)
	j.open(&pluginv1.Open{NextSeq: 1})
	j.receive()
	j.line("wait")
	cancel()
	<-x.canceled
}

func TestLoggerNamesTheJob(t *testing.T) {
	x := serveSteered(t)
	x.configure(t)
	j := x.job(t.Context(), t)
	j.open(&pluginv1.Open{NextSeq: 1, JobId: "j7"})
	j.receive()
	j.line("log")
	j.receive()
	if log := x.log.String(); log != "[INFO]  steered: logged: job=j7\n" {
		t.Errorf("the log is %q", log)
	}
}

func TestConfigureOnce(t *testing.T) {
	x := serveSteered(t)
	x.job(t.Context(), t).fails(codes.FailedPrecondition, "Configure comes before Process")
	x.configure(t)
	_, err := x.Configure(t.Context(), &pluginv1.ConfigureRequest{})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("the second Configure gave %v", err)
	}
	x.server.reconfigurable = true
	x.configure(t)
	if _, err := x.Shutdown(t.Context(), &pluginv1.ShutdownRequest{}); err != nil {
		t.Error(err)
	}
}

func TestWrongMessages(t *testing.T) {
	x := serveSteered(t)
	x.configure(t)
	open := &pluginv1.Open{NextSeq: 5}
	for name, c := range map[string]struct {
		open *pluginv1.Open
		then func(j *job)
		code codes.Code
		want string
	}{
		"no Open":     {nil, func(j *job) { j.line("x") }, codes.InvalidArgument, "the first message is not Open"},
		"no next_seq": {&pluginv1.Open{}, nil, codes.InvalidArgument, "Open has no next_seq"},
		"checkpoint":  {&pluginv1.Open{NextSeq: 1, Checkpoint: []byte("x")}, nil, codes.FailedPrecondition, "this version of the plugin makes none"},
		"Open again":  {open, func(j *job) { j.open(open) }, codes.InvalidArgument, "is not a message that may come after Open"},
		"nothing":     {open, func(j *job) { j.send(&pluginv1.ProcessRequest{}) }, codes.InvalidArgument, "is not a message that may come after Open"},
		"no Finish":   {open, func(j *job) { _ = j.CloseSend() }, codes.InvalidArgument, "the stream ended before Finish"},
		"empty batch": {open, func(j *job) { j.batch(&pluginv1.Batch{FirstSeq: 5}) }, codes.InvalidArgument, "batch at record 5: it is empty"},
		"gap":         {open, func(j *job) { j.next = 6; j.line("x") }, codes.InvalidArgument, "batch at record 6: record 5 was expected"},
		"flags":       {open, func(j *job) { j.batch(&pluginv1.Batch{FirstSeq: 5, Ends: []uint32{0}}) }, codes.InvalidArgument, "1 records have 0 flags"},
		"times": {open, func(j *job) {
			j.batch(&pluginv1.Batch{FirstSeq: 5, Ends: []uint32{0}, Flags: []byte{0}, Dt: []int64{1, 2}})
		}, codes.InvalidArgument, "1 records have 2 times"},
		"descending": {open, func(j *job) {
			j.batch(&pluginv1.Batch{FirstSeq: 5, Data: []byte("ab"), Ends: []uint32{2, 1}, Flags: []byte{0, 0}})
		}, codes.InvalidArgument, "ends do not ascend"},
		"short of data": {open, func(j *job) {
			j.batch(&pluginv1.Batch{FirstSeq: 5, Data: []byte("ab"), Ends: []uint32{3}, Flags: []byte{0}})
		}, codes.InvalidArgument, "the last record ends at 3, and there are 2 bytes"},
		"data left": {open, func(j *job) {
			j.batch(&pluginv1.Batch{FirstSeq: 5, Data: []byte("ab"), Ends: []uint32{1}, Flags: []byte{0}})
		}, codes.InvalidArgument, "the last record ends at 1, and there are 2 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			j := x.job(t.Context(), t)
			if c.open != nil {
				j.open(c.open)
			}
			if c.open == open {
				j.receive()
			}
			if c.then != nil {
				c.then(j)
			}
			j.fails(c.code, c.want)
		})
	}
}

// TestCheckpointsAreSentWhenTheyChange looks at the Results themselves.
func TestCheckpointsAreSentWhenTheyChange(t *testing.T) {
	state := []byte("restored")
	j := &jobStream{checkpoint: state, value: &opened{value: checkpointFunc(func() []byte { return state })}}
	for _, step := range []struct {
		name  string
		state []byte
		want  []byte
	}{
		{"unchanged", []byte("restored"), nil},
		{"changed", []byte("new"), []byte("new")},
		{"the same again", []byte("new"), nil},
		{"none", nil, []byte{}},
		{"still none", []byte{}, nil},
	} {
		state = step.state
		got, err := j.newCheckpoint()
		if err != nil || string(got) != string(step.want) || (got == nil) != (step.want == nil) {
			t.Errorf("%s: got %q, %v, want %q", step.name, got, err, step.want)
		}
	}
}

type checkpointFunc func() []byte

func (f checkpointFunc) Checkpoint() ([]byte, error) { return f(), nil }
func (f checkpointFunc) Restore([]byte) error        { return nil }

func TestTraits(t *testing.T) {
	concrete := Lines(func(context.Context, Job, struct{}) (*steered, error) { return nil, nil })
	unknown := Lines(func(context.Context, Job, struct{}) (LineProcessor, error) { return nil, nil })
	if concrete.checkpoints() || !unknown.checkpoints() {
		t.Error("checkpoints are promised exactly when the type has them, and when the type is not known")
	}
	p := Plugin{Name: "a", Processor: concrete, Redacts: true, NeedsSecrets: true, ReadsOutcome: true}
	s, err := newServer(p, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	if d := s.describe().Processor; !d.Redacts || !d.NeedsSecrets || !d.ReadsOutcome || d.Checkpoints {
		t.Errorf("traits are %v", d)
	}
}

func TestLifeline(t *testing.T) {
	server, listener := grpc.NewServer(), bufconn.Listen(1)
	reader, writer := io.Pipe()
	go followLifeline(reader, server)
	go func() { _ = writer.Close() }()
	// Serve returns because the lifeline has ended, before or after it was called.
	if err := server.Serve(listener); err != nil && err != grpc.ErrServerStopped { //nolint:errorlint // returned as it is
		t.Error(err)
	}
}
