package main

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/podrunner/runner/plugins/source-opslevel/internal/api"
	"github.com/podrunner/runner/sdk"
)

const (
	// maxEnrollPause bounds the pause between attempts to register.
	maxEnrollPause = 30 * time.Second
	// closeTimeout bounds what is done at the end.
	closeTimeout = 2 * time.Second
)

// runners are the ids under which the API knows this runner: the current one, and those from before. Its methods are safe
// for concurrent use.
type runners struct {
	mu sync.Mutex
	// id is "" when this runner is not registered; token is that of the last poll, account that of the API token.
	id, token, account string
	// earlier are ids that are still registered. lost are those that the API does not know any more.
	earlier, lost map[string]bool
}

func newRunners() *runners {
	return &runners{earlier: map[string]bool{}, lost: map[string]bool{}}
}

// current returns the id to ask for jobs with, and the token.
func (r *runners) current() (id, token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id, r.token
}

// of returns the account.
func (r *runners) of() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.account
}

// set takes over a new registration.
func (r *runners) set(id, account string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.id, r.token, r.account = id, "", account
	delete(r.lost, id)
}

// keep takes over the token of a poll, also when it had no job.
func (r *runners) keep(id, token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.id == id {
		r.token = token
	}
}

// gone says that the API does not know an id.
func (r *runners) gone(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost[id] = true
	delete(r.earlier, id)
	if r.id == id {
		r.id, r.token = "", ""
	}
}

// former notes an id that is registered beside the current one.
func (r *runners) former(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id != r.id && !r.lost[id] {
		r.earlier[id] = true
	}
}

// speakFor returns the id for calls about a job that was handed out to id: the same, or the current one when the API does
// not know it any more.
func (r *runners) speakFor(id string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost[id] && r.id != "" {
		return r.id
	}
	return id
}

// all returns every id that is registered.
func (r *runners) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.Sorted(maps.Keys(r.earlier))
	if r.id != "" {
		list = append(list, r.id)
	}
	return list
}

// enroll registers with the API, unless that is done, and tries until it has worked. It reports false when ctx has ended.
func (s *source) enroll(ctx context.Context, in *sdk.Intake) bool {
	pause := sdk.Backoff{First: time.Second, Last: maxEnrollPause}
	for {
		if id, _ := s.runners.current(); id != "" {
			return true
		}
		err := s.register(ctx)
		if err == nil {
			s.well(in)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		wait := pause.Next()
		s.trouble(ctx, in, "registering has failed", err, wait)
		if !sdk.Pause(ctx, wait) {
			return false
		}
	}
}

// as makes a call about a job that was handed out to a runner. When the API does not know that one any more, it is made
// as the runner that this one is now, which registers anew if it was the one.
func (s *source) as(ctx context.Context, runner string, call func(id string) error) error {
	id := s.runners.speakFor(runner)
	err := call(id)
	if err == nil {
		s.worked()
	}
	if !api.IsUnknownRunner(err) {
		return err
	}
	s.runners.gone(id)
	if current, _ := s.runners.current(); current == "" {
		if err := s.register(ctx); err != nil {
			return err
		}
	}
	again := s.runners.speakFor(runner)
	if again == id {
		return err
	}
	sdk.Logger(ctx).Warn("the API does not know the runner any more that it gave the job to; this one speaks for it", "runner", id, "now", again)
	return call(again)
}

// register finds out what is at the URL, and whether the token is good, and makes this runner known, if it is not.
func (s *source) register(ctx context.Context) error {
	s.registering.Lock()
	defer s.registering.Unlock()
	if id, _ := s.runners.current(); id != "" {
		return nil
	}
	app, err := s.api.Ping(ctx)
	if err != nil {
		return err
	}
	account, err := s.api.Validate(ctx)
	if err != nil {
		return err
	}
	// Once the request is on its way its answer is waited for, if not for long: an id that nobody knows would stay
	// registered for good.
	registering, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() {
		if sdk.Pause(registering, patience) {
			end()
		}
	})()
	id, err := s.api.Register(registering, s.config.Queue)
	if err != nil {
		return err
	}
	s.runners.set(id, account)
	sdk.Logger(ctx).Info("registered with the OpsLevel API", "runner", id, "queue", s.config.Queue, "api_version", app.Version)
	return nil
}

// unregister tries until it has worked or ctx ends.
func (s *source) unregister(ctx context.Context, runner string) error {
	var pause sdk.Backoff
	for {
		err := s.api.Unregister(ctx, runner)
		if err == nil || api.IsUnknownRunner(err) {
			s.runners.gone(runner)
			return nil
		}
		if api.IsRefused(err) || api.IsUnauthorized(err) || !pause.Wait(ctx) {
			return err
		}
	}
}
