package sdktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

const (
	// startTimeout is how long a plugin may take from its start to its handshake; core waits as long.
	startTimeout = 10 * time.Second
	// tailBytes is how much of a plugin's standard error is kept for the message of a failure.
	tailBytes = 4 << 10
)

// exitTimeout is how long a process may take to end when there is nothing left to do for it. Tests shorten it.
var exitTimeout = 5 * time.Second

// process is a running plugin, started as core starts it.
type process struct {
	client *plugin.Client
	runner *pipeRunner
	conn   *grpc.ClientConn
}

// start starts a binary under go-plugin. The caller stops it.
func start(b Binary) (*process, error) {
	p := &process{}
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  protocol.Handshake,
		VersionedPlugins: protocol.Set(nil),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		GRPCDialOptions:  protocol.DialOptions(),
		SkipHostEnv:      true,
		StartTimeout:     startTimeout,
		Logger:           hclog.NewNullLogger(),
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
			r, err := newPipeRunner(b, cmd)
			p.runner = r
			return r, err
		},
	})
	rpc, err := p.client.Client()
	if err != nil {
		return nil, p.failed("start", fmt.Errorf("the first line on standard output is the handshake, 1|%d|unix|PATH|grpc, within %v: %w",
			protocol.Version, startTimeout, err))
	}
	raw, err := rpc.Dispense(protocol.Name)
	if err != nil {
		return nil, p.failed("connect to", err)
	}
	conn, ok := raw.(*grpc.ClientConn)
	if !ok {
		return nil, p.failed("connect to", fmt.Errorf("go-plugin gave a %T", raw))
	}
	p.conn = conn
	return p, nil
}

func (p *process) failed(doing string, err error) error {
	p.client.Kill()
	tail := ""
	if p.runner != nil && p.runner.copied != nil {
		timer := time.NewTimer(exitTimeout)
		defer timer.Stop()
		select {
		case <-p.runner.copied:
		case <-timer.C: // A grandchild holds it open.
		}
		tail = p.runner.tail.String()
	}
	return fmt.Errorf("%s the plugin: %w; its standard error ends with:\n%s", doing, err, tail)
}

// configure gives the plugin its configuration.
func (p *process) configure(ctx context.Context, config []byte) error {
	response, err := pluginv1.NewPluginClient(p.conn).Configure(ctx, &pluginv1.ConfigureRequest{
		ConfigJson: config, RunnerName: "sdktest",
	})
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	for _, d := range diagnosticsOf(response.Diagnostics) {
		if d.Severity == "error" {
			return fmt.Errorf("configure: the plugin refuses the configuration of the test at %q: %s: %s", d.Path, d.Summary, d.Detail)
		}
	}
	return nil
}

// kill ends the process as a crash does.
func (p *process) kill() {
	_ = p.runner.cmd.Process.Kill()
	<-p.runner.exited
	p.client.Kill()
}

// stop ends the process as core does.
func (p *process) stop() { p.client.Kill() }

// pipeRunner runs a plugin's program for go-plugin with a pipe as its standard input, the lifeline.
type pipeRunner struct {
	cmd            *exec.Cmd
	stdout, stderr io.ReadCloser
	lifeline       io.WriteCloser
	tail           tail
	// copied is closed at the end of standard error; nil when the program could not be started.
	copied chan struct{}
	// exited is closed when the process is gone and err is set.
	exited chan struct{}
	err    error
}

func newPipeRunner(b Binary, cmd *exec.Cmd) (*pipeRunner, error) {
	r := &pipeRunner{exited: make(chan struct{})}
	r.cmd = exec.Command(b.Path)
	r.cmd.Env = append(cmd.Env, protocol.EnvLogLevel+"=debug", protocol.EnvLifeline+"=stdin")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GOCOVERDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			r.cmd.Env = append(r.cmd.Env, name+"="+value)
		}
	}
	r.cmd.Env = append(r.cmd.Env, b.Env...)
	var errs [3]error
	r.lifeline, errs[0] = r.cmd.StdinPipe()
	r.stdout, errs[1] = r.cmd.StdoutPipe()
	r.stderr, errs[2] = r.cmd.StderrPipe()
	return r, errors.Join(errs[:]...)
}

// Start starts the program, and follows its standard error and its end.
func (r *pipeRunner) Start(context.Context) error {
	if err := r.cmd.Start(); err != nil {
		close(r.exited)
		return err
	}
	r.copied = make(chan struct{})
	go func() {
		defer close(r.copied)
		_, _ = io.Copy(&r.tail, r.stderr)
		_ = r.stderr.Close()
	}()
	go func() {
		defer close(r.exited)
		// Not Wait of the command: that would close the pipes under go-plugin's hands.
		state, err := r.cmd.Process.Wait()
		if err == nil && !state.Success() {
			err = &exec.ExitError{ProcessState: state}
		}
		r.err = err
		_ = r.lifeline.Close()
	}()
	return nil
}

// Wait waits for the end of the process. go-plugin calls it when it has read standard output to its end.
func (r *pipeRunner) Wait(context.Context) error {
	<-r.exited
	_ = r.stdout.Close()
	return r.err
}

// Kill ends the process.
func (r *pipeRunner) Kill(context.Context) error {
	if r.cmd.Process == nil {
		return nil
	}
	err := r.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Stdout is where go-plugin reads the handshake.
func (r *pipeRunner) Stdout() io.ReadCloser { return r.stdout }

// Stderr is empty: this runner reads it itself, for go-plugin's own reader panics on some input.
func (r *pipeRunner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name is the program's path.
func (r *pipeRunner) Name() string { return r.cmd.Path }

// ID is the process id, empty when there is no process.
func (r *pipeRunner) ID() string {
	if r.cmd.Process == nil {
		return ""
	}
	return strconv.Itoa(r.cmd.Process.Pid)
}

// Diagnose has nothing to add.
func (r *pipeRunner) Diagnose(context.Context) string { return "" }

// PluginToHost leaves addresses as they are.
func (r *pipeRunner) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin leaves addresses as they are.
func (r *pipeRunner) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

// tail keeps the last bytes written to it.
type tail struct {
	mu   sync.Mutex
	last []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if over := len(t.last) - tailBytes; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.last)
}
