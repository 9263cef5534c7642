package pluginhost

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin/runner"
)

// garbageBytes is how much a program may print before its handshake; one that prints more is no plugin.
const garbageBytes = 256 << 10

// childRunner is go-plugin's view of a plugin's process. go-plugin's own runner hands it the process's pipes, and what
// it does with them can break core or block it for ever; this one reads the pipes itself, waits for the handshake, and
// gives go-plugin a standard output of that one line and an empty standard error.
type childRunner struct {
	title string
	prog  program
	voice *voice
	grace time.Duration
	// ctx bounds the start, as the caller wants it; go-plugin has a context of its own for that.
	ctx context.Context

	child *child
	line  string
	// released is closed by the host when go-plugin may learn that the process has ended. go-plugin gives up half-made
	// connections when it learns that too early, and never closes them.
	released chan struct{}
}

var _ runner.Runner = (*childRunner)(nil)

// Start starts the process and waits for its handshake. Its errors are *Error.
func (r *childRunner) Start(context.Context) error {
	stdout := newStdout(r.voice)
	c, err := startChild(r.prog, stdout, r.voice.stderr())
	if err != nil {
		return startError(r.title, r.prog.path, err)
	}
	r.child = c
	shake, err := r.awaitHandshake(stdout)
	if err == nil {
		err = shake.check(r.title)
	}
	if err != nil {
		c.kill()
		<-c.gone
		return r.withOutput(err)
	}
	r.line = shake.line()
	return nil
}

func (r *childRunner) awaitHandshake(stdout *stdoutWriter) (handshake, error) {
	select {
	case shake := <-stdout.handshake:
		return shake, nil
	case <-stdout.garbage:
		return handshake{}, &Error{
			Plugin: r.title, Reason: NotAPlugin,
			Detail: "is no plugin: it prints a lot, but no handshake", Advice: r.notAPluginAdvice(),
		}
	case <-r.child.gone:
		select {
		case shake := <-stdout.handshake: // it was there, and then the process ended
			return shake, nil
		default:
			return handshake{}, r.exitedError()
		}
	case <-r.ctx.Done():
		if errors.Is(r.ctx.Err(), context.Canceled) {
			return handshake{}, &Error{Plugin: r.title, Reason: Closed, Detail: "was not waited for at its start", Err: context.Cause(r.ctx)}
		}
		return handshake{}, &Error{
			Plugin: r.title, Reason: HungAtStart, Detail: "was not ready in time: it printed no handshake, and was killed",
			Advice: r.notAPluginAdvice(),
		}
	}
}

func (r *childRunner) exitedError() error {
	if r.child.exitCode() == 0 {
		return &Error{
			Plugin: r.title, Reason: NotAPlugin, Detail: "is no plugin: it exited with code 0 and printed no handshake",
			Advice: r.notAPluginAdvice(),
		}
	}
	return &Error{Plugin: r.title, Reason: ExitedAtStart, Detail: r.child.how() + " before it was ready"}
}

func (r *childRunner) notAPluginAdvice() string {
	return "Is " + r.prog.path + " a plugin of Runner? A plugin says so when it is run by hand."
}

// withOutput adds what the process wrote; it must be gone.
func (r *childRunner) withOutput(err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.Output = r.voice.last()
	}
	return err
}

// startError explains why the system did not start a program.
func startError(title, path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return &Error{
			Plugin: title, Reason: BadPlatform, Detail: "can't run on this machine: " + platform(path),
			Advice: "Install the plugin's build for this machine: " + path,
		}
	case errors.Is(err, fs.ErrPermission):
		e := errNotExecutable(title, path)
		e.Err = err
		return e
	case errors.Is(err, fs.ErrNotExist):
		return &Error{
			Plugin: title, Reason: NotFound, Detail: "is gone, or needs an interpreter that is not there: " + path, Err: err,
			Advice: "Install it again, with what it needs.",
		}
	}
	return &Error{Plugin: title, Reason: StartFailed, Detail: "could not be started", Err: err}
}

// Wait waits until the process is gone and go-plugin may know.
func (r *childRunner) Wait(context.Context) error {
	<-r.child.gone
	<-r.released
	return nil
}

// Kill ends the process, first gently. go-plugin calls it when all else has failed, or nothing was begun.
func (r *childRunner) Kill(context.Context) error {
	if r.child != nil {
		r.child.end(r.grace)
	}
	return nil
}

// Stdout is the handshake and nothing else.
func (r *childRunner) Stdout() io.ReadCloser { return io.NopCloser(strings.NewReader(r.line)) }

// Stderr is empty: what the plugin writes is not go-plugin's to read.
func (r *childRunner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name is the path of the program.
func (r *childRunner) Name() string { return r.prog.path }

// ID is the process id; empty as long as there is no process.
func (r *childRunner) ID() string {
	if r.child == nil {
		return ""
	}
	return strconv.Itoa(r.child.pid())
}

// Diagnose has nothing to add: Start has said it.
func (r *childRunner) Diagnose(context.Context) string { return "" }

// PluginToHost changes nothing: a plugin lives where core does.
func (r *childRunner) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin changes nothing.
func (r *childRunner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// runnerFunc makes r a go-plugin RunnerFunc: it takes the variables that go-plugin needs, and nothing else, of cmd.
func (r *childRunner) runnerFunc(environ, granted, own []string) func(hclog.Logger, *exec.Cmd, string) (runner.Runner, error) {
	return func(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
		r.prog.env = environment(environ, granted, append(own, cmd.Env...))
		r.prog.scratch = dir
		return r, nil
	}
}

// stdoutWriter reads a plugin's standard output: it looks for the handshake, and logs all other lines, before it and
// after it, for as long as the process lives. A pipe that nobody reads would block the plugin.
type stdoutWriter struct {
	stray     *lineWriter
	lines     *lineWriter
	handshake chan handshake // gets one
	garbage   chan struct{}  // closed when there is too much before it
	shook     bool
	printed   int
	once      sync.Once
}

func newStdout(v *voice) *stdoutWriter {
	w := &stdoutWriter{stray: v.stray("stdout"), handshake: make(chan handshake, 1), garbage: make(chan struct{})}
	w.lines = &lineWriter{line: func(text []byte, excess int) {
		if !w.shook && excess == 0 {
			if shake, ok := parseHandshake(text); ok {
				w.shook = true
				w.handshake <- shake
				return
			}
		}
		w.stray.line(text, excess)
	}}
	return w
}

// Write never fails.
func (w *stdoutWriter) Write(p []byte) (int, error) {
	n, err := w.lines.Write(p)
	if w.printed += n; !w.shook && w.printed > garbageBytes {
		w.once.Do(func() { close(w.garbage) })
	}
	return n, err
}

// Close hands over a last line that has no end.
func (w *stdoutWriter) Close() error { return w.lines.Close() }
