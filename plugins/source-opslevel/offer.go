package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/podrunner/runner/plugins/source-opslevel/internal/api"
	"github.com/podrunner/runner/sdk"
)

// maxJobBytes bounds the texts of a job, with textBytes for each beside its length. One message to core holds 16 MiB, and a
// larger one would break the stream for all jobs.
const (
	maxJobBytes = 12 << 20
	textBytes   = 16
)

// refuseTimeout bounds how long it is tried to tell the API that a job is not run.
const refuseTimeout = 30 * time.Second

// offer hands a job to core. When core can't take it just now, it is kept for the next claim.
func (s *source) offer(ctx context.Context, claim *sdk.Claim, t *taken) {
	if size := sizeOf(t.job); size > maxJobBytes {
		s.refuse(ctx, t.job.ID, t.runner, fmt.Sprintf("the job's texts have %d bytes together; they may have %d", size, maxJobBytes))
		return
	}
	o := sdk.Offer{
		Key: sdk.JobKey{ID: t.job.ID, Attempt: 1}, Number: api.Number(t.job.ID),
		Image: t.job.Image, Commands: t.job.Commands, InitImage: t.job.InitImage, InitCommands: t.job.InitCommands,
		Handle: handle{Runner: t.runner, Name: s.name, Account: s.runners.of()}.encode(),
	}
	for _, v := range t.job.Variables {
		o.Variables = append(o.Variables, sdk.JobVariable{Key: v.Key, Value: v.Value, Sensitive: v.Sensitive, Scope: v.Scope})
	}
	for _, f := range t.job.Files {
		o.Files = append(o.Files, sdk.JobFile{Name: f.Name, Contents: []byte(f.Contents)})
	}
	s.jobs.begin(o.Key, t.runner)
	switch err := claim.Offer(o); {
	case err == nil:
	case errors.Is(err, sdk.ErrUnsendable): // nor would it be the next time
		s.jobs.over(o.Key)
		s.refuse(ctx, t.job.ID, t.runner, err.Error())
	default:
		sdk.Logger(ctx).Warn("core could not take a job; it is offered again", "job", t.job.ID, "error", err)
		s.jobs.over(o.Key)
		s.jobs.stash(t)
	}
}

// sizeOf is what a job's texts need in a message.
func sizeOf(j *api.Job) int {
	size := len(j.ID) + len(j.Image) + len(j.InitImage)
	for _, commands := range [][]string{j.Commands, j.InitCommands} {
		for _, command := range commands {
			size += textBytes + len(command)
		}
	}
	for _, v := range j.Variables {
		size += 2*textBytes + len(v.Key) + len(v.Value)
	}
	for _, f := range j.Files {
		size += 2*textBytes + len(f.Name) + len(f.Contents)
	}
	return size
}

// Released implements sdk.JobSource. The API hands out a job once, so one that core does not run is over.
func (s *source) Released(ctx context.Context, release sdk.Release) error {
	if release.Duplicate {
		return nil // the one that runs goes on, under the same key
	}
	h, err := decodeHandle(release.Handle)
	if err != nil {
		return err
	}
	s.jobs.over(release.Job)
	s.refuse(ctx, release.Job.ID, h.Runner, "the runner does not run the job: "+release.Message)
	return nil
}

// refuse reports a job that is not run as failed, with the reason as its log.
func (s *source) refuse(ctx context.Context, job, runner, why string) {
	log := sdk.Logger(ctx).With("job", job)
	if job == "" {
		log.Error("a job without an id can't be run, and not be reported either", "error", why)
		return
	}
	log.Warn("a job is reported as failed, because it can't be run", "error", why)
	ctx, cancel := context.WithTimeout(ctx, refuseTimeout)
	defer cancel()
	said := false
	var pause sdk.Backoff
	for {
		var err error
		if !said {
			err = s.api.Append(ctx, api.Append{Runner: runner, Job: job, SentAt: time.Now(), Lines: [][]byte{[]byte("[runner] " + why)}})
			said = err == nil || api.IsRefused(err)
		}
		if said {
			err = s.api.Report(ctx, api.Report{Runner: runner, Job: job, Outcome: "failed"})
		}
		if err == nil {
			return
		}
		if api.IsRefused(err) || !pause.Wait(ctx) {
			log.Error("the API could not be told that a job is not run; it has to find out by itself", "error", err)
			return
		}
	}
}
