package opsleveltest

import (
	"encoding/base64"
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

// JobState is a job, and what runners have said of it. It is a copy, but for the lines, which are not to be changed.
type JobState struct {
	Job
	// Status is "pending", "running" or "complete"; Runner the id of the runner that has it.
	Status, Runner string
	// Outcome is "unstarted" before the report.
	Outcome          string
	OutcomeVariables []OutcomeVariable
	// Chunks are those of its log, in the order in which they came.
	Chunks []Chunk
	// Taken and Reported are when it was handed out, and when its outcome came; zero before that.
	Taken, Reported time.Time
}

// OutcomeVariable is a variable that a job has handed back.
type OutcomeVariable struct{ Key, Value string }

// Chunk is a part of a job's log.
type Chunk struct {
	// SentAt is the text that the runner has sent.
	SentAt   string
	Received time.Time
	// Lines have no line ends.
	Lines [][]byte
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

// JobID is the id of the job with a number, as the API writes it.
func JobID(n int) string { return gid("Runners::JobRun", n) }

func gid(kind string, n int) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "gid://opslevel/%s/%d", kind, n))
}

func (j *JobState) copy() JobState {
	out := *j
	out.Chunks, out.OutcomeVariables = slices.Clone(j.Chunks), slices.Clone(j.OutcomeVariables)
	return out
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
