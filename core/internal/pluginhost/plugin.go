package pluginhost

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// Plugin is one launched instance of a plugin, with one configuration. It is safe for concurrent use. It lives until
// the host is closed; its process is replaced when it dies.
type Plugin struct {
	host     *Host
	found    Found
	settings Settings
	logger   hclog.Logger

	description atomic.Pointer[pluginv1.DescribeResponse]
	generation  int // of start, which is never called twice at once

	cancel  context.CancelFunc
	stopped chan struct{} // closed when supervise has ended

	mu      sync.Mutex
	config  []byte
	hasOne  bool // config is set
	current *Connection
	err     error         // while there is no process to be had, and no use in waiting
	changed chan struct{} // closed and made anew when current or err changes
}

func newPlugin(h *Host, found Found) *Plugin {
	return &Plugin{
		host: h, found: found, settings: h.opts.Plugins[found.Name], logger: h.logger.Named(found.Name),
		stopped: make(chan struct{}), changed: make(chan struct{}),
	}
}

// run begins to supervise the plugin, whose first process is c.
func (p *Plugin) run(c *Connection) {
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(p.host.ctx)
	p.set(c, nil)
	go p.supervise(ctx, c)
}

// Found says where the plugin comes from.
func (p *Plugin) Found() Found { return p.found }

// Description is what the plugin says of itself. Not to be changed.
func (p *Plugin) Description() *pluginv1.DescribeResponse { return p.description.Load() }

// Validate asks the plugin what it thinks of a configuration, without giving it. The diagnostics are for the user to
// mend; the error, an *Error, says that the plugin is broken.
func (p *Plugin) Validate(ctx context.Context, configJSON []byte) ([]*pluginv1.Diagnostic, error) {
	c, err := p.Connect(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.host.opts.Limits.Start)
	defer cancel()
	answer, err := pluginv1.NewPluginClient(c.conn).Validate(ctx, &pluginv1.ValidateRequest{ConfigJson: configJSON})
	if err != nil && status.Code(err) != codes.Unimplemented {
		return nil, c.Explain(ctx, "Validate", err)
	}
	return c.clean(answer.GetDiagnostics()), nil
}

// Configure gives the plugin its configuration, and every process that comes after this one. It is called once. When
// a diagnostic is an error, the plugin has not taken the configuration on and is stopped. The error, an *Error, says
// that the plugin is broken.
func (p *Plugin) Configure(ctx context.Context, configJSON []byte) ([]*pluginv1.Diagnostic, error) {
	p.mu.Lock()
	p.config, p.hasOne = configJSON, true
	p.mu.Unlock()
	c, err := p.Connect(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.host.opts.Limits.Configure)
	defer cancel()
	diagnostics, err := c.configure(ctx, configJSON, p.host.opts.Runner)
	if err == nil && hasError(diagnostics) {
		p.refused(c)
	}
	return diagnostics, err
}

// Connect returns the present process. It waits while there is none, because one is being restarted. The error, an
// *Error, says that there will be none for now (the plugin kept dying) or for ever (it was stopped), or is that of ctx.
func (p *Plugin) Connect(ctx context.Context) (*Connection, error) {
	for {
		p.mu.Lock()
		c, err, changed := p.current, p.err, p.changed
		p.mu.Unlock()
		if err != nil {
			return nil, err
		}
		// One that has ended already is about to be replaced.
		if c != nil && c.Err() == nil {
			return c, nil
		}
		select {
		case <-changed:
		case <-p.host.ctx.Done():
			return nil, errClosed(p.found.title())
		case <-ctx.Done():
			return nil, &Error{Plugin: p.found.title(), Reason: Closed, Detail: "was not waited for while it was restarted", Err: ctx.Err()}
		}
	}
}

// set says which process there is, or why there is none.
func (p *Plugin) set(c *Connection, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if had, has := p.current != nil && p.err == nil, c != nil && err == nil; had != has && p.host.opts.Up != nil {
		p.host.opts.Up(p.found.Kind, p.found.Name, has)
	}
	p.current, p.err = c, err
	close(p.changed)
	p.changed = make(chan struct{})
}

// refused stops a plugin that has not taken its configuration on; the host's Close waits for the end of it.
func (p *Plugin) refused(c *Connection) {
	p.cancel()
	<-p.stopped
	p.set(c, &Error{Plugin: p.found.title(), Reason: Closed, Detail: "has refused its configuration and is stopped"})
	c.condemn(&Error{Plugin: p.found.title(), Reason: Closed, Detail: "was stopped: it has refused its configuration"})
}

// stop ends the plugin for good.
func (p *Plugin) stop(ctx context.Context) error {
	p.cancel()
	<-p.stopped
	p.mu.Lock()
	c := p.current
	p.mu.Unlock()
	p.set(nil, errClosed(p.found.title()))
	if c == nil {
		return nil
	}
	return c.stop(ctx, p.host.opts.Limits)
}

func (p *Plugin) logLevel() string {
	if p.settings.LogLevel != "" {
		return p.settings.LogLevel
	}
	if level := p.host.logger.GetLevel(); level != hclog.NoLevel {
		return level.String()
	}
	return hclog.Info.String()
}

// configure gives the process its configuration, once: a second call returns what the first one did.
func (c *Connection) configure(ctx context.Context, configJSON []byte, runner string) ([]*pluginv1.Diagnostic, error) {
	c.configuring.Lock()
	defer c.configuring.Unlock()
	if c.configured {
		return c.diagnostics, nil
	}
	answer, err := pluginv1.NewPluginClient(c.conn).Configure(ctx, &pluginv1.ConfigureRequest{ConfigJson: configJSON, RunnerName: runner})
	if err != nil && status.Code(err) != codes.Unimplemented {
		return nil, c.Explain(ctx, "Configure", err)
	}
	c.configured, c.diagnostics = true, c.clean(answer.GetDiagnostics())
	return c.diagnostics, nil
}

// clean bounds and redacts the texts of diagnostics.
func (c *Connection) clean(diagnostics []*pluginv1.Diagnostic) []*pluginv1.Diagnostic {
	for _, d := range diagnostics {
		d.Summary, d.Detail = c.cleanText(d.GetSummary()), c.cleanText(d.GetDetail())
	}
	return diagnostics
}

// cleanText returns what is shown of a text. That is far less than is redacted of it, so that what the cut goes through has
// been seen whole.
func (c *Connection) cleanText(text string) string {
	return shorten(string(c.redact([]byte(shorten(text, maxLine)))), shownOfText)
}

// shownOfText is the most that is shown of a text of a diagnostic.
const shownOfText = 16 << 10

func hasError(diagnostics []*pluginv1.Diagnostic) bool {
	for _, d := range diagnostics {
		if d.GetSeverity() == pluginv1.Severity_SEVERITY_ERROR {
			return true
		}
	}
	return false
}

func firstError(diagnostics []*pluginv1.Diagnostic) string {
	for _, d := range diagnostics {
		if d.GetSeverity() == pluginv1.Severity_SEVERITY_ERROR {
			return printable(shorten(d.GetSummary(), 200))
		}
	}
	return ""
}
