package main

import (
	"fmt"
	"time"

	"github.com/podrunner/runner/plugins/source-faktory/internal/faktory"
	"github.com/podrunner/runner/plugins/source-faktory/internal/payload"
	"github.com/podrunner/runner/sdk"
)

// Variables that jobs are given beside their own and FAKTORY_PROVIDER and FAKTORY_URL.
const (
	envBatch = "FAKTORY_BATCH_ID"
	envJob   = "RUNNER_JOB_ID"
)

// A job has to be over, and its outcome pushed, before its reservation ends: by maxMargin, or, when it is short, by a
// tenth of it.
const maxMargin = 30 * time.Second

func margin(reservation time.Duration) time.Duration { return min(maxMargin, reservation/10) }

// maxJobBytes bounds the texts of a job, with textBytes for each beside its length. One message to core holds 16 MiB, and a
// larger one would break the stream, for this job and for the others, at each delivery of it.
const (
	maxJobBytes = 12 << 20
	textBytes   = 16
)

// maxBatchID bounds the id of a batch, which goes into the handle; what core keeps of a job has room for 4 KiB. Real ones
// have some twenty characters.
const maxBatchID = 1 << 10

// offer makes of a job what core gets to see. fetched is when the server was asked for it, at the latest then the
// reservation had begun.
func (c *config) offer(job *payload.Job, fetched time.Time) (sdk.Offer, error) {
	o := sdk.Offer{
		Key:          sdk.JobKey{ID: job.ID, Attempt: job.Attempt},
		Image:        job.Image,
		InitImage:    job.InitImage,
		Commands:     job.Commands,
		InitCommands: job.InitCommands,
		Deadline:     fetched.Add(job.ReserveFor - margin(job.ReserveFor)),
		Handle: handle{
			JID: job.JID, BID: job.BID, Attempt: job.Attempt, Retried: job.Retried, Reserved: fetched.Add(job.ReserveFor).UTC(),
		}.encode(),
	}
	size := len(job.Image) + len(job.InitImage)
	for _, commands := range [][]string{job.Commands, job.InitCommands} {
		for _, command := range commands {
			size += textBytes + len(command)
		}
	}
	for _, v := range job.Variables {
		size += 2*textBytes + len(v.Key) + len(v.Value)
		o.Variables = append(o.Variables, sdk.JobVariable{Key: v.Key, Value: v.Value, Sensitive: v.Sensitive, Scope: v.Scope})
	}
	for _, f := range job.Files {
		size += 2*textBytes + len(f.Name) + len(f.Contents)
		o.Files = append(o.Files, sdk.JobFile{Name: f.Name, Contents: []byte(f.Contents)})
	}
	if len(job.BID) > maxBatchID {
		return o, fmt.Errorf("custom.bid has %d bytes; the id of a batch may have %d", len(job.BID), maxBatchID)
	}
	if size > maxJobBytes {
		return o, fmt.Errorf("the job's texts have %d bytes together; they may have %d", size, maxJobBytes)
	}
	o.Variables = append(o.Variables, c.added(job)...)
	return o, nil
}

// added are the variables that say to a job where it comes from, in the order in which jobs have always had them.
func (c *config) added(job *payload.Job) []sdk.JobVariable {
	var list []sdk.JobVariable
	if job.BID != "" {
		list = append(list, sdk.JobVariable{Key: envBatch, Value: job.BID})
	}
	if provider := c.provider(); provider != "" {
		list = append(list, sdk.JobVariable{Key: faktory.EnvProvider, Value: provider})
	}
	if c.PassURL {
		list = append(list, sdk.JobVariable{Key: faktory.EnvURL, Value: c.url, Sensitive: true})
	}
	return append(list, sdk.JobVariable{Key: envJob, Value: job.ID})
}
