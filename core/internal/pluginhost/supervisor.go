package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// supervise sees to it that there is a process, until ctx ends. It checks its health, and replaces it when it dies.
func (p *Plugin) supervise(ctx context.Context, c *Connection) {
	defer close(p.stopped)
	ends := record{limits: p.host.opts.Limits}
	for c != nil {
		if !p.watch(ctx, c) {
			return
		}
		ends.ended(c)
		if c.child == nil {
			p.set(nil, c.Err()) // whoever runs it will not run it again at the same address
			return
		}
		p.tell(&ends)
		p.set(nil, nil)
		c = p.restart(ctx, &ends)
	}
}

// tell tells of the last end.
func (p *Plugin) tell(ends *record) {
	if p.host.opts.Ended != nil {
		p.host.opts.Ended(p.found.Kind, p.found.Name, ends.last)
	}
}

// watch returns true when the process has ended, and false when ctx has.
func (p *Plugin) watch(ctx context.Context, c *Connection) bool {
	limits := p.host.opts.Limits
	ticker := time.NewTicker(limits.HealthInterval)
	defer ticker.Stop()
	if c.child == nil {
		ticker.Stop() // a process that stands in a debugger is healthy, though it does not answer
	}
	misses := 0
	for {
		select {
		case <-ctx.Done():
			return false
		case <-c.done:
			return true
		case <-ticker.C:
		}
		if c.healthy(ctx, limits.HealthTimeout) {
			misses = 0
			continue
		}
		if misses++; misses >= limits.HealthMisses && ctx.Err() == nil {
			c.condemn(&Error{
				Plugin: c.title, Reason: Hangs,
				Detail: fmt.Sprintf("was killed by core: it did not answer %d health checks in a row", misses),
			})
		}
	}
}

// healthy asks the health service that go-plugin registers in every plugin. Any answer will do, even that there is no
// such service: what is looked for is a process that hangs.
func (c *Connection) healthy(ctx context.Context, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := grpc_health_v1.NewHealthClient(c.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName})
	return err == nil || !broken(err)
}

// restart makes the next process, with the configuration of the one before, and tries until it can or ctx ends; then it
// returns nil.
func (p *Plugin) restart(ctx context.Context, ends *record) *Connection {
	for {
		delay := ends.delay()
		if ends.open() {
			err := &Error{
				Plugin: p.found.title(), Reason: CircuitOpen,
				Detail: fmt.Sprintf("has ended %d times in a row and is not started again for %s; the last time it %s",
					ends.count, delay, ends.last.what()),
				Output: ends.last.Output, Advice: ends.last.Advice,
			}
			p.logger.Error("plugin keeps ending; its circuit is open", "error", err.Summary())
			p.set(nil, err)
		} else {
			p.logger.Warn("plugin ended; it is started again", "error", ends.last.Summary(), "in_a_row", ends.count, "after", delay)
		}
		if !sleep(ctx, delay) {
			return nil
		}
		c, err := p.startConfigured(ctx)
		if err == nil {
			if p.host.opts.Restarted != nil {
				p.host.opts.Restarted(p.found.Kind, p.found.Name)
			}
			p.set(c, nil)
			return c
		}
		if ctx.Err() != nil {
			return nil
		}
		ends.failed(err)
		p.tell(ends)
	}
}

// startConfigured starts a process and gives it the configuration.
func (p *Plugin) startConfigured(ctx context.Context) (*Connection, error) {
	c, err := p.start(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	config, hasOne := p.config, p.hasOne
	p.mu.Unlock()
	if !hasOne {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.host.opts.Limits.Configure)
	defer cancel()
	diagnostics, err := c.configure(ctx, config, p.host.opts.Runner)
	if err == nil && hasError(diagnostics) {
		err = &Error{Plugin: c.title, Reason: Misbehaves, Detail: "has refused the configuration that it had taken before: " + firstError(diagnostics)}
	}
	if err != nil {
		return nil, c.abandon(err)
	}
	return c, nil
}

// record is what is known of a plugin's ends in a row, and how long to wait for the next start.
//
// A process that ends after it has made progress, or has lived long, begins a new row. So a plugin that is killed from
// outside again and again, but works in between, is restarted at once each time; one that dies of its first batch, or at
// its start, is restarted at once, then after 1 s, 2 s, 4 s…, and when it has ended Failures times the circuit opens:
// for Retry, Connect returns why, and then one more start is tried; if that process ends without progress, too,
// the circuit is open again.
type record struct {
	limits Limits
	count  int
	last   *Error
}

// ended counts the end of a process that was ready for use.
func (r *record) ended(c *Connection) {
	if c.progress.Load() || time.Since(c.since) >= r.limits.Healthy {
		r.count = 0
	}
	r.failed(c.Err())
}

// failed counts an end, or a start that failed. A start that the user has to make possible opens the circuit at once.
func (r *record) failed(err error) {
	r.count++
	if !errors.As(err, &r.last) {
		r.last = &Error{Plugin: "plugin", Reason: Ended, Detail: "ended", Err: err}
	}
	if r.last.Configuration() {
		r.count = max(r.count, r.limits.Failures)
	}
}

func (r *record) open() bool { return r.count >= r.limits.Failures }

// delay returns how long to wait before the next start, with up to a fifth more, so that plugins that have died of
// one cause do not all come back at once.
func (r *record) delay() time.Duration {
	switch {
	case r.open():
		return r.limits.Retry
	case r.count <= 1:
		return 0
	}
	delay := r.limits.Restart
	for i := 2; i < r.count && delay < r.limits.RestartMax; i++ {
		delay *= 2
	}
	delay = min(delay, r.limits.RestartMax)
	return delay + rand.N(delay/5+1)
}

// sleep waits, and reports whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
