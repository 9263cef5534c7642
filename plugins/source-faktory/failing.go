package main

import (
	"context"
	"time"

	"github.com/podrunner/runner/plugins/source-faktory/internal/faktory"
	"github.com/podrunner/runner/sdk"
)

// failing is a job that is being failed. Faktory knows a job by its jid and not by its delivery: a FAIL that comes again, as
// its answer was lost, or that comes late, would end the next delivery of the job, which may run elsewhere by then, and have
// it run once more.
type failing struct {
	faktory.Failure
	// reserved is the end of the reservation, zero when that is far.
	reserved time.Time
	// first is when it was first tried with no answer, zero when it was not.
	first time.Time
}

// failAgain bounds the tries after the first one that may have worked. Faktory hands a job that was failed out again after
// 15 s at the earliest.
const failAgain = 10 * time.Second

// try fails the job, unless it is too late for that. Then its reservation ends without that, or has ended, and Faktory hands
// it out again all the same.
func (f *failing) try(ctx context.Context, conn *faktory.Conn) error {
	begun := time.Now()
	switch {
	case !f.reserved.IsZero() && begun.After(f.reserved):
		sdk.Logger(ctx).Warn("a job is not failed, as its reservation has ended: Faktory has handed it out again, or will", "jid", f.JID, "why", f.Message)
		return nil
	case !f.first.IsZero() && begun.Sub(f.first) > failAgain:
		sdk.Logger(ctx).Warn("a job may have been failed, and is not failed again: it may run elsewhere by now. If it was not, Faktory hands it out again when its reservation ends",
			"jid", f.JID, "why", f.Message)
		return nil
	}
	err := conn.Fail(ctx, f.Failure)
	if _, refused := faktory.Refused(err); err != nil && !refused && f.first.IsZero() {
		f.first = begun
	}
	return err
}
