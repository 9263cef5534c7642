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

// checkTimeout bounds one check. A probe of Kubernetes waits one second by default; the answer that comes too late for
// it is there for the next.
const checkTimeout = 2 * time.Second

// maxWhyBytes bounds what a check may say.
const maxWhyBytes = 300

// errUnknown is the state of what was declared and not yet set.
var errUnknown = errors.New("not ready yet")

// Health is whether the runner can do its work: the parts that have to be good, and what is wrong with those that are
// not. It is safe for concurrent use; a nil one is always ready.
type Health struct {
	mu    sync.Mutex
	parts map[string]*part
}

// part is one thing that has to be good.
type part struct {
	err   error
	check *check
}

// State is how one part is.
type State struct {
	Name string
	// Err is nil when it is good. Its text is one line, and bounded.
	Err error
}

// NewHealth returns a Health with no parts, which is ready.
func NewHealth() *Health { return &Health{parts: map[string]*part{}} }

// Declare says that a part has to be good before the runner is ready. It is not until it is Set. One that is known
// already stays as it is.
func (h *Health) Declare(name string) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.parts[name] == nil {
		h.parts[name] = &part{err: errUnknown}
	}
}

// Set says how a part is; nil: good. It takes the place of a Check of that name.
func (h *Health) Set(name string, err error) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts[name] = &part{err: err}
}

// Check adds a part that is asked when somebody wants to know. The answer holds for a time, so that probes, however many,
// do not become load. The function is never called twice at once; the end of its context is 2 s away, and one that
// does not heed it counts as not good.
func (h *Health) Check(name string, every time.Duration, ask func(ctx context.Context) error) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts[name] = &part{check: &check{every: every, ask: ask}}
}

// States returns how each part is, by name. It asks the checks whose answers are too old, all at once, and returns
// when they have answered or ctx ends.
func (h *Health) States(ctx context.Context) []State {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	states := make([]State, 0, len(h.parts))
	checks := map[string]*check{}
	for name, p := range h.parts {
		states = append(states, State{Name: name, Err: p.err})
		if p.check != nil {
			checks[name] = p.check
		}
	}
	h.mu.Unlock()
	slices.SortFunc(states, func(a, b State) int { return strings.Compare(a.Name, b.Name) })
	var asked sync.WaitGroup
	for i := range states {
		if c := checks[states[i].Name]; c != nil {
			asked.Go(func() { states[i].Err = c.answer(ctx) })
		}
	}
	asked.Wait()
	for i, s := range states {
		if s.Err != nil {
			states[i].Err = oneLine{s.Err}
		}
	}
	return states
}

// Ready returns nil when all parts are good, else what is wrong, a line for each part that is not.
func (h *Health) Ready(ctx context.Context) error {
	var errs []error
	for _, s := range h.States(ctx) {
		if s.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Name, s.Err))
		}
	}
	return errors.Join(errs...)
}

// oneLine is an error that fits on a line.
type oneLine struct{ error }

func (e oneLine) Unwrap() error { return e.error }

func (e oneLine) Error() string {
	text := strings.ToValidUTF8(strings.Join(strings.Fields(e.error.Error()), " "), "?")
	if len(text) > maxWhyBytes {
		text = strings.ToValidUTF8(text[:maxWhyBytes], "") + "…"
	}
	return text
}
