package main

import (
	"encoding/json"
	"errors"
	"fmt"
)

// handle is the source's note about a job, by which another process can go on with it.
type handle struct {
	// Runner is the id under which the API knows the runner that has the job: it takes the job's log and outcome from no
	// other.
	Runner string `json:"runner"`
	// Name is that runner's own name.
	Name string `json:"name"`
	// Account is the account that the job belongs to, "" when the API has not told.
	Account string `json:"account,omitempty"`
}

func (h handle) encode() []byte {
	data, err := json.Marshal(h)
	if err != nil {
		panic(err) // texts are always JSON
	}
	return data
}

func decodeHandle(data []byte) (handle, error) {
	var h handle
	if err := json.Unmarshal(data, &h); err != nil {
		return h, fmt.Errorf("read the handle of the job: %w", err)
	}
	if h.Runner == "" {
		return h, errors.New("read the handle of the job: it names no runner")
	}
	return h, nil
}
