package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// handle is the source's note about a job, by which another process can go on with it.
type handle struct {
	JID string `json:"jid"`
	BID string `json:"bid,omitempty"`
	// Attempt counts Faktory's deliveries. It is a part of what the ids of follow-up jobs are made of.
	Attempt int `json:"attempt"`
	// Retried: Faktory tries the job again when it is failed.
	Retried bool `json:"retried"`
	// Reserved is when the server hands the job out again.
	Reserved time.Time `json:"reserved"`
}

func (h handle) delivery() delivery { return delivery{h.JID, h.Attempt} }

func (h handle) encode() []byte {
	data, err := json.Marshal(h)
	if err != nil {
		panic(err) // texts, numbers and a time of this century are always JSON
	}
	return data
}

func decodeHandle(data []byte) (handle, error) {
	var h handle
	if err := json.Unmarshal(data, &h); err != nil {
		return h, fmt.Errorf("read the handle of the job: %w", err)
	}
	if h.JID == "" {
		return h, errors.New("read the handle of the job: it has no jid")
	}
	return h, nil
}
