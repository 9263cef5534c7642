package pipeline

import (
	"context"
	"fmt"
	"runtime"
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

// Panic is a panic in a goroutine of a job's pipeline, as an error.
type Panic struct {
	// Value is what the code has panicked with.
	Value any
	// Callers are where, as runtime.Callers returns them; Stack is the same for people.
	Callers []uintptr
	Stack   []byte
}

// Error returns the value, and the stack on the lines behind it.
func (p *Panic) Error() string {
	return fmt.Sprintf("panic in core, please report it: %v\n%s", p.Value, p.Stack)
}

// NewPanic returns what the function that is called with defer has recovered.
func NewPanic(value any) *Panic {
	callers := make([]uintptr, maxCallers)
	// Without Callers and this function.
	return &Panic{Value: value, Callers: callers[:runtime.Callers(2, callers)], Stack: debug.Stack()}
}

// maxCallers bounds the calls of a panic that are told of.
const maxCallers = 64

// recovered calls f and makes a panic in it an error, with its place.
func recovered(ctx context.Context, f func(ctx context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = NewPanic(p)
		}
	}()
	return f(ctx)
}
