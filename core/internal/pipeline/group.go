package pipeline

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// group is goroutines that end together: the first error cancels the others. It owns them; wait returns when all are
// gone.
type group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

func newGroup(parent context.Context) *group {
	ctx, cancel := context.WithCancelCause(parent)
	return &group{ctx: ctx, cancel: cancel}
}

// run starts a goroutine. A panic in it is a bug in core; it ends the group's job and no other.
func (g *group) run(f func(ctx context.Context) error) {
	g.wg.Go(func() {
		if err := recovered(g.ctx, f); err != nil {
			g.cancel(err)
		}
	})
}

// wait returns the first error.
func (g *group) wait() error {
	g.wg.Wait()
	err := context.Cause(g.ctx)
	g.cancel(nil)
	return err
}

// recovered calls f and makes a panic in it an error, with its place.
func recovered(ctx context.Context, f func(ctx context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in core, please report it: %v\n%s", p, debug.Stack())
		}
	}()
	return f(ctx)
}
