package faktory

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/contribsys/faktory/client"
)

// Do runs commands of a client of its own.
func (s *Server) Do(f func(*client.Client) error) error {
	c, err := client.Dial(&client.Server{Network: "tcp", Address: s.Address, Timeout: 10 * time.Second}, "")
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // nothing is lost with it
	return f(c)
}

// Push pushes a job on the queue "runner". change may set whatever is to be different; nil: nothing is.
func (s *Server) Push(kind string, change func(*client.Job), args ...any) (jid string, err error) {
	job := client.NewJob(kind, args...)
	if job.Args == nil {
		job.Args = []any{}
	}
	job.Queue = "runner"
	if change != nil {
		change(job)
	}
	return job.Jid, s.Do(func(c *client.Client) error { return c.Push(job) })
}

// FollowUp is a job that a runner has pushed about one of its own.
type FollowUp struct {
	JID     string
	Type    string
	Retry   int
	Custom  map[string]any
	JobID   string
	Runner  string
	SentAt  string
	Lines   []string
	Outcome string
	// Variables are the outcome variables by their keys.
	Variables map[string]string
}

// FollowUps takes all jobs from the queue "app", in order.
func (s *Server) FollowUps(ctx context.Context) (list []FollowUp, err error) {
	err = s.Do(func(c *client.Client) error {
		for ctx.Err() == nil {
			waiting, err := s.Waiting("app")
			if err != nil || waiting == 0 {
				return err // a fetch from an empty queue would wait
			}
			job, err := c.Fetch("app")
			if err != nil || job == nil {
				return err
			}
			f, err := followUpOf(job)
			if err != nil {
				return fmt.Errorf("follow-up job %s: %w", job.Jid, err)
			}
			list = append(list, f)
			if err := c.Ack(job.Jid); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	return list, err
}

func followUpOf(job *client.Job) (FollowUp, error) {
	f := FollowUp{JID: job.Jid, Type: job.Type, Custom: job.Custom, Variables: map[string]string{}}
	if job.Retry != nil {
		f.Retry = *job.Retry
	}
	if len(job.Args) != 1 {
		return f, fmt.Errorf("it has %d args", len(job.Args))
	}
	text, err := json.Marshal(job.Args[0])
	if err != nil {
		return f, err
	}
	var args struct {
		RunnerID         string   `json:"runnerId"`
		RunnerJobID      string   `json:"runnerJobId"`
		SentAt           string   `json:"sentAt"`
		LogChunk         []string `json:"logChunk"`
		Outcome          string   `json:"outcome"`
		OutcomeVariables []struct{ Key, Value string }
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&args); err != nil {
		return f, err
	}
	f.Runner, f.JobID, f.SentAt, f.Outcome = args.RunnerID, args.RunnerJobID, args.SentAt, args.Outcome
	for _, v := range args.OutcomeVariables {
		f.Variables[v.Key] = v.Value
	}
	for _, line := range args.LogChunk {
		raw, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return f, err
		}
		f.Lines = append(f.Lines, string(raw))
	}
	return f, nil
}

// State is what the server says of itself.
type State struct {
	Queues map[string]uint64 `json:"queues"`
	// Sets are "working" (reservations), "retries", "dead" and "scheduled".
	Sets map[string]uint64 `json:"sets"`
	// Processed counts jobs that were acknowledged or failed, Failures those that were failed.
	Processed uint64 `json:"total_processed"`
	Failures  uint64 `json:"total_failures"`
}

// pages asks for the server's pages. One that is killed may leave a question open.
var pages = http.Client{Timeout: 10 * time.Second}

// State asks for the state.
func (s *Server) State() (State, error) {
	var answer struct{ Faktory State }
	response, err := pages.Get("http://" + s.Web + "/stats")
	if err != nil {
		return State{}, err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	err = json.NewDecoder(response.Body).Decode(&answer)
	return answer.Faktory, err
}

// Waiting is how many jobs a queue has.
func (s *Server) Waiting(queue string) (uint64, error) {
	state, err := s.State()
	return state.Queues[queue], err
}

// Signal says "quiet" or "terminate" to all workers, as an operator does on the server's page.
func (s *Server) Signal(signal string) error {
	response, err := pages.PostForm("http://"+s.Web+"/busy", url.Values{"wid": {"all"}, "signal": {signal}})
	if err != nil {
		return err
	}
	return response.Body.Close()
}
