package executor

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
	"github.com/podrunner/runner/core/internal/spool"
)

// Evidence is what is known of a step that was to run.
type Evidence struct {
	// Name of the step.
	Name string
	// Ran says that the step was started, or may have been.
	Ran bool
	// Exit is its exit record; nil when there is none.
	Exit *spool.Exit
	// Read counts and sums up the records of it that were read.
	Read spool.Tally
	// Partial says that the first records were not read here, but by another runner: Read counts them, and sums up nothing.
	Partial bool
}

// Succeeded tells whether there is evidence that the step ended well.
func (e *Evidence) Succeeded() bool { return e.Exit != nil && e.Exit.Code == 0 && e.Exit.Failure == "" }

// Ending is a request to end a job before its time, whoever made it.
type Ending struct {
	// At is by the clock of the machine that the steps run on.
	At      time.Time
	Outcome job.Outcome
	Reason  job.Reason
	Message string
}

// Canceled is the ending that a Cancel asks for.
func Canceled(at time.Time) *Ending {
	return &Ending{At: at, Outcome: job.Canceled, Reason: job.ReasonCanceled, Message: "the job was canceled"}
}

// Expired is the ending of a job that has used up its lifetime.
func Expired(at time.Time, lifetime time.Duration) *Ending {
	return &Ending{
		At: at, Outcome: job.ExecutionTimeout, Reason: job.ReasonLifetime,
		Message: fmt.Sprintf("the job ran longer than its lifetime of %s", lifetime),
	}
}

// Decided tells whether there is evidence of how a job ended whose steps, in order, are over; see Judge.
func Decided(steps []*Evidence, ending *Ending) bool {
	return ending != nil || endedByItself(steps, nil)
}

// endedByItself tells whether the last step that ran had ended before it was asked to, and was the last one or failed.
func endedByItself(steps []*Evidence, ending *Ending) bool {
	last := LastRan(steps)
	return last.Exit != nil && (ending == nil || last.Exit.Finished.Before(ending.At)) &&
		(last == steps[len(steps)-1] || !last.Succeeded())
}

// LastRan returns the last step that ran; the first one when none did.
func LastRan(steps []*Evidence) *Evidence {
	last := steps[0]
	for _, s := range steps {
		if s.Ran {
			last = s
		}
	}
	return last
}

// Judge comes to the result of a job whose steps, in order, are over. What counts is the last step that ran. A request to
// end the job, which may be nil, counts unless that step had ended by itself before, and was the last one or failed. When
// there is neither, otherwise tells outcome, reason, message and exit code.
func Judge(steps []*Evidence, ending *Ending, otherwise Result) Result {
	res := Result{Outcome: otherwise.Outcome, Reason: otherwise.Reason, Message: otherwise.Message, ExitCode: otherwise.ExitCode}
	switch {
	case endedByItself(steps, ending):
		res = judgeExit(LastRan(steps))
	case ending != nil:
		res = Result{Outcome: ending.Outcome, Reason: ending.Reason, Message: ending.Message}
		if last := LastRan(steps); last.Exit != nil && !last.Exit.Finished.Before(ending.At) {
			res.ExitCode = &last.Exit.Code
		}
	}
	res.Gap = gap(steps)
	for _, s := range steps {
		if s.Exit == nil {
			continue
		}
		res.Records += s.Exit.Records
		if res.Started.IsZero() {
			res.Started = s.Exit.Started
		}
		if !s.Exit.Started.IsZero() {
			res.Finished = s.Exit.Finished
		}
	}
	return res
}

// Lost is the result of a job of whose end there is no evidence.
func Lost(why string) Result {
	return Result{Outcome: job.Failed, Reason: job.ReasonInfrastructure, Message: why}
}

// judgeExit comes to the result by an exit record alone.
func judgeExit(s *Evidence) Result {
	code := s.Exit.Code
	res := Result{Outcome: job.Failed, ExitCode: &code}
	switch {
	case s.Exit.Failure == spool.FailureStart:
		res.Reason, res.ExitCode = job.ReasonStart, nil
		res.Message = fmt.Sprintf("step %q: %s", s.Name, s.Exit.Error)
	case s.Exit.Failure != "":
		res.Reason = job.ReasonInfrastructure
		res.Message = fmt.Sprintf("step %q was ended: its output could not be kept: %s", s.Name, s.Exit.Error)
	case code == 0:
		res.Outcome = job.Success
	case s.Name == record.StepInit:
		res.Reason = job.ReasonInitFailed
		res.Message = "the init commands " + how(s.Exit) + "; the commands were not run"
	default:
		res.Reason = job.ReasonExit
		res.Message = "the commands " + how(s.Exit)
	}
	return res
}

// how says how the commands ended.
func how(e *spool.Exit) string {
	if e.Signal != 0 {
		return fmt.Sprintf("were ended by signal %d (%s)", e.Signal, unix.SignalName(unix.Signal(e.Signal)))
	}
	return fmt.Sprintf("ended with exit code %d", e.Code)
}

// gap says what the log read lacks, by the steps' exit records; nothing when they match.
func gap(steps []*Evidence) string {
	for _, s := range steps {
		switch {
		case !s.Ran:
		case s.Exit == nil:
			return fmt.Sprintf("step %q: the log has no end; %d records of it were read", s.Name, s.Read.Records)
		case s.Read.Records != s.Exit.Records:
			return fmt.Sprintf("step %q: %d records were written and %d read", s.Name, s.Exit.Records, s.Read.Records)
		case !s.Partial && s.Read.Checksum != s.Exit.Checksum:
			return fmt.Sprintf("step %q: all %d records were read, but their checksum is not that of the records written",
				s.Name, s.Read.Records)
		}
	}
	return ""
}
