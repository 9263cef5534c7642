// Package executor says what it takes to run a job's steps somewhere, and judges how they ended. The packages below it run
// them: kubernetes in a pod for each job, local with processes on this machine.
package executor

import (
	"context"
	"time"

	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
)

// Executor starts jobs. It is safe for concurrent use.
type Executor interface {
	// Start begins to run a job that has passed its Validate, and returns at once: what goes wrong later shows in
	// Result. The error is for what can be known without waiting, such as a platform that can't run jobs at all; it is
	// an infrastructure error. ctx bounds Start alone; the run goes on until Close.
	Start(ctx context.Context, job *job.Job) (Run, error)
}

// Run is a job that has been started. Its methods are safe for concurrent use, but Next is for one goroutine at a time. In
// particular Ack does not wait for a Next that waits: it is what makes room for the records that Next waits for.
type Run interface {
	// Next returns the next records of the job's log, of its init step first, as soon as there are any. The batch
	// belongs to the caller. It returns io.EOF after the last record, when the job is over. Any other error says that
	// the log can't be read further; it ends the run's log for good.
	Next(ctx context.Context) (*record.Batch, error)
	// Ack says that the first n records of the job, counted over all steps, are needed no longer. The run may forget
	// them; until then they count against its bound, and a job that prints more waits.
	Ack(n uint64)
	// Status returns a channel of what the job is doing, for people to watch: it is closed when the job is over. A
	// reader that is slow misses some, never the last one.
	Status() <-chan Status
	// Cancel asks the job to end: TERM to its process group, KILL after grace. It does not wait.
	Cancel(grace time.Duration)
	// Result returns how the steps ended, once Next has returned io.EOF or another error. It rests on evidence only.
	Result(ctx context.Context) (Result, error)
	// Close ends what still runs and removes all that the run has left behind, within ctx.
	Close(ctx context.Context) error
}

// Status is what a job is doing.
type Status struct {
	Phase Phase
	// Reason is a word, such as "ImagePull"; may be empty.
	Reason string
	// Message is for people.
	Message string
	Time    time.Time
}

// Phase is the part of its life that a job is in.
type Phase string

// The phases, in order.
const (
	Pending Phase = "pending"
	Running Phase = "running"
	Done    Phase = "done"
)

// Result is how the steps of a job ended.
type Result struct {
	Outcome  job.Outcome
	Reason   job.Reason
	Message  string
	ExitCode *int
	// Records is the number of records that the steps wrote, as their exit records say.
	Records uint64
	// Gap says what is missing or changed when the records read do not match the exit records; empty when they match.
	Gap string
	// Started and Finished bound the time in which the steps ran; zero when none did.
	Started, Finished time.Time
	// Note is a line to end the log with that does not change the result; may be empty.
	Note string
	// Kept is what another runner has found the job to come to, and could not report; nil when there is no such thing. It is
	// the job's result, whatever the rest says.
	Kept *Kept
}
