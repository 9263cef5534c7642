package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/podrunner/runner/plugins/source-faktory/internal/faktory"
	"github.com/podrunner/runner/plugins/source-faktory/internal/payload"
	"github.com/podrunner/runner/sdk"
)

// fetchUntil takes jobs, one after the other, until ctx ends or the server wants no more of this worker. One fetch at a
// time is enough: a server that has jobs answers at once.
func (s *source) fetchUntil(ctx context.Context, in *sdk.Intake, link *link) {
	claiming, cancel := context.WithCancel(ctx)
	defer cancel()
	stopping := make(chan struct{})
	defer close(stopping)
	go func() {
		select {
		case <-s.stopping:
			cancel()
		case <-stopping:
		}
	}()
	var pause sdk.Backoff
	for {
		claim, err := in.Claim(claiming)
		if err != nil {
			return
		}
		asked := time.Now()
		raw, err := s.fetch(ctx, claim)
		if errors.Is(err, sdk.ErrRevoked) {
			sdk.Logger(ctx).Info("a fetch was broken off, as the runner ends; a job that came at that moment comes again when its reservation ends")
			claim.Drop()
			continue
		}
		link.report(err)
		if raw != nil {
			pause.Reset()
			s.take(ctx, claim, raw, asked)
			continue
		}
		claim.Drop()
		if _, refused := faktory.Refused(err); refused {
			sdk.Logger(ctx).Warn("Faktory refuses to hand out a job", "error", err)
		}
		if err == nil && time.Since(asked) > faktory.FetchWait/2 {
			pause.Reset() // the server has waited itself
			continue
		}
		if !pause.Wait(claiming) {
			return
		}
	}
}

// patience is how long a fetch that core has no use for any more is waited for. A server answers within FetchWait, so it
// is broken off only if it was sent at the very moment: then a runner that was told to stop, and has nothing to do, would
// take more than the two seconds that people give it.
const patience = faktory.FetchWait - 300*time.Millisecond

// fetch asks for one job. Once the command is on its way, the end of ctx does not end it, and a revoked claim does only
// after a while.
func (s *source) fetch(ctx context.Context, claim *sdk.Claim) (raw []byte, err error) {
	fetching, release := claim.Context(ctx, patience)
	defer release()
	select {
	case s.fetching <- struct{}{}:
		defer func() { <-s.fetching }()
	case <-fetching.Done():
		return nil, sdk.ErrRevoked
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	err = s.pool.With(ctx, func(conn *faktory.Conn) error {
		raw, err = conn.Fetch(fetching, s.config.queues.order())
		return err
	})
	if err != nil && errors.Is(context.Cause(fetching), sdk.ErrRevoked) {
		return nil, sdk.ErrRevoked
	}
	return raw, err
}

// take offers a job to core, or fails it when it is none that core could take.
func (s *source) take(ctx context.Context, claim *sdk.Claim, raw []byte, asked time.Time) {
	defer claim.Drop()
	job, err := payload.Parse(raw, s.isType)
	var offer sdk.Offer
	if err == nil {
		offer, err = s.config.offer(job, asked)
	}
	if err != nil {
		s.refuse(ctx, job.JID, err)
		return
	}
	h := handle{JID: job.JID, Attempt: job.Attempt, Retried: job.Retried, Reserved: asked.Add(job.ReserveFor)}
	s.memory.with(h, job.ID, func(r *running) {
		if !job.Retried {
			r.raw = raw
		}
	})
	switch err := claim.Offer(offer); {
	case err == nil:
	case errors.Is(err, sdk.ErrUnsendable): // nor would it be when it comes again
		s.memory.forget(h.delivery())
		s.refuse(ctx, job.JID, err)
	default:
		s.giveBack(ctx, h, fmt.Sprintf("the runner could not take the job: %v", err))
	}
}

// refuse fails a job that can't be run as it is.
func (s *source) refuse(ctx context.Context, jid string, err error) {
	if jid == "" {
		sdk.Logger(ctx).Error("a job without a jid was fetched; it is left alone", "error", err)
		return
	}
	sdk.Logger(ctx).Warn("a job is failed, because it can't be run as it is", "jid", jid, "error", err)
	f := &failing{Failure: faktory.Failure{ErrType: "unknown", JID: jid, Message: err.Error()}} // it has been reserved just now
	s.insist(ctx, "fail the job", jid, f.try)
}

// giveBack returns a job to Faktory that core has not run. One that Faktory tries again is failed. One that it would
// throw away, or move to the dead, is pushed as it came, and then acknowledged: in this order, so that it may come twice
// when the process dies in between, but is not lost. It is not fetched here in between: the acknowledgement would be for that
// delivery.
func (s *source) giveBack(ctx context.Context, h handle, message string) {
	raw := s.memory.forget(h.delivery())
	f := &failing{reserved: h.Reserved, Failure: faktory.Failure{ErrType: "unknown", JID: h.JID, Message: message}}
	pushed := false
	s.insist(ctx, "give the job back", h.JID, func(ctx context.Context, conn *faktory.Conn) error {
		if h.Retried || raw == nil {
			return f.try(ctx, conn)
		}
		select {
		case s.fetching <- struct{}{}:
			defer func() { <-s.fetching }()
		case <-ctx.Done():
			return ctx.Err()
		}
		if !pushed {
			err := conn.PushRaw(ctx, raw)
			if text, refused := faktory.Refused(err); refused && strings.HasPrefix(text, "NOTUNIQUE") {
				// The job holds the lock of its kind itself, until it is over.
				return f.try(ctx, conn)
			}
			if err != nil {
				return err
			}
			pushed = true
		}
		return conn.Ack(ctx, h.JID)
	})
}

// insistFor bounds how long a job is given back or failed when the server does not answer; after that, the end of its
// reservation does it.
const insistFor = 30 * time.Second

// insist tries until it has worked, or insistFor is over, or, after one try, ctx has ended.
func (s *source) insist(ctx context.Context, doing, jid string, do func(context.Context, *faktory.Conn) error) {
	waiting, cancel := context.WithTimeout(ctx, insistFor)
	defer cancel()
	var pause sdk.Backoff
	for {
		// A try that has begun is not ended by ctx: what it gives back would wait for the end of its reservation.
		try, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.DialTimeout+s.config.CommandTimeout)
		err := s.pool.With(try, func(conn *faktory.Conn) error { return do(try, conn) })
		cancel()
		if err == nil {
			return
		}
		if !pause.Wait(waiting) {
			sdk.Logger(ctx).Error("could not "+doing+"; Faktory hands it out again when its reservation ends", "jid", jid, "error", err)
			return
		}
	}
}

// Released implements sdk.JobSource.
func (s *source) Released(ctx context.Context, release sdk.Release) error {
	h, err := decodeHandle(release.Handle)
	if err != nil {
		return err
	}
	if !release.Duplicate {
		s.giveBack(ctx, h, textOr(release.Message, "the runner does not run the job"))
		return nil
	}
	s.memory.forget(h.delivery())
	switch other := s.memory.runsAs(release.Job.ID, h.JID); other {
	case h.JID, "":
		// The reservation of the job that runs had ended, and this is the new one. The acknowledgement at the job's end
		// is for this one as well. When it is not known which job runs, that is the case to assume: if the job
		// here were failed, it could run twice.
		return nil
	default:
		message := fmt.Sprintf("the job %s runs already, as Faktory's job %s", release.Job.ID, other)
		f := &failing{reserved: h.Reserved, Failure: faktory.Failure{ErrType: "duplicate", JID: h.JID, Message: message}}
		s.insist(ctx, "fail the job", h.JID, f.try)
		return nil
	}
}

func textOr(text, instead string) string {
	if text == "" {
		return instead
	}
	return text
}
