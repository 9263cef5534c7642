package opsleveltest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Job is a job that the API hands out.
type Job struct {
	// ID is its id; empty: one of JobID, with the next free number.
	ID string
	// Queue is the queue of the runners that get it; empty: those that have registered with none.
	Queue string

	Image        string
	Commands     []string
	InitImage    string
	InitCommands []string
	Variables    []Variable
	Files        []File
}

// Variable is a variable of a job. Scope is "init", "main", or empty for both.
type Variable struct {
	Key, Value string
	Sensitive  bool
	Scope      string
}

// File is a file of a job.
type File struct{ Name, Contents string }

// JobState is a job, and what runners have said of it.
type JobState struct {
	Job
	// Status is "pending", "running" or "complete"; Runner the id of the runner that has it.
	Status, Runner string
	// Outcome is "unstarted" before the report.
	Outcome          string
	OutcomeVariables []OutcomeVariable
	Chunks           []Chunk
	// Taken and Reported are when it was handed out, and when its outcome came; zero before that.
	Taken, Reported time.Time
}

// OutcomeVariable is a variable that a job has handed back.
type OutcomeVariable struct{ Key, Value string }

// Chunk is a part of a job's log.
type Chunk struct {
	SentAt   string
	Received time.Time
	Lines    [][]byte
}

// Lines are all lines of the log.
func (j *JobState) Lines() [][]byte {
	var lines [][]byte
	for _, c := range j.Chunks {
		lines = append(lines, c.Lines...)
	}
	return lines
}

// Log is the log as one text, a newline after each line.
func (j *JobState) Log() string {
	var b strings.Builder
	for _, line := range j.Lines() {
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// Number is the short form of the job's id: the number in it, if it has one.
func (j *JobState) Number() string {
	decoded, err := base64.RawURLEncoding.DecodeString(j.ID)
	if number, ok := strings.CutPrefix(string(decoded), "gid://opslevel/Runners::JobRun/"); ok && err == nil {
		return number
	}
	return j.ID
}

// Runner is a runner that has registered.
type Runner struct {
	ID, Queue string
	// Gone is when it has unregistered, zero before that; Left are the jobs that it had then.
	Gone time.Time
	Left []string
	// Tokens are those that it was given, in order.
	Tokens []string
}

// JobID is the id of the job with a number, as the API writes it.
func JobID(n int) string { return gid("Runners::JobRun", n) }

func gid(kind string, n int) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "gid://opslevel/%s/%d", kind, n))
}

// state is what the API knows.
type state struct {
	jobs    []*JobState
	runners []*Runner
	tokens  int
	// scale is what it recommends.
	scale func(current, concurrency int) int
}

func newState() *state {
	return &state{scale: func(current, _ int) int { return current }}
}

// Add has jobs wait for a runner, in this order.
func (s *Server) Add(jobs ...Job) (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	for _, j := range jobs {
		if j.ID == "" {
			j.ID = JobID(12345 + len(s.state.jobs))
		}
		s.state.jobs = append(s.state.jobs, &JobState{Job: j, Status: "pending", Outcome: "unstarted"})
		ids = append(ids, j.ID)
	}
	return ids
}

// Job returns what is known of a job; false: nothing.
func (s *Server) Job(id string) (JobState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.state.job(id)
	if j == nil {
		return JobState{}, false
	}
	return j.copy(), true
}

func (j *JobState) copy() JobState {
	out := *j
	out.Chunks, out.OutcomeVariables = slices.Clone(j.Chunks), slices.Clone(j.OutcomeVariables)
	return out
}

// Jobs returns what is known of all jobs, in the order in which they were added.
func (s *Server) Jobs() []JobState {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]JobState, 0, len(s.state.jobs))
	for _, j := range s.state.jobs {
		out = append(out, j.copy())
	}
	return out
}

// Complete reports whether all jobs are over.
func (s *Server) Complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.state.jobs, func(j *JobState) bool { return j.Status != "complete" })
}

// End ends a job as the API does by itself, when it was not run in time.
func (s *Server) End(id, outcome string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	if j := s.state.job(id); j != nil {
		j.Status, j.Outcome = "complete", outcome
	}
}

// Runners returns all runners that have ever registered.
func (s *Server) Runners() []Runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Runner, 0, len(s.state.runners))
	for _, r := range s.state.runners {
		one := *r
		one.Tokens = slices.Clone(r.Tokens)
		out = append(out, one)
	}
	return out
}

// Forget makes the API not know a runner any more. Any other may speak for the jobs that it has.
func (s *Server) Forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.state.runners {
		if r.ID == id {
			r.Gone = time.Now()
		}
	}
	for _, j := range s.state.jobs {
		if j.Runner == id {
			j.Runner = ""
		}
	}
}

// Recommend sets how many replicas the API recommends; at first it is as many as there are.
func (s *Server) Recommend(scale func(current, concurrency int) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.scale = scale
}

func (s *state) job(id string) *JobState {
	i := slices.IndexFunc(s.jobs, func(j *JobState) bool { return j.ID == id })
	if i < 0 {
		return nil
	}
	return s.jobs[i]
}

func (s *state) runner(id string) *Runner {
	i := slices.IndexFunc(s.runners, func(r *Runner) bool { return r.ID == id && r.Gone.IsZero() })
	if i < 0 {
		return nil
	}
	return s.runners[i]
}

func (s *state) known(runner string) *GraphQLError {
	if s.runner(runner) == nil {
		return &GraphQLError{Message: fmt.Sprintf("Runner with id '%s' does not exist on this account", visible(runner))}
	}
	return nil
}

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

// value is the job as the API sends it.
func (j *JobState) value() map[string]any {
	variables, files := []any{}, []any{}
	for _, v := range j.Variables {
		scope := any(v.Scope)
		if v.Scope == "" {
			scope = nil
		}
		variables = append(variables, map[string]any{"key": v.Key, "value": v.Value, "sensitive": v.Sensitive, "scope": scope})
	}
	for _, f := range j.Files {
		files = append(files, map[string]any{"name": f.Name, "contents": f.Contents})
	}
	init := any(j.InitImage)
	if j.InitImage == "" {
		init = nil
	}
	return map[string]any{
		"id": j.ID, "image": j.Image, "commands": texts(j.Commands), "initImage": init, "initCommands": texts(j.InitCommands),
		"outcome": j.Outcome, "status": j.Status, "variables": variables, "files": files,
	}
}

func texts(list []string) []any {
	out := make([]any, 0, len(list))
	for _, x := range list {
		out = append(out, x)
	}
	return out
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
