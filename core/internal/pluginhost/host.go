// Package pluginhost finds, verifies, launches, supervises and configures plugins. It knows what a plugin's process
// and its service Plugin are; it knows no jobs.
//
// A Host is made of Options, and plugins are launched from it. A Plugin stands for one configured instance of a program
// for as long as the host is open; the process behind it may die and be replaced, and a Connection is one such process.
// Whoever talks to a plugin asks Plugin.Connect for the present Connection, works with it until it fails, and asks again.
//
// Everything that comes out of a plugin's process is bounded, cleaned and given to the redactor (SetRedact) before it
// reaches the log or an error.
package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

// Options are what a Host is made of.
type Options struct {
	// Dirs are the directories in which plugins are looked for, in order; there are no others.
	Dirs []Dir
	// Plugins holds what the configuration says about single plugins, by their short names.
	Plugins map[string]Settings
	// Runner is the name of this runner, for the plugins to know.
	Runner string
	// Logger takes what the host and the plugins have to say; nil: nobody.
	Logger hclog.Logger
	// Environ is the environment of core as "NAME=value"; nil: os.Environ(). The variables that plugins get come from it,
	// and so do RUNNER_DEV_PLUGINS and RUNNER_REATTACH_PLUGINS.
	Environ []string
	// TempDir is where the directory with the sockets is made; empty: os.TempDir().
	TempDir string
	// Limits are deadlines and counts.
	Limits Limits
	// Up is told whether a plugin has a process, and Restarted of each process that was replaced; nil: nobody is.
	Up        func(kind Kind, name string, up bool)
	Restarted func(kind Kind, name string)
	// Ended is told of each process that has ended when it should not have, and of each that could not be started in place of
	// one; nil: nobody is. It must not block for long.
	Ended func(kind Kind, name string, why *Error)
	// Hide is told of values that must not be seen in what the host and the plugins have to say; nil: nobody is told.
	// What takes them out is SetRedact's function.
	Hide func(values ...string)
}

// Settings are what the configuration says about one plugin.
type Settings struct {
	// Checksum is "sha256:" and 64 hexadecimal digits; empty: any file will do.
	Checksum string
	// Env are the names of the variables that the plugin gets of core's environment, beside a small base set.
	Env []string
	// LogLevel is the level at which the plugin logs: trace, debug, info, warn, error or off. Empty: the host's.
	LogLevel string
}

// Host launches plugins and ends them. It is safe for concurrent use.
type Host struct {
	opts     Options
	logger   hclog.Logger
	environ  []string
	dev      map[string]string
	reattach map[string]reattachment
	redactor atomic.Pointer[func([]byte) []byte]

	// ctx ends when Close begins; it ends starts and restarts that are under way.
	ctx    context.Context
	cancel context.CancelFunc

	mu        sync.Mutex
	closed    bool
	sockets   *socketDir // made when the first plugin is started
	plugins   []*Plugin
	launching sync.WaitGroup
}

// New returns a host. An error says what is wrong with the options or with the two environment variables, as an
// *Error of the configuration. Nothing is started, and no file is touched.
func New(opts Options) (*Host, error) {
	h := &Host{opts: opts, logger: opts.Logger, environ: opts.Environ}
	if h.logger == nil {
		h.logger = hclog.NewNullLogger()
	}
	if h.environ == nil {
		h.environ = os.Environ()
	}
	h.opts.Limits = opts.Limits.orDefaults()
	h.opts.Dirs = make([]Dir, len(opts.Dirs))
	for i, dir := range opts.Dirs {
		if dir.Path == "" {
			return nil, &Error{Plugin: "a plugin directory", Reason: BadSettings, Detail: "has an empty path", Advice: "Set it in " + dir.From + "."}
		}
		abs, err := filepath.Abs(dir.Path)
		if err != nil {
			return nil, fmt.Errorf("making plugin directory %q absolute: %w", dir.Path, err)
		}
		h.opts.Dirs[i] = Dir{Path: abs, From: dir.From}
	}
	for name, settings := range opts.Plugins {
		if err := settings.check(name); err != nil {
			return nil, err
		}
	}
	if err := h.parseOverrides(); err != nil {
		return nil, err
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h, nil
}

// SetRedact sets the function that every text of a plugin passes before it is logged or put in an error: a plugin may
// quote a secret of a job that is running. It may be called at any time; fn must be safe for concurrent use, must not
// change its argument, and is never given more than 64 KiB.
func (h *Host) SetRedact(fn func([]byte) []byte) { h.redactor.Store(&fn) }

// Hide tells Options.Hide of values, before a plugin gets them.
func (h *Host) Hide(values ...string) {
	if h.opts.Hide != nil && len(values) > 0 {
		h.opts.Hide(values...)
	}
}

func (h *Host) redact(text []byte) []byte {
	if fn := h.redactor.Load(); fn != nil && *fn != nil {
		return (*fn)(text)
	}
	return text
}

// Launch starts a plugin and asks it what it is. It is not configured yet. From now on it is supervised: a process that
// dies is replaced. It ends with Close. Two launches of one name are two processes.
func (h *Host) Launch(ctx context.Context, kind Kind, name string) (*Plugin, error) {
	found, err := h.Find(kind, name)
	if err != nil {
		return nil, err
	}
	if found.Problem != nil {
		return nil, found.Problem
	}
	if !h.beginLaunch() {
		return nil, errClosed(found.title())
	}
	defer h.launching.Done()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)()

	p := newPlugin(h, found)
	conn, err := p.start(ctx)
	if err != nil {
		if h.ctx.Err() != nil {
			return nil, errClosed(found.title())
		}
		return nil, err
	}
	h.mu.Lock()
	h.plugins = append(h.plugins, p)
	h.mu.Unlock()
	p.run(conn)
	return p, nil
}

// beginLaunch holds Close back until launching.Done; it reports false when Close has begun.
func (h *Host) beginLaunch() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.launching.Add(1)
	return true
}

// Close ends all plugins, at once: each is asked to drain and to shut down, and its process group is killed when it
// does not end in time. It returns within ctx, give or take the moment that a killed process takes to go, and removes
// what the host has made. Every Connect that waits returns an error. A second Close does nothing.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	h.launching.Wait()

	errs := make([]error, len(h.plugins), len(h.plugins)+1)
	var wg sync.WaitGroup
	for i, p := range h.plugins {
		wg.Go(func() { errs[i] = p.stop(ctx) })
	}
	wg.Wait()
	if h.sockets != nil {
		errs = append(errs, h.sockets.remove())
	}
	return errors.Join(errs...)
}

// socketDir returns the directory for sockets, which it makes at the first call.
func (h *Host) socketDir() (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sockets == nil {
		parent := h.opts.TempDir
		if parent == "" {
			parent = os.TempDir()
		}
		dir, err := newSocketDir(parent, h.logger)
		if err != nil {
			return "", err
		}
		h.sockets = dir
	}
	return h.sockets.path, nil
}

func errClosed(title string) *Error {
	return &Error{Plugin: title, Reason: Closed, Detail: "is being stopped, as core is"}
}
