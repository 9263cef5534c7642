package executor

import (
	"context"
	"errors"
	"time"

	"github.com/podrunner/runner/core/internal/job"
)

// ErrTaken says that another runner has taken a job over. Nothing may be said of the job any more.
var ErrTaken = errors.New("another runner has taken the job over")

// ErrNothingLeft says that there is nothing that could be left to another runner.
var ErrNothingLeft = errors.New("there is nothing left of the job")

// Adopter is an Executor whose jobs go on when core does not, so that another runner can take them over.
type Adopter interface {
	Executor
	// Orphans gets a value after there may be more jobs to adopt. It is for one reader.
	Orphans() <-chan struct{}
	// Waiting is how many jobs there are to adopt, as far as is known.
	Waiting() int
	// Adopt takes over one job whose runner is gone; nil when there is none. Of several runners one gets it. reserve is
	// told the id of a job before it is taken, and may refuse it: it runs here already. A job that is returned is the
	// caller's, who has to Close or Leave its Run; one that was reserved and is not returned is not.
	Adopt(ctx context.Context, reserve func(id string) bool) (*Adopted, error)
}

// Adopted is a job that was taken over.
type Adopted struct {
	// Job has its key, what its source has noted about it, its labels and its variables; commands and files it has not.
	Job *job.Job
	// Runner is the name of the one that is gone.
	Runner string
	// Delivered is how far its log was delivered by then, as far as is known.
	Delivered Progress
	// Kept is what the job has come to; nil when that is to be found out.
	Kept *Kept
	Run  Lasting
}

// Lasting is a Run that goes on when core does not, and that keeps what another runner has to know.
type Lasting interface {
	Run
	// Taken is closed when another runner has taken the job over.
	Taken() <-chan struct{}
	// Note has it kept with the job how far its log has been delivered. It does not wait.
	Note(Progress)
	// Missing is the part of the log that Next does not return because another runner has delivered it and it is kept no
	// longer; zero when all of the log is there. It is known once Next has returned what comes behind it.
	Missing() Hole
	// Keep keeps with the job what it has come to, for whoever reports it. What is kept holds no sensitive value.
	Keep(ctx context.Context, kept Kept) error
	// Leave is for a job that others are to go on with; it takes the place of Close, unless the error is ErrNothingLeft.
	Leave(ctx context.Context) error
}

// Progress is how far the log of a job has been delivered. All that it counts is counted from the beginning of the job.
type Progress struct {
	// Records are those of which all that came of them is delivered, At the lines that came of them.
	Records uint64 `json:"records"`
	At      uint64 `json:"at"`
	// Lines are the lines that the source has; those behind At are of records that have not been delivered in full.
	Lines uint64 `json:"lines"`
	// Sent is the number of the last line that the source has, which counts core's own lines about the delivery, too.
	Sent uint64 `json:"sent"`
}

// Hole is a part of a log that is not there any more.
type Hole struct {
	// After is the number of records before it, Records that of those in it.
	After, Records uint64
	// At is the number of lines that came of all records up to its end.
	At uint64
}

// Number returns the number of the record of the job that is the nth of those that are left.
func (h Hole) Number(n uint64) uint64 {
	if n > h.After {
		return n + h.Records
	}
	return n
}

// Kept is what a job has come to, as it is to be reported.
type Kept struct {
	Result            job.Result
	Records           uint64
	Started, Finished time.Time
}
