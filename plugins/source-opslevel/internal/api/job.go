package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// The operations about jobs, word for word as opslevel-runner sends them.
const (
	queryPending = `mutation RunnerGetPendingJob($id:ID!$token:ID){runnerGetPendingJob(runnerId: $id lastUpdateToken: $token){runnerJob{commands,id,image,outcome,status,variables{key,sensitive,value,scope},files{name,contents},initCommands,initImage},lastUpdateToken,errors{message,path}}}`
	queryAppend  = `mutation RunnerAppendJobLog($input:RunnerAppendJobLogInput!){runnerAppendJobLog(input: $input){errors{message,path}}}`
	queryReport  = `mutation RunnerReportJobOutcome($input:RunnerReportJobOutcomeInput!){runnerReportJobOutcome(input: $input){errors{message,path}}}`
)

// Job is a job that the API has handed out.
type Job struct {
	ID           string
	Image        string
	Commands     []string
	InitImage    string
	InitCommands []string
	Variables    []Variable
	Files        []File
}

// Variable is a variable of a job. Scope is "init", "main", or empty for both steps.
type Variable struct {
	Key, Value string
	Sensitive  bool
	Scope      string
}

// File is a file of a job.
type File struct{ Name, Contents string }

// idPrefix is what the ids of jobs hold in front of their numbers, once decoded.
const idPrefix = "gid://opslevel/Runners::JobRun/"

// Number is the number in a job's id, "" when there is none. A text that happens to be base64 is none.
func Number(id string) string {
	decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(id, "="))
	if err != nil {
		return ""
	}
	number, ok := strings.CutPrefix(string(decoded), idPrefix)
	if !ok {
		return ""
	}
	return number
}

// BrokenJob is a job that was handed out and can't be read.
type BrokenJob struct {
	// ID is its id, "" when that can't be read either.
	ID    string
	cause error
}

func (b *BrokenJob) Error() string {
	return "the API has handed out a job that can't be read: " + b.cause.Error()
}

// Unwrap returns why it can't be read.
func (b *BrokenJob) Unwrap() error { return b.cause }

// Pending asks for a job. nil says that there is none. token is the one of the answer before, "" at first; next is the one
// for the next call. An error of type *BrokenJob comes with next, too.
func (c *Client) Pending(ctx context.Context, runner, token string) (job *Job, next string, err error) {
	const name = "RunnerGetPendingJob"
	var data struct {
		Payload *struct {
			Job    json.RawMessage `json:"runnerJob"`
			Token  text            `json:"lastUpdateToken"`
			Errors payloadErrors   `json:"errors"`
		} `json:"runnerGetPendingJob"`
	}
	err = c.call(ctx, name, queryPending, map[string]any{"id": runner, "token": orNull(token)}, &data)
	if data.Payload != nil {
		if raw := data.Payload.Job; len(raw) > 0 && !bytes.Equal(raw, []byte("null")) {
			// Whatever came with it, this runner has the job now, and nobody else will run it.
			job, err = parseJob(raw)
			return job, string(data.Payload.Token), err
		}
	}
	switch {
	case err != nil:
		return nil, "", err
	case data.Payload == nil:
		return nil, "", noPayload(name)
	}
	if err := data.Payload.Errors.refusal(name); err != nil {
		return nil, "", err
	}
	return nil, string(data.Payload.Token), nil
}

// parseJob reads a job. What is missing, or null, is empty.
func parseJob(raw []byte) (*Job, error) {
	var id struct {
		ID text `json:"id"`
	}
	if err := json.Unmarshal(raw, &id); err != nil {
		return nil, &BrokenJob{cause: noValues(err)}
	}
	if id.ID == "" {
		return nil, &BrokenJob{cause: errors.New("it has no id")}
	}
	var in struct {
		Image        text   `json:"image"`
		Commands     []text `json:"commands"`
		InitImage    text   `json:"initImage"`
		InitCommands []text `json:"initCommands"`
		Variables    []struct {
			Key       text `json:"key"`
			Value     text `json:"value"`
			Sensitive bool `json:"sensitive"`
			Scope     text `json:"scope"`
		} `json:"variables"`
		Files []struct {
			Name     text `json:"name"`
			Contents text `json:"contents"`
		} `json:"files"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, &BrokenJob{ID: string(id.ID), cause: noValues(err)}
	}
	job := &Job{
		ID: string(id.ID), Image: string(in.Image), Commands: stringsOf(in.Commands),
		InitImage: string(in.InitImage), InitCommands: stringsOf(in.InitCommands),
	}
	for _, v := range in.Variables {
		job.Variables = append(job.Variables, Variable{Key: string(v.Key), Value: string(v.Value), Sensitive: v.Sensitive, Scope: string(v.Scope)})
	}
	for _, f := range in.Files {
		job.Files = append(job.Files, File{Name: string(f.Name), Contents: string(f.Contents)})
	}
	return job, nil
}

// noValues makes an error of the decoder one that tells the place and the kinds, and no value of the job.
func noValues(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		kind, _, _ := strings.Cut(wrong.Value, " ") // behind the kind of a number there is the number
		return errors.New(wrong.Field + " is " + kind + ", which does not belong there")
	}
	return errors.New("one of its fields is of a kind that does not belong there")
}

// Append is a part of a job's log.
type Append struct {
	Runner, Job string
	SentAt      time.Time
	// Lines have no line ends. There is at least one.
	Lines [][]byte
}

// appendInput is RunnerAppendJobLogInput; the keys stand in the order in which they have always been sent. A []byte is
// base64 in JSON, of the standard alphabet and padded, which is what the API takes.
type appendInput struct {
	RunnerID    string    `json:"runnerId"`
	RunnerJobID string    `json:"runnerJobId"`
	SentAt      time.Time `json:"sentAt"`
	LogChunk    [][]byte  `json:"logChunk"`
}

// Append adds lines to the log of a job.
func (c *Client) Append(ctx context.Context, a Append) error {
	const name = "RunnerAppendJobLog"
	lines := a.Lines
	for i, line := range lines {
		if line == nil {
			lines = append([][]byte(nil), lines...) // they belong to the caller
			for j := i; j < len(lines); j++ {
				if lines[j] == nil {
					lines[j] = []byte{} // nil would be null
				}
			}
			break
		}
	}
	in := appendInput{RunnerID: a.Runner, RunnerJobID: a.Job, SentAt: a.SentAt.Local(), LogChunk: lines} //nolint:gosmopolitan // as ever
	var data struct {
		Payload *errorsOnly `json:"runnerAppendJobLog"`
	}
	if err := c.call(ctx, name, queryAppend, map[string]any{"input": in}, &data); err != nil {
		return err
	}
	return data.Payload.refusal(name)
}

// Report is what a job has come to.
type Report struct {
	Runner, Job string
	// Outcome is a word of the API's.
	Outcome   string
	Variables []OutcomeVariable
}

// OutcomeVariable is a variable that a job has handed back.
type OutcomeVariable struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// reportInput is RunnerReportJobOutcomeInput, its keys as ever. Without variables it has no list of them.
type reportInput struct {
	RunnerID         string            `json:"runnerId"`
	RunnerJobID      string            `json:"runnerJobId"`
	Outcome          string            `json:"outcome"`
	OutcomeVariables []OutcomeVariable `json:"outcomeVariables,omitempty"`
}

// Report gives the outcome of a job.
func (c *Client) Report(ctx context.Context, r Report) error {
	const name = "RunnerReportJobOutcome"
	in := reportInput{RunnerID: r.Runner, RunnerJobID: r.Job, Outcome: r.Outcome, OutcomeVariables: r.Variables}
	var data struct {
		Payload *errorsOnly `json:"runnerReportJobOutcome"`
	}
	if err := c.call(ctx, name, queryReport, map[string]any{"input": in}, &data); err != nil {
		return err
	}
	return data.Payload.refusal(name)
}
