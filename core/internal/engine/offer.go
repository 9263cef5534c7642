package engine

import (
	"cmp"
	"fmt"
	"maps"
	"time"

	"github.com/podrunner/runner/core/internal/job"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// maxHandleBytes is the bound that source.proto sets for Job.handle.
const maxHandleBytes = 4 << 10

// offer is a job as a source has offered it.
type offer struct {
	job    *job.Job
	number string
	handle []byte
	// at is when it came.
	at time.Time
	// lease and deadline are zero when there is none.
	lease    time.Duration
	deadline time.Time
}

func offerOf(m *pluginv1.JobsResponse_Offer) *offer {
	in := m.GetJob()
	j := &job.Job{
		ID:           in.GetKey().GetId(),
		Attempt:      max(int(in.GetKey().GetAttempt()), 1),
		Image:        in.GetImage(),
		Commands:     in.GetCommands(),
		InitImage:    in.GetInitImage(),
		InitCommands: in.GetInitCommands(),
		Labels:       maps.Clone(in.GetLabels()),
	}
	for _, v := range in.GetVariables() {
		j.Variables = append(j.Variables, job.Variable{
			Key: v.GetKey(), Value: v.GetValue(), Sensitive: v.GetSensitive(), Scope: job.Scope(v.GetScope()),
		})
	}
	for _, f := range in.GetFiles() {
		j.Files = append(j.Files, job.File{Name: f.GetName(), Contents: f.GetContents()})
	}
	j.Number, j.Handle = in.GetNumber(), in.GetHandle()
	o := &offer{job: j, number: cmp.Or(j.Number, j.ID), handle: j.Handle, at: time.Now()}
	if m.GetLease() != nil {
		o.lease = m.GetLease().AsDuration()
	}
	if m.GetDeadline() != nil {
		o.deadline = m.GetDeadline().AsTime()
	}
	return o
}

// wrong says what breaks the protocol; a job of a bad shape does not.
func (o *offer) wrong() string {
	switch {
	case o.job.ID == "":
		return "it has no id"
	case len(o.handle) > maxHandleBytes:
		return fmt.Sprintf("its handle has %d bytes, and may have %d", len(o.handle), maxHandleBytes)
	}
	return ""
}

// key returns the job's key as the protocol has it.
func (o *offer) key() *pluginv1.JobKey {
	return &pluginv1.JobKey{Id: o.job.ID, Attempt: uint32(o.job.Attempt)} //nolint:gosec // it came as one
}
