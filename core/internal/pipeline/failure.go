package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// checkFinished looks at the end of a job as a processor has returned it.
func (s *stage) checkFinished(finished *pluginv1.Finished) (*job.Result, error) {
	switch batches, finish := s.window.all(); {
	case len(batches) > 0:
		return nil, errors.New("it sent Finished while records wait for their acknowledgement")
	case finish == nil:
		return nil, errors.New("it sent Finished before it was sent Finish")
	}
	for _, line := range finished.GetLines() {
		if record.Flags(line.GetFlags())&record.Partial != 0 {
			return nil, errors.New("a line of Finished is marked as partial")
		}
		if record.Flags(line.GetFlags())&record.Outcome != 0 {
			return nil, errors.New("a line of Finished is marked as one of the outcome file")
		}
		if bytes.IndexByte(line.GetLine(), '\n') >= 0 {
			return nil, errors.New("a line of Finished has a line end in it")
		}
	}
	return fromResult(finished.GetResult())
}

// finish writes the last lines and sends on the result.
func (s *stage) finish(lines []*pluginv1.FinalLine, result *job.Result) error {
	for _, l := range lines {
		if err := s.output.addLine(record.Flags(l.GetFlags()), l.GetLine()); err != nil {
			return err
		}
	}
	return s.sendResult(result)
}

// sendResult closes the log and sends on the result.
func (s *stage) sendResult(result *job.Result) error {
	if err := s.output.finish(); err != nil {
		return err
	}
	_, finish := s.window.all()
	return send(s.ctx, s.out, item{through: finish.through, result: result})
}

// fail does the rest of the stage's work without its processor, as on_error says. Nothing happens silently: the log
// says that the processor has failed, and how many records it has cost.
func (s *stage) fail(ctx context.Context, cause error) error {
	text := s.options.Redact(fmt.Sprintf("processor %q failed: %v", s.Name, cause))
	s.options.Logger.Error("processor failed for good", "processor", s.Name, "job", s.options.Job.ID,
		"on_error", string(s.OnError), "error", text)
	if s.OnError == Fail && s.options.Failed != nil {
		s.options.Failed(s.Name, text)
	}
	if err := s.mark(text + "; " + s.OnError.consequence()); err != nil {
		return err
	}
	// At once: the job may print nothing more for hours, or all of it is withheld.
	if err := s.output.flush(); err != nil {
		return err
	}
	rest, finish := s.window.all()
	withheld := 0
	without := func(it item) error {
		s.through = it.through
		if it.batch != nil && (s.OnError == Pass || s.passesAround(it.batch)) {
			return s.output.pass(it.batch)
		}
		if it.batch != nil {
			withheld += it.batch.Len()
		}
		return s.emit(nil)
	}
	for _, b := range rest {
		if err := without(b.item); err != nil {
			return err
		}
	}
	for finish == nil {
		it, err := receive(ctx, s.in)
		if err != nil {
			return err
		}
		if it.result != nil {
			finish = &it
			s.window.add(it, 0, false)
		} else if err := without(it); err != nil {
			return err
		}
	}
	if withheld > 0 {
		if err := s.mark(fmt.Sprintf("%d lines are missing because processor %q failed", withheld, s.Name)); err != nil {
			return err
		}
	}
	return s.sendResult(s.failedResult(finish.result, text))
}

// mark writes a line of core's own. A line of the job that is open is closed before it when its rest will not come.
func (s *stage) mark(text string) error {
	if s.OnError != Pass {
		if err := s.output.finish(); err != nil {
			return err
		}
	}
	return s.output.addLine(record.Stderr, note(text))
}

// consequence tells a reader of the log what a failure means for it.
func (o OnError) consequence() string {
	switch o {
	case Pass:
		return "the log from here on has not gone through it"
	case Drop:
		return "the log from here on is withheld"
	default:
		return "the job is ended, and its log from here on is withheld"
	}
}

// failedResult is the job's result when the processor has failed. What a processor that redacts has not seen is left
// out.
func (s *stage) failedResult(result *job.Result, text string) *job.Result {
	out := *result
	if s.Redacts && s.OnError != Pass {
		out.Message, out.Variables = text, nil
	}
	if s.OnError != Pass && s.OnError != Drop {
		out.Outcome, out.Reason, out.Message = job.Failed, job.ReasonProcessor, text
	}
	return &out
}
