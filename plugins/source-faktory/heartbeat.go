package main

import (
	"context"
	"strings"
	"time"

	"github.com/podrunner/runner/plugins/source-faktory/internal/faktory"
	"github.com/podrunner/runner/sdk"
)

// beatUntil sends heartbeats until ctx ends, and does what the server says in answer.
func (s *source) beatUntil(ctx context.Context, link *link) {
	s.follow(ctx, link, s.wish()) // a stream after the one that was told to end
	ticker := time.NewTicker(s.beat)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		wish, err := s.sendBeat(ctx)
		if ctx.Err() != nil {
			return
		}
		link.report(err)
		if err != nil {
			sdk.Logger(ctx).Warn("a heartbeat had no effect", "error", err)
			continue
		}
		s.follow(ctx, link, wish)
	}
}

// sendBeat sends one heartbeat. A server that does not know this worker any more, since it has heard nothing for a minute,
// is introduced to it again.
func (s *source) sendBeat(ctx context.Context) (wish faktory.State, err error) {
	send := func(conn *faktory.Conn) error {
		wish, err = conn.Beat(ctx, s.pool.Worker().WID, s.wish())
		return err
	}
	err = s.pool.With(ctx, send)
	if text, refused := faktory.Refused(err); refused && strings.Contains(strings.ToLower(text), "unknown worker") {
		sdk.Logger(ctx).Info("Faktory does not know this worker any more; connecting anew")
		s.pool.Renew()
		err = s.pool.With(ctx, send)
	}
	return wish, err
}

// wish is what the server wants of this worker, as far as it has said.
func (s *source) wish() faktory.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// follow does what the server wants. There is no way back: a worker that was told to be quiet takes no more jobs in this
// process.
func (s *source) follow(ctx context.Context, link *link, wish faktory.State) {
	s.mu.Lock()
	before := s.state
	if wish == faktory.Quiet && before == faktory.Running || wish == faktory.Terminate {
		s.state = wish
		if before == faktory.Running {
			close(s.stopping)
		}
	}
	s.mu.Unlock()
	switch {
	case wish == faktory.Terminate && !link.drained:
		link.drained = true
		sdk.Logger(ctx).Info("Faktory wants this worker to end")
		link.intake.Drain("Faktory wants this worker to end")
	case wish == faktory.Quiet && before == faktory.Running:
		sdk.Logger(ctx).Warn("Faktory wants this worker to be quiet: no more jobs are taken from it until the runner starts again")
	}
}
