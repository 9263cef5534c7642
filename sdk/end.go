package sdk

import (
	"bytes"
	"errors"
	"strings"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// End is the end of a job: its result, which goes through the same processors as its log, in the same order.
type End struct {
	// Outcome is "success", "failed", "canceled", "pod_timeout", "execution_timeout", "queue_timeout" or "unstarted".
	Outcome string
	// Reason is a word for programs, such as "init_failed"; empty on success.
	Reason string
	// Message is for people; may be empty.
	Message string
	// ExitCode is the exit code of the step that decided; nil when there is none.
	ExitCode *int32
	// Variables are the outcome variables so far, in the order in which they are reported.
	Variables []Variable

	lines []*pluginv1.FinalLine
	size  int
	err   error
}

// Variable is an outcome variable of a job.
type Variable struct {
	Key string
	// Value is not always UTF-8.
	Value []byte
}

// AppendLine adds a line to the end of the log. stream is Stdout or Stderr. text holds no line end; it is copied. A wrong
// line ends the job in this processor when Finish returns, as an error would.
func (e *End) AppendLine(stream Stream, text []byte) {
	if stream == Outcome {
		e.err = errors.New("AppendLine: no line can be added to the outcome file; set Variables")
		return
	}
	if bytes.IndexByte(text, '\n') >= 0 {
		e.err = errors.New("AppendLine: the text holds a line end; call it once for each line")
		return
	}
	e.size += editColumnBytes + len(text)
	if e.size > maxEditBytes {
		e.err = errors.New("AppendLine: too much text")
		return
	}
	e.lines = append(e.lines, &pluginv1.FinalLine{Line: bytes.Clone(text), Flags: uint32(stream)})
}

func endOf(result *pluginv1.JobResult) *End {
	end := &End{
		Outcome:  result.Outcome,
		Reason:   result.Reason,
		Message:  result.Message,
		ExitCode: result.ExitCode,
	}
	for _, v := range result.Variables {
		end.Variables = append(end.Variables, Variable{Key: v.Key, Value: v.Value})
	}
	return end
}

// putInto changes result, in place, so that fields which this version does not know go on with it.
func (e *End) putInto(result *pluginv1.JobResult) {
	result.Outcome, result.Reason, result.Message = utf8Of(e.Outcome), utf8Of(e.Reason), utf8Of(e.Message)
	result.ExitCode = e.ExitCode
	result.Variables = nil
	for _, v := range e.Variables {
		result.Variables = append(result.Variables, &pluginv1.Variable{Key: utf8Of(v.Key), Value: v.Value})
	}
}

// utf8Of makes s fit a protobuf string: a text that an author has cut between two bytes of a character must not cost
// the job its result.
func utf8Of(s string) string { return strings.ToValidUTF8(s, "�") }
