package opsleveltest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// mutate has a mutation's effect and returns its payload.
func (s *state) mutate(name string, arguments map[string]any, refuse func([]byte) bool) (map[string]any, *GraphQLError) {
	switch name {
	case "runnerRegister":
		queue, _ := arguments["queue"].(string)
		r := &Runner{ID: gid("Runners::Runner", 42+len(s.runners)), Queue: queue}
		s.runners = append(s.runners, r)
		return map[string]any{"runner": map[string]any{"id": r.ID, "status": "registered"}, "errors": []any{}}, nil
	case "runnerGetPendingJob":
		return s.pending(textOf(arguments["runnerId"]), arguments["lastUpdateToken"])
	case "runnerAppendJobLog":
		return s.append(arguments["input"], refuse)
	case "runnerReportJobOutcome":
		return s.report(arguments["input"])
	case "runnerUnregister":
		id := textOf(arguments["runnerId"])
		if err := s.known(id); err != nil {
			return nil, err
		}
		r := s.runner(id)
		for _, j := range s.jobs {
			if j.Runner == id && j.Status == "running" {
				r.Left = append(r.Left, j.ID)
			}
		}
		r.Gone = time.Now()
		return payload(), nil
	}
	return nil, &GraphQLError{Message: "Field '" + name + "' does nothing here"}
}

func textOf(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// payload is that of a mutation that has nothing but errors.
func payload(errs ...PayloadError) map[string]any {
	list := []any{}
	for _, e := range errs {
		list = append(list, e.value())
	}
	return map[string]any{"errors": list}
}

// pending hands out the oldest job for a runner.
func (s *state) pending(runner string, token any) (map[string]any, *GraphQLError) {
	if err := s.known(runner); err != nil {
		return nil, err
	}
	r := s.runner(runner)
	if given := textOf(token); given != "" && !slices.Contains(r.Tokens, given) {
		return nil, &GraphQLError{Message: "The token was not given to this runner"}
	}
	i := slices.IndexFunc(s.jobs, func(j *JobState) bool { return j.Status == "pending" && j.Queue == r.Queue })
	if i < 0 {
		if len(r.Tokens) == 0 {
			return map[string]any{"runnerJob": nil, "lastUpdateToken": nil, "errors": []any{}}, nil
		}
		return map[string]any{"runnerJob": nil, "lastUpdateToken": r.Tokens[len(r.Tokens)-1], "errors": []any{}}, nil
	}
	j := s.jobs[i]
	r.Tokens = append(r.Tokens, fmt.Sprintf("TOKEN%d", s.tokens))
	s.tokens++
	j.Status, j.Runner, j.Taken = "running", runner, time.Now()
	return map[string]any{"runnerJob": j.value(), "lastUpdateToken": r.Tokens[len(r.Tokens)-1], "errors": []any{}}, nil
}

// owned returns the job of an input, or what is wrong with that.
func (s *state) owned(runner, id string) (*JobState, *PayloadError, *GraphQLError) {
	if err := s.known(runner); err != nil {
		return nil, nil, err
	}
	switch j := s.job(id); {
	case j == nil:
		return nil, nil, &GraphQLError{Message: fmt.Sprintf("RunnerJob with id '%s' does not exist on this account", visible(id))}
	case j.Status == "pending":
		return nil, &PayloadError{Message: "job is not running", Path: []string{"runnerJobId"}}, nil
	case j.Runner != runner && j.Runner != "":
		return nil, &PayloadError{Message: "job does not belong to this runner", Path: []string{"runnerJobId"}}, nil
	case j.Status == "complete":
		return nil, &PayloadError{Message: "job is already complete", Path: []string{"runnerJobId"}}, nil
	default:
		return j, nil, nil
	}
}

// input reads the input of a mutation, which the schema has checked.
func input(value any, into any) {
	data, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		panic(err)
	}
}

func (s *state) append(value any, refuse func([]byte) bool) (map[string]any, *GraphQLError) {
	var in struct {
		RunnerID    string   `json:"runnerId"`
		RunnerJobID string   `json:"runnerJobId"`
		SentAt      string   `json:"sentAt"`
		LogChunk    []string `json:"logChunk"`
	}
	input(value, &in)
	j, refused, err := s.owned(in.RunnerID, in.RunnerJobID)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		return payload(*refused), nil
	}
	if len(in.LogChunk) == 0 {
		return payload(PayloadError{Message: "can't be blank", Path: []string{"logChunk"}}), nil
	}
	if _, err := time.Parse(time.RFC3339Nano, in.SentAt); err != nil {
		return nil, &GraphQLError{Message: "sentAt is not a time in ISO 8601"}
	}
	chunk := Chunk{SentAt: in.SentAt, Received: time.Now()}
	for _, encoded := range in.LogChunk {
		line, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil {
			return payload(PayloadError{Message: "is not base64", Path: []string{"logChunk"}}), nil
		}
		if refuse != nil && refuse(line) {
			return payload(PayloadError{Message: "is invalid", Path: []string{"logChunk"}}), nil
		}
		chunk.Lines = append(chunk.Lines, line)
	}
	j.Chunks = append(j.Chunks, chunk)
	return payload(), nil
}

func (s *state) report(value any) (map[string]any, *GraphQLError) {
	var in struct {
		RunnerID         string             `json:"runnerId"`
		RunnerJobID      string             `json:"runnerJobId"`
		Outcome          string             `json:"outcome"`
		OutcomeVariables *[]OutcomeVariable `json:"outcomeVariables"`
	}
	input(value, &in)
	j, refused, err := s.owned(in.RunnerID, in.RunnerJobID)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		return payload(*refused), nil
	}
	if in.OutcomeVariables != nil {
		if len(*in.OutcomeVariables) == 0 {
			return payload(PayloadError{Message: "can't be empty", Path: []string{"outcomeVariables"}}), nil
		}
		j.OutcomeVariables = *in.OutcomeVariables
	}
	j.Status, j.Outcome, j.Reported = "complete", in.Outcome, time.Now()
	return payload(), nil
}

func (s *state) known(runner string) *GraphQLError {
	if s.runner(runner) == nil {
		return &GraphQLError{Message: fmt.Sprintf("Runner with id '%s' does not exist on this account", visible(runner))}
	}
	return nil
}
