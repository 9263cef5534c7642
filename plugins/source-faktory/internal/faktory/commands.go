package faktory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/contribsys/faktory/client"
)

// FetchWait is how long the server holds a FETCH back when it has no job. Nothing ends one earlier without risk: a
// server that finds a job for a connection that has gone reserves it all the same.
const FetchWait = 2 * time.Second

// Fetch takes a job from the first of the queues that has one, and returns it as JSON; nil when none has. ctx had better
// not end: the job that Fetch may bring would be nobody's until its reservation ends.
func (c *Conn) Fetch(ctx context.Context, queues []string) ([]byte, error) {
	answer, err := c.do(ctx, FetchWait+c.server.CommandTimeout, "FETCH "+strings.Join(queues, " "))
	if err != nil {
		return nil, fmt.Errorf("fetch a job: %w", err)
	}
	if answer == "" {
		return nil, nil
	}
	return []byte(answer), nil
}

// Push adds a job.
func (c *Conn) Push(ctx context.Context, job *client.Job) error {
	payload, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("push a job: %w", err)
	}
	return c.PushRaw(ctx, payload)
}

// PushRaw adds a job that is JSON already.
func (c *Conn) PushRaw(ctx context.Context, payload []byte) error {
	var line bytes.Buffer
	line.WriteString("PUSH ")
	if err := json.Compact(&line, payload); err != nil {
		return errors.New("push a job: it is not JSON")
	}
	return c.command(ctx, "push a job", line.String())
}

// Ack says that a job is done. A job that is not reserved any more is no error.
func (c *Conn) Ack(ctx context.Context, jid string) error {
	payload, err := json.Marshal(struct {
		JID string `json:"jid"`
	}{jid})
	if err != nil {
		return err
	}
	return c.command(ctx, "acknowledge job "+jid, "ACK "+string(payload))
}

// Failure is what FAIL tells the server.
type Failure struct {
	ErrType string `json:"errtype"`
	JID     string `json:"jid"`
	Message string `json:"message"`
}

// maxMessageBytes is where the server cuts a message, in the middle of a character if need be.
const maxMessageBytes = 1000

// Fail says that a job has failed, so that the server tries it again by the job's policy. A job that is not reserved any
// more is no error: it has been failed already.
func (c *Conn) Fail(ctx context.Context, failure Failure) error {
	if len(failure.Message) > maxMessageBytes {
		failure.Message = strings.ToValidUTF8(failure.Message[:maxMessageBytes], "")
	}
	payload, err := json.Marshal(failure)
	if err != nil {
		return err
	}
	err = c.command(ctx, "fail job "+failure.JID, "FAIL "+string(payload))
	if text, refused := Refused(err); refused && strings.Contains(strings.ToLower(text), "job not found") {
		return nil
	}
	return err
}

// OpenBatch opens a batch for one more job and returns the batch's id as the server has it.
func (c *Conn) OpenBatch(ctx context.Context, bid string) (string, error) {
	answer, err := c.do(ctx, c.server.CommandTimeout, "BATCH OPEN "+bid)
	if err != nil {
		return "", fmt.Errorf("open batch %s: %w", bid, err)
	}
	return answer, nil
}

// State is what a server wants of a worker.
type State string

// The states of a worker. It never goes back to an earlier one.
const (
	Running   State = ""
	Quiet     State = "quiet"
	Terminate State = "terminate"
)

// Beat is a heartbeat: it tells the server the worker's state and returns the one that the server wants.
func (c *Conn) Beat(ctx context.Context, wid string, state State) (State, error) {
	beat := map[string]any{"wid": wid, "rss_kb": client.RssKb()}
	if state != Running {
		beat["current_state"] = state
	}
	payload, err := json.Marshal(beat)
	if err != nil {
		return Running, err
	}
	answer, err := c.do(ctx, c.server.CommandTimeout, "BEAT "+string(payload))
	if err != nil {
		return Running, fmt.Errorf("send a heartbeat: %w", err)
	}
	if answer == "OK" {
		return Running, nil
	}
	var wish struct {
		State State `json:"state"`
	}
	if err := json.Unmarshal([]byte(answer), &wish); err != nil {
		return Running, fmt.Errorf("read the answer to a heartbeat: %w", err)
	}
	return wish.State, nil
}

// Info is what a server has to do.
type Info struct {
	// Queues are the jobs that wait in each queue; one that is empty may be missing.
	Queues map[string]uint64
	// Working are the jobs that any worker has fetched and not ended, of all queues.
	Working uint64
}

// Info asks the server for what it has to do.
func (c *Conn) Info(ctx context.Context) (Info, error) {
	answer, err := c.do(ctx, c.server.CommandTimeout, "INFO")
	if err != nil {
		return Info{}, fmt.Errorf("ask Faktory for its queues: %w", err)
	}
	var state client.FaktoryState
	if err := json.Unmarshal([]byte(answer), &state); err != nil {
		return Info{}, fmt.Errorf("read what Faktory says of its queues: %w", err)
	}
	return Info{Queues: state.Data.Queues, Working: state.Data.Sets["working"]}, nil
}

// command sends what is answered by OK.
func (c *Conn) command(ctx context.Context, doing, command string) error {
	answer, err := c.do(ctx, c.server.CommandTimeout, command)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if answer != "OK" {
		c.broken = true
		return fmt.Errorf("%s: the answer is not OK", doing)
	}
	return nil
}
