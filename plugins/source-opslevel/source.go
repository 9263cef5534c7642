package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/podrunner/runner/plugins/source-opslevel/internal/api"
	"github.com/podrunner/runner/sdk"
)

var (
	_ sdk.JobSource = (*source)(nil)
	_ sdk.Resumer   = (*source)(nil)
	_ sdk.Scaler    = (*source)(nil)
	_ io.Closer     = (*source)(nil)
)

const (
	// patience is how long an answer is waited for that core has no use for any more. The API hands out a job once: if its
	// answer is cut off, nobody runs that job. But a runner that was told to stop, and has nothing to do, is gone within a second.
	patience = 500 * time.Millisecond
	// maxPollPause bounds the pause between polls that have failed.
	maxPollPause = 30 * time.Second
)

// source takes jobs from the API.
type source struct {
	config *config
	// name is the runner's own name.
	name    string
	api     *api.Client
	runners *runners
	jobs    *jobs
	// registering is held while it is done.
	registering sync.Mutex
	// troubled is the error that was logged last, "" after one that is over. It belongs to Take. away says that there is one;
	// then back gets a value when a call about a job has worked.
	troubled string
	away     atomic.Bool
	back     chan struct{}
}

func connect(_ context.Context, runner string, c config) (*source, error) {
	return &source{
		config: &c, name: runner, runners: newRunners(), jobs: newJobs(), back: make(chan struct{}, 1),
		api: api.New(api.Options{
			URL: c.APIURL, Token: c.APIToken.Reveal(), Version: version, Extras: c.UserAgentExtras, Timeout: c.Timeout, Roots: c.roots,
		}),
	}, nil
}

// Take implements sdk.JobSource: it registers, and asks for jobs as long as core has slots.
func (s *source) Take(ctx context.Context, in *sdk.Intake) error {
	var pause sdk.Backoff
	pause.First, pause.Last = time.Second, maxPollPause
	for {
		if !s.enroll(ctx, in) {
			return nil
		}
		// Before the claim: a slot is no place to wait in.
		if err := s.api.Ready(ctx); err != nil {
			return nil //nolint:nilerr // the context has ended
		}
		claim, err := in.Claim(ctx)
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		found, err := s.poll(ctx, claim)
		claim.Drop()
		wait := s.interval()
		switch {
		case errors.Is(err, sdk.ErrRevoked):
			sdk.Logger(ctx).Warn("a request for a job was broken off, as the runner ends; a job that was handed out at that moment is run by nobody")
			continue
		case err != nil:
			wait = pause.Next()
			s.trouble(ctx, in, "asking for a job has failed", err, wait)
		default:
			s.well(in)
			pause.Reset()
		}
		if !found && !s.rest(ctx, wait) {
			return nil
		}
	}
}

// rest waits before the next poll, or until there is a job that core has not got yet, or a sign that the API is back. It
// reports false when ctx has ended.
func (s *source) rest(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.jobs.news:
	case <-s.back:
	case <-ctx.Done():
		return false
	}
	return true
}

// trouble says that the API does not do what it is asked for: at level warn when that is news.
func (s *source) trouble(ctx context.Context, in *sdk.Intake, what string, err error, wait time.Duration) {
	in.Disconnected(err.Error())
	s.away.Store(true)
	level := hclog.Debug
	if s.troubled != err.Error() {
		s.troubled, level = err.Error(), hclog.Warn
	}
	sdk.Logger(ctx).Log(level, what, "error", err, "again_in", wait.Round(time.Millisecond).String())
}

// well says that the API does what it is asked for.
func (s *source) well(in *sdk.Intake) {
	in.Connected()
	s.troubled = ""
	s.away.Store(false)
}

// worked takes note of a call about a job that has worked.
func (s *source) worked() {
	if s.away.Load() {
		select {
		case s.back <- struct{}{}:
		default:
		}
	}
}

// interval is the pause after a poll that has found nothing: of a different length each time, so that runners that were
// started together do not poll together.
func (s *source) interval() time.Duration {
	spread := s.config.PollInterval / 10
	return s.config.PollInterval - spread + rand.N(2*spread+1) //nolint:gosec // no secret
}

// poll asks for a job once, and offers it to core.
func (s *source) poll(ctx context.Context, claim *sdk.Claim) (found bool, err error) {
	if job := s.jobs.unstash(); job != nil {
		s.offer(ctx, claim, job)
		return true, nil
	}
	asking, release := claim.Context(ctx, patience)
	defer release()
	runner, token := s.runners.current()
	job, next, err := s.api.Pending(asking, runner, token)
	var broken *api.BrokenJob
	switch {
	case errors.As(err, &broken):
		s.runners.keep(runner, next)
		s.refuse(ctx, broken.ID, runner, broken.Error())
		return true, nil
	case err != nil && errors.Is(context.Cause(asking), sdk.ErrRevoked):
		return false, sdk.ErrRevoked
	case api.IsUnknownRunner(err):
		s.runners.gone(runner)
		return false, err
	case err != nil:
		return false, err
	}
	s.runners.keep(runner, next)
	if job == nil {
		return false, nil
	}
	s.offer(ctx, claim, &taken{runner: runner, job: job})
	return true, nil
}

// Scale implements sdk.Scaler.
func (s *source) Scale(ctx context.Context, current, concurrency int) (int, error) {
	runner, _ := s.runners.current()
	if runner == "" {
		return 0, errors.New("this runner is not registered with the OpsLevel API yet")
	}
	return s.api.Scale(ctx, runner, current, concurrency)
}

// Resume implements sdk.Resumer. The API has no way to ask for a job, and takes the log and the outcome of one under the
// id of the runner that it gave it to. So all there is to find out is whether the job belongs to the same account: runners of
// several accounts may share a namespace.
func (s *source) Resume(ctx context.Context, key sdk.JobKey, data []byte) (sdk.Offer, bool, error) {
	h, err := decodeHandle(data)
	if err != nil {
		return sdk.Offer{}, false, err
	}
	if err := s.register(ctx); err != nil {
		return sdk.Offer{}, false, err
	}
	if ours := s.runners.of(); h.Account != "" && ours != "" && h.Account != ours {
		return sdk.Offer{}, false, fmt.Errorf("the job belongs to the OpsLevel account %s, and the API token of this runner to %s", h.Account, ours)
	}
	s.jobs.open(key, h.Runner)
	return sdk.Offer{}, true, nil
}

// Close implements io.Closer: jobs that core never got are reported, and the runner unregisters.
func (s *source) Close() error {
	defer s.api.Close()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	for job := s.jobs.unstash(); job != nil; job = s.jobs.unstash() {
		s.refuse(ctx, job.job.ID, job.runner, "the runner was stopped before it could run the job")
	}
	var errs []error
	for _, runner := range s.runners.all() {
		if n := s.jobs.of(runner); n > 0 {
			errs = append(errs, fmt.Errorf("the runner stays registered with the OpsLevel API, as %d jobs of it are not over", n))
			continue
		}
		if err := s.unregister(ctx, runner); err != nil {
			errs = append(errs, fmt.Errorf("the runner stays registered with the OpsLevel API: %w", err))
		}
	}
	return errors.Join(errs...)
}
