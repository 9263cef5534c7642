package sdk

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// maxReleases bounds the releases that a source is told of at once.
	maxReleases = 64
	// releaseTimeout bounds one call of Released.
	releaseTimeout = time.Minute
	// releasePatience is how long, at the end, the calls may go on before their contexts end.
	releasePatience = 3 * time.Second
)

// releases are the calls of a source's Released. Nothing waits for them but those of the same job, which come one after the
// other, and the end of the source.
type releases struct {
	source JobSource
	logger hclog.Logger
	// ctx is that of all calls.
	ctx    context.Context //nolint:containedctx // it spans streams, and ends with the source
	cancel context.CancelFunc
	// room holds a value for each release that is not over.
	room chan struct{}

	mu sync.Mutex
	// last is closed, by a job's id, when its latest release is over.
	last map[string]chan struct{}
}

func newReleases(source JobSource, logger hclog.Logger) *releases {
	r := &releases{source: source, logger: logger, room: make(chan struct{}, maxReleases), last: map[string]chan struct{}{}}
	r.ctx, r.cancel = context.WithCancel(hclog.WithContext(context.Background(), logger))
	return r
}

// add has the source told of a release. It waits only when too many are under way.
func (r *releases) add(release Release) {
	select {
	case r.room <- struct{}{}:
	case <-r.ctx.Done():
		r.logger.Error("the source is closed, and can't be told of a job that is not run", "job", release.Job.ID)
		return
	}
	over := make(chan struct{})
	r.mu.Lock()
	before := r.last[release.Job.ID]
	r.last[release.Job.ID] = over
	r.mu.Unlock()
	go func() {
		if before != nil {
			<-before
		}
		r.tell(release)
		r.mu.Lock()
		if r.last[release.Job.ID] == over {
			delete(r.last, release.Job.ID)
		}
		r.mu.Unlock()
		close(over)
		<-r.room
	}()
}

// tell makes one call.
func (r *releases) tell(release Release) {
	ctx, cancel := context.WithTimeout(r.ctx, releaseTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			_ = panicked(r.logger, "Released", p) // it is logged, and nobody waits for it
		}
	}()
	if err := r.source.Released(ctx, release); err != nil {
		r.logger.Error("the source failed", "call", "Released", "job", release.Job.ID, "error", err)
	}
}

// end tells the source of the last ones, and waits for all calls: first as long as they may take, then with their contexts
// ended, until ctx ends.
func (r *releases) end(ctx context.Context, last []Release) {
	defer r.cancel()
	defer time.AfterFunc(releasePatience, r.cancel).Stop()
	for _, release := range last {
		r.add(release)
	}
	for range cap(r.room) {
		select {
		case r.room <- struct{}{}: // and nothing more is begun
		case <-ctx.Done():
			r.logger.Error("the source does not return from Released, and is closed all the same")
			return
		}
	}
}
