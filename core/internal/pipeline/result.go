package pipeline

import (
	"fmt"
	"strings"

	"github.com/podrunner/runner/core/internal/job"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// ResultToProto makes the protocol's form of a result, whose texts are UTF-8.
func ResultToProto(r *job.Result) *pluginv1.JobResult {
	out := &pluginv1.JobResult{
		Outcome: string(r.Outcome),
		Reason:  string(r.Reason),
		Message: strings.ToValidUTF8(r.Message, "\uFFFD"),
	}
	if r.ExitCode != nil {
		code := int32(*r.ExitCode)
		out.ExitCode = &code
	}
	for _, v := range r.Variables {
		out.Variables = append(out.Variables, &pluginv1.Variable{Key: v.Key, Value: v.Value})
	}
	return out
}

// fromResult makes a result of the protocol's form, which a plugin has filled in.
func fromResult(r *pluginv1.JobResult) (*job.Result, error) {
	if r == nil {
		return nil, fmt.Errorf("it has no result")
	}
	out := &job.Result{
		Outcome: job.Outcome(r.GetOutcome()),
		Reason:  job.Reason(r.GetReason()),
		Message: r.GetMessage(),
	}
	if !out.Outcome.Valid() {
		return nil, fmt.Errorf("its result has the unknown outcome %q", r.GetOutcome())
	}
	if r.ExitCode != nil {
		code := int(r.GetExitCode())
		out.ExitCode = &code
	}
	for _, v := range r.GetVariables() {
		out.Variables = append(out.Variables, job.OutcomeVariable{Key: v.GetKey(), Value: v.GetValue()})
	}
	return out, nil
}
