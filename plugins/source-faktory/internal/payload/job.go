// Package payload reads what a Faktory job holds: the job that is to be run, in its first argument, and what its
// custom keys change about it. It knows no server and nothing of core.
//
// Its errors are for the people who push jobs: they name what is wrong and where, and never show a value, which may be
// sensitive.
package payload

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Job is a Faktory job, read.
type Job struct {
	JID string
	// ID is the job's id towards OpsLevel: the custom id, else the id in the argument, else the JID.
	ID string
	// Attempt counts the deliveries by Faktory, from 1.
	Attempt int
	// Retried: Faktory tries the job again when it is failed now.
	Retried bool
	// ReserveFor is how long the server waits for the job's end.
	ReserveFor time.Duration
	// BID is the job's batch, empty for none.
	BID string

	Image, InitImage       string
	Commands, InitCommands []string
	Variables              []Variable
	Files                  []File
}

// Variable is an environment variable of a job.
type Variable struct {
	Key       string `json:"key"`
	Value     string `json:"value"`
	Sensitive bool   `json:"sensitive"`
	Scope     string `json:"scope"`
}

// File is a file of a job.
type File struct {
	Name     string `json:"name"`
	Contents string `json:"contents"`
}

// The custom keys that a job may have.
const (
	KeyID        = "opslevel-runner-job-id"
	KeyImage     = "opslevel-runner-image"
	KeyCommands  = "opslevel-runner-commands"
	KeyVariables = "opslevel-runner-extra-vars"
	KeyFiles     = "opslevel-runner-files"
	KeyBatch     = "bid"
)

// envelope is the part of a Faktory job that matters here.
type envelope struct {
	JID     string            `json:"jid"`
	Type    string            `json:"jobtype"`
	Args    []json.RawMessage `json:"args"`
	Reserve int64             `json:"reserve_for"`
	Retry   *int              `json:"retry"`
	Failure *struct {
		Count int `json:"retry_count"`
	} `json:"failure"`
	Custom map[string]json.RawMessage `json:"custom"`
}

// argument is args[0]. Names are compared without case, unknown ones ignored, and null is an absent value, all of which
// encoding/json does by itself.
type argument struct {
	ID           string     `json:"id"`
	Image        string     `json:"image"`
	Commands     []string   `json:"commands"`
	InitImage    string     `json:"initImage"`
	InitCommands []string   `json:"initCommands"`
	Variables    []Variable `json:"variables"`
	Files        []File     `json:"files"`
}

// Parse reads a job as the server hands it out. isType says which job types are taken. On an error the job has its JID,
// if one could be found, and Retried, and nothing else that can be relied on.
func Parse(raw []byte, isType func(string) bool) (*Job, error) {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		var only struct {
			JID string `json:"jid"`
		}
		_ = json.Unmarshal(raw, &only)
		return &Job{JID: only.JID}, mistake("the job", err)
	}
	job := &Job{JID: e.JID, Attempt: 1}
	job.retries(e)
	job.reserved(e.Reserve)
	if !isType(e.Type) {
		return job, fmt.Errorf("No handler registered for job type %s", e.Type) //nolint:staticcheck // the words of Faktory's workers, which people look for
	}
	if len(e.Args) == 0 {
		return job, errors.New("args is empty; its first element has to be the job, an object with image, commands and so on")
	}
	if err := job.argument(e.Args[0]); err != nil {
		return job, err
	}
	if err := job.custom(e.Custom); err != nil {
		return job, err
	}
	if job.ID == "" {
		job.ID = job.JID
	}
	return job, nil
}

// maxFailures keeps a number of attempts in the range of the protocol.
const maxFailures = 1 << 30

// defaultRetries is what the server makes of a job that says nothing.
const defaultRetries = 25

// retries works out, as the server does, which delivery this is and whether another one can follow. The server decides
// by retry_count; the field "remaining" of a failure lags behind by one.
func (j *Job) retries(e envelope) {
	retry, failures := defaultRetries, 0
	if e.Retry != nil {
		retry = *e.Retry
	}
	if e.Failure != nil {
		failures = min(max(e.Failure.Count, 0), maxFailures) + 1
		j.Attempt = failures + 1
	}
	j.Retried = failures < retry
}

// Reservations, in seconds, as the server takes them.
const (
	defaultReserve = 1800
	minReserve     = 60
	maxReserve     = 86400
)

func (j *Job) reserved(seconds int64) {
	if seconds == 0 {
		seconds = defaultReserve
	}
	j.ReserveFor = time.Duration(min(max(seconds, minReserve), maxReserve)) * time.Second
}

func (j *Job) argument(raw json.RawMessage) error {
	if kind := kindOf(raw); kind != "an object" {
		return fmt.Errorf("args[0] is %s; it has to be the job, an object with image, commands and so on", kind)
	}
	var a argument
	if err := json.Unmarshal(raw, &a); err != nil {
		return mistake("args[0]", err)
	}
	j.ID, j.Image, j.Commands, j.InitImage, j.InitCommands = a.ID, a.Image, a.Commands, a.InitImage, a.InitCommands
	j.Variables, j.Files = a.Variables, a.Files
	return nil
}

// custom applies the custom keys, in an order that counts for what is appended.
func (j *Job) custom(keys map[string]json.RawMessage) error {
	if raw := keys[KeyID]; present(raw) {
		id, err := idOf(raw)
		if err != nil {
			return fmt.Errorf("custom.%s: %w", KeyID, err)
		}
		if id != "" {
			j.ID = id
		}
	}
	var commands []string
	var variables []Variable
	var files []File
	for _, key := range []struct {
		name string
		into any
	}{
		{KeyImage, &j.Image},
		{KeyCommands, &commands},
		{KeyVariables, &variables},
		{KeyFiles, &files},
		{KeyBatch, &j.BID},
	} {
		if raw := keys[key.name]; present(raw) {
			if err := json.Unmarshal(raw, key.into); err != nil {
				return mistake("custom."+key.name, err)
			}
		}
	}
	if strings.ContainsFunc(j.BID, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return errors.New("custom.bid holds a space or a control character; it has to be the id of a batch")
	}
	j.Commands = append(j.Commands, commands...)
	j.Variables = append(j.Variables, variables...)
	j.Files = append(j.Files, files...)
	return nil
}

func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
