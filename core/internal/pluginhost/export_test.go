package pluginhost

import (
	"context"
	"testing"
	"time"
)

// CutLifeline closes core's end of the process's standard input.
func CutLifeline(c *Connection) { _ = c.child.lifeline.Close() }

// PID returns the process id.
func PID(c *Connection) int { return c.child.pid() }

// AwaitChange waits until the plugin has another process, or another reason for having none.
func AwaitChange(ctx context.Context, p *Plugin) {
	p.mu.Lock()
	changed := p.changed
	p.mu.Unlock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
}

// AfterVerify has fn called between the check of a program and its start.
func AfterVerify(t *testing.T, fn func()) {
	afterVerify = fn
	t.Cleanup(func() { afterVerify = func() {} })
}

// AwaitStopped waits until the plugin is supervised no longer.
func AwaitStopped(p *Plugin) { <-p.stopped }

// SetCommandGrace sets what a subcommand has to end when it is told to.
func SetCommandGrace(t *testing.T, grace time.Duration) {
	before := commandGrace
	commandGrace = grace
	t.Cleanup(func() { commandGrace = before })
}
