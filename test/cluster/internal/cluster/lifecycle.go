package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/podrunner/runner/test/cluster/internal/process"
)

// readyWithin is how long a component may take to be ready: a few seconds at most, on a busy machine ten times that.
const readyWithin = time.Minute

// probeEvery is how often one that starts is asked. None of them says when it is ready.
const probeEvery = 25 * time.Millisecond

func (c *Cluster) pidFile(k component) string { return c.path("run", k.name+".pid") }

// ensure starts the component if it does not run, and returns when it is ready.
func (c *Cluster) ensure(ctx context.Context, k component) error {
	p, err := process.Find(c.pidFile(k))
	if err != nil {
		return err
	}
	if p == nil {
		p, err = process.Start(process.Spec{Name: k.name, Command: k.args(c), Log: c.log(k.name), PIDFile: c.pidFile(k)})
		if err != nil {
			return err
		}
	}
	return c.await(ctx, k, p)
}

// await returns when the component is ready, has ended, or has taken too long.
func (c *Cluster) await(ctx context.Context, k component, p *process.Process) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		err := k.probe(ctx, c)
		if err == nil {
			return nil
		}
		select {
		case <-p.Exited():
			return c.failure(k, "ended before it was ready")
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.Canceled) {
				return fmt.Errorf("wait for %s: %w", k.name, context.Canceled)
			}
			return c.failure(k, fmt.Sprintf("is not ready after %s: %v", readyWithin, err))
		case <-tick.C:
		}
	}
}

// failure tells what went wrong with a component, in its own last words.
func (c *Cluster) failure(k component, what string) error {
	return fmt.Errorf("%s %s; the end of its log %s:\n%s", k.name, what, c.log(k.name), tail(c.log(k.name), 15))
}

// tail returns the last lines of a file.
func tail(path string, lines int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// stop returns when the component has gone.
func (c *Cluster) stop(ctx context.Context, k component) error {
	p, err := process.Find(c.pidFile(k))
	if err != nil {
		return err
	}
	if p != nil {
		if err := p.Stop(ctx, k.grace); err != nil {
			return fmt.Errorf("stop %s: %w", k.name, err)
		}
	}
	if err := os.Remove(c.pidFile(k)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Start starts the named components that do not run.
func (c *Cluster) Start(ctx context.Context, names []string) error {
	return c.each(names, func(k component) error { return c.ensure(ctx, k) })
}

// Stop stops the named components. The containers of pods are none of them and run on.
func (c *Cluster) Stop(ctx context.Context, names []string) error {
	return c.each(names, func(k component) error { return c.stop(ctx, k) })
}

// Restart stops and starts the named components, one after the other. A kubelet that is ready again may for a moment
// not know its pods yet, and say of their logs that there are none: what a real one does too.
func (c *Cluster) Restart(ctx context.Context, names []string) error {
	return c.each(names, func(k component) error {
		if err := c.stop(ctx, k); err != nil {
			return err
		}
		return c.ensure(ctx, k)
	})
}

func (c *Cluster) each(names []string, do func(component) error) error {
	for _, n := range names {
		k, err := find(n)
		if err != nil {
			return err
		}
		if err := do(k); err != nil {
			return err
		}
	}
	return nil
}

// Status says of each component whether it runs and is ready.
func (c *Cluster) Status(ctx context.Context) error {
	var unwell error
	for _, k := range components {
		p, err := process.Find(c.pidFile(k))
		if err != nil {
			return err
		}
		state := "ready"
		if p == nil {
			state = "stopped"
		} else if err := k.probe(ctx, c); err != nil {
			state = "not ready: " + err.Error()
		}
		if state != "ready" {
			unwell = errors.New("not all components are ready: `up` starts what is stopped")
			c.say("%-24s %s, log %s", k.name, state, c.log(k.name))
			continue
		}
		c.say("%-24s %s, pid %d", k.name, state, p.PID)
	}
	return unwell
}
