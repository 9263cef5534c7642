package main

import (
	"context"

	"github.com/podrunner/runner/plugins/source-faktory/internal/faktory"
	"github.com/podrunner/runner/sdk"
)

var _ sdk.Scaler = (*source)(nil)

// Scale implements sdk.Scaler: as many runners as it takes for each to have at most concurrency of the jobs that wait in
// the queues of this source, or run. Jobs that wait for another try or for their time are none of them yet.
func (s *source) Scale(ctx context.Context, current, concurrency int) (int, error) {
	var state faktory.Info
	err := s.pool.With(ctx, func(conn *faktory.Conn) (err error) {
		state, err = conn.Info(ctx)
		return err
	})
	if err != nil {
		return 0, err
	}
	jobs := uint64(0)
	for _, q := range s.config.queues {
		jobs += state.Queues[q.name]
	}
	each := uint64(max(concurrency, 1)) //nolint:gosec // not negative
	// A server counts the jobs of all its workers together. More than these runners can run are not theirs.
	jobs += min(state.Working, uint64(max(current, 0))*each) //nolint:gosec // as above
	return int(min((jobs+each-1)/each, maxRunners)), nil     //nolint:gosec // at most maxRunners
}

// maxRunners bounds an answer; there is no number of runners anywhere near it.
const maxRunners = 1 << 20
