package telemetry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// checkTimeout bounds a check that is made because somebody asks.
const checkTimeout = 2 * time.Second

// errUnknown is the state of what has been declared and not heard of.
var errUnknown = errors.New("not ready yet")

// Health knows whether a runner can do its work. All methods are safe for concurrent use, and do nothing on nil.
type Health struct {
	mu    sync.Mutex
	names []string
	parts map[string]*part
}

// part is one thing that has to be good.
type part struct {
	err error
	// check is asked when the answer is older than every; nil for what is told by Set.
	check func(ctx context.Context) error
	every time.Duration
	asked time.Time
	// asking is held while check is asked, so that many who ask make one call.
	asking sync.Mutex
}

// NewHealth returns a Health in which nothing has been declared.
func NewHealth() *Health { return &Health{parts: map[string]*part{}} }

// Declare names a thing that has to be good: until Set says so, it is not.
func (h *Health) Declare(name string) {
	if h != nil {
		h.add(name, &part{err: errUnknown})
	}
}

// Set says how a thing is; nil is good.
func (h *Health) Set(name string, err error) {
	if h == nil {
		return
	}
	h.Declare(name)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts[name].err = err
}

// Check names a thing that is looked at when somebody asks, within two seconds; an answer stands for a while.
func (h *Health) Check(name string, every time.Duration, check func(ctx context.Context) error) {
	if h != nil {
		h.add(name, &part{err: errUnknown, check: check, every: every})
	}
}

func (h *Health) add(name string, p *part) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.parts[name] == nil {
		h.parts[name] = p
		h.names = append(h.names, name)
		slices.Sort(h.names)
	}
}

// State is how one thing is; a nil Err is good.
type State struct {
	Name string
	Err  error
}

// States returns how all things are, by name. What has to be looked at is looked at at once.
func (h *Health) States(ctx context.Context) []State {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	states := make([]State, len(h.names))
	parts := make([]*part, len(h.names))
	for i, name := range h.names {
		states[i], parts[i] = State{Name: name}, h.parts[name]
	}
	h.mu.Unlock()
	var wg sync.WaitGroup
	for i, p := range parts {
		wg.Go(func() { states[i].Err = h.look(ctx, p) })
	}
	wg.Wait()
	return states
}

// look returns how a thing is.
func (h *Health) look(ctx context.Context, p *part) error {
	if p.check == nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		return p.err
	}
	p.asking.Lock()
	defer p.asking.Unlock()
	if time.Since(p.asked) < p.every {
		return p.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	p.err = p.check(ctx)
	p.asked = time.Now()
	return p.err
}

// Ready returns nil when all is good, else what is not.
func (h *Health) Ready(ctx context.Context) error {
	var bad []string
	for _, s := range h.States(ctx) {
		if s.Err != nil {
			bad = append(bad, fmt.Sprintf("%s: %v", s.Name, s.Err))
		}
	}
	if bad == nil {
		return nil
	}
	return errors.New(strings.Join(bad, "\n"))
}
