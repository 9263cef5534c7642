package pluginhost_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/pluginhost"
	"github.com/podrunner/runner/core/internal/pluginhost/hosttest"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

func contextWithTimeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}

// sendLine opens a job in the process and sends one line.
func sendLine(ctx context.Context, t *testing.T, c *pluginhost.Connection) pluginv1.Processor_ProcessClient {
	t.Helper()
	stream, err := pluginv1.NewProcessorClient(c.Conn()).Process(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*pluginv1.ProcessRequest{
		{Message: &pluginv1.ProcessRequest_Open{Open: &pluginv1.Open{NextSeq: 1}}},
		{Message: &pluginv1.ProcessRequest_Batch{Batch: &pluginv1.Batch{FirstSeq: 1, Data: []byte("x"), Ends: []uint32{1}}}},
	} {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	return stream
}

// prefixOf sends one line through the process and returns what it puts before it.
func prefixOf(t *testing.T, c *pluginhost.Connection) string {
	t.Helper()
	stream := sendLine(t.Context(), t, c)
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for {
		answer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if result := answer.GetResult(); result != nil {
			return string(result.GetEdits().GetData())
		}
	}
}

// TestKillNine kills a plugin from outside, more often than the circuit allows ends in a row. It works in between, so
// there is a next one each time, at once and with the configuration.
func TestKillNine(t *testing.T) {
	f := newFixture(t, pluginhost.Options{Limits: pluginhost.Limits{Failures: 3, Restart: time.Hour}}, "echo")
	p := f.launch(t, "echo")
	if _, err := p.Configure(t.Context(), []byte(`{"prefix":"> "}`)); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		c := connect(t, p)
		if c.Generation() != i+1 {
			t.Fatalf("generation is %d, want %d", c.Generation(), i+1)
		}
		if got := prefixOf(t, c); got != "> " {
			t.Fatalf("prefix of generation %d is %q", c.Generation(), got)
		}
		c.Progress()
		killNine(t, c)
		await(t, c)
		e := faultOf(t, c.Err(), pluginhost.Ended)
		if !strings.Contains(e.Error(), "signal 9") {
			t.Errorf("the error does not name the signal: %v", e)
		}
	}
	connect(t, p)
}

// TestReplacedByAnother: a program that core would have to treat in another way does not take the place of the first one.
func TestReplacedByAnother(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "turncoat")
	p := f.launch(t, "turncoat")
	killNine(t, connect(t, p))
	f.log.waitFor(t, "its circuit is open")
	_, err := p.Connect(t.Context())
	if e := faultOf(t, err, pluginhost.CircuitOpen); !strings.Contains(e.Error(), "whose needs_secrets is true and not false") || !strings.Contains(e.Error(), "Restart core") {
		t.Errorf("the error does not say what happened and what to do: %v", e)
	}
}

// TestKeptSockets: the end of a process ends its streams also when another process, which no host can find, holds the sockets.
func TestKeptSockets(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "leave-batch")
	t.Cleanup(func() { killEscaped(t, f.log.String()) })
	p := f.launch(t, "leave-batch")
	c := connect(t, p)
	ctx, cancel := contextWithTimeout(t, patience)
	defer cancel()
	stream := sendLine(ctx, t, c)
	var err error
	for err == nil {
		_, err = stream.Recv()
	}
	if ctx.Err() != nil {
		t.Errorf("the stream did not end with the process: %v", err)
	}
	await(t, c)
	if next := connect(t, p); next.Generation() != 2 {
		t.Errorf("generation is %d, want 2", next.Generation())
	}
}

// TestCircuit has a plugin that dies soon after each start, though it never fails to start.
func TestCircuit(t *testing.T) {
	f := newFixture(t, pluginhost.Options{Limits: pluginhost.Limits{
		Failures: 3, Restart: time.Millisecond, Retry: time.Hour,
	}}, "exit-configured")
	p := f.launch(t, "exit-configured")
	if _, err := p.Configure(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	f.log.waitFor(t, "its circuit is open")
	_, err := p.Connect(t.Context())
	e := faultOf(t, err, pluginhost.CircuitOpen)
	if e.Configuration() {
		t.Error("an open circuit is no matter of the configuration")
	}
	f.golden(t, "call/circuit", e.Error())
}

// TestCircuitCloses opens the circuit with a file that can't be used, and mends it.
func TestCircuitCloses(t *testing.T) {
	f := newFixture(t, pluginhost.Options{Limits: pluginhost.Limits{
		Failures: 2, Restart: time.Millisecond, Retry: 20 * time.Millisecond,
	}}, "echo")
	p := f.launch(t, "echo")
	c := connect(t, p)
	path := filepath.Join(f.dir, "runner-processor-echo")
	hide(t, path)
	killNine(t, c)
	f.log.waitFor(t, "its circuit is open")
	_, err := p.Connect(t.Context())
	if err != nil { // between two tries there is none
		wantReason(t, err, pluginhost.CircuitOpen)
	}
	hosttest.Link(t, path)
	for {
		c, err := p.Connect(t.Context())
		if err == nil {
			if c.Generation() < 3 {
				t.Errorf("generation is %d, want more than those that failed", c.Generation())
			}
			return
		}
		wantReason(t, err, pluginhost.CircuitOpen)
		pluginhost.AwaitChange(t.Context(), p)
	}
}

// TestStartFailsOnce replaces the program by one that does not start, for one start.
func TestStartFailsOnce(t *testing.T) {
	f := newFixture(t, pluginhost.Options{Limits: pluginhost.Limits{Restart: time.Millisecond}}, "echo")
	p := f.launch(t, "echo")
	c := connect(t, p)
	path := filepath.Join(f.dir, "runner-processor-echo")
	bad(t, path)
	killNine(t, c)
	f.log.waitFor(t, "exited with code 6 before it was ready")
	hosttest.Link(t, path)
	if c := connect(t, p); c.Generation() < 3 {
		t.Errorf("generation is %d, want at least 3", c.Generation())
	}
}

// TestHang stops a process, as a plugin that hangs does.
func TestHang(t *testing.T) {
	f := newFixture(t, pluginhost.Options{Limits: pluginhost.Limits{
		HealthInterval: 20 * time.Millisecond, HealthTimeout: 20 * time.Millisecond, HealthMisses: 2,
	}}, "echo")
	p := f.launch(t, "echo")
	c := connect(t, p)
	if err := syscall.Kill(pidOf(t, c), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	await(t, c)
	if e := faultOf(t, c.Err(), pluginhost.Hangs); !strings.Contains(e.Error(), "health checks") {
		t.Errorf("the error does not say why: %v", e)
	}
	connect(t, p)
}

func TestCondemn(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "echo")
	p := f.launch(t, "echo")
	c := connect(t, p)
	c.Condemn(errors.New("it acknowledged record 7 twice"))
	c.Condemn(errors.New("and more"))
	await(t, c)
	e := faultOf(t, c.Err(), pluginhost.Misbehaves)
	if want := `processor "echo" was killed by core: it acknowledged record 7 twice`; e.Summary() != want {
		t.Errorf("summary is %q, want %q", e.Summary(), want)
	}
	if next := connect(t, p); next.Generation() != 2 {
		t.Errorf("generation is %d, want 2", next.Generation())
	}
}

// TestConnectWaits asks for a process while there is none, and gives up.
func TestConnectWaits(t *testing.T) {
	f := newFixture(t, pluginhost.Options{Limits: pluginhost.Limits{Restart: time.Hour}}, "echo")
	p := f.launch(t, "echo")
	for range 2 { // the second end in a row, after which the wait is long
		c := connect(t, p)
		killNine(t, c)
		await(t, c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error)
	go func() {
		_, err := p.Connect(ctx)
		errs <- err
	}()
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that of the context", err)
	}
	go func() {
		_, err := p.Connect(context.Background())
		errs <- err
	}()
	f.close(t)
	wantReason(t, <-errs, pluginhost.Closed)
}
