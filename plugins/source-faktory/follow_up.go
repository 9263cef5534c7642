package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/contribsys/faktory/client"

	"github.com/podrunner/runner/plugins/source-faktory/internal/faktory"
	"github.com/podrunner/runner/sdk"
)

// Types of the follow-up jobs.
const (
	typeLog     = "Runners::Faktory::AppendJobLog"
	typeOutcome = "Runners::Faktory::ReportJobOutcome"
)

// runnerID is the name of the runner in the arguments of follow-up jobs.
const runnerID = "faktory"

// logArgument is the argument of a job of typeLog. The order of fields is that of the wire.
type logArgument struct {
	RunnerID string   `json:"runnerId"`
	JobID    string   `json:"runnerJobId"`
	SentAt   string   `json:"sentAt"`
	LogChunk []string `json:"logChunk"`
}

// outcomeArgument is the argument of a job of typeOutcome.
type outcomeArgument struct {
	RunnerID  string            `json:"runnerId"`
	JobID     string            `json:"runnerJobId"`
	Outcome   string            `json:"outcome"`
	Variables []outcomeVariable `json:"outcomeVariables,omitempty"`
}

type outcomeVariable struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// followUpID makes the jid of a follow-up job out of what it is about, so that whoever works on it can tell a resend.
func followUpID(kind string, h handle, firstLine uint64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d\x00%d", kind, h.JID, h.Attempt, firstLine))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:jidLength]
}

// jidLength is that of the ids which Faktory's own libraries make.
const jidLength = 16

// stamp writes a time as it stands in a job.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// AppendLogs implements sdk.JobSource.
func (s *source) AppendLogs(ctx context.Context, logs sdk.Logs) ([]sdk.RefusedLines, error) {
	h, err := decodeHandle(logs.Handle)
	if err != nil {
		return nil, err
	}
	var through uint64
	s.memory.with(h, logs.Job.ID, func(r *running) { through = r.through })
	first, lines := logs.FirstLine, logs.Lines
	if n := uint64(len(lines)); first+n <= through+1 {
		return nil, nil // it was only the answer that was lost
	}
	if first <= through {
		lines = lines[through+1-first:]
		first = through + 1
	}
	argument := logArgument{RunnerID: runnerID, JobID: logs.Job.ID, SentAt: stamp(logs.SentAt), LogChunk: make([]string, len(lines))}
	for i, line := range lines {
		argument.LogChunk[i] = base64.StdEncoding.EncodeToString(line)
	}
	if err := s.pushFollowUp(ctx, h, logs.Job.ID, typeLog, first, argument); err != nil {
		return nil, err
	}
	s.memory.with(h, logs.Job.ID, func(r *running) { r.through = first + uint64(len(lines)) - 1 })
	return nil, nil
}

// Report implements sdk.JobSource. A job that ran is acknowledged, whatever has come of it. One that could not be run is
// failed, and its outcome is told only when it is the last word.
func (s *source) Report(ctx context.Context, report sdk.Report) error {
	h, err := decodeHandle(report.Handle)
	if err != nil {
		return err
	}
	d := h.delivery()
	if s.memory.isOver(d) {
		return nil
	}
	fail := report.Infrastructure && report.StartedAt.IsZero() && s.config.Infrastructure == "fail"
	if !fail || !h.Retried {
		if err := s.pushOutcome(ctx, h, report); err != nil {
			return err
		}
	}
	err = s.pool.With(ctx, func(conn *faktory.Conn) error {
		if !fail {
			return conn.Ack(ctx, h.JID)
		}
		f := failing{reserved: h.Reserved, Failure: faktory.Failure{
			ErrType: textOr(report.Reason, "infrastructure"), JID: h.JID,
			Message: textOr(report.Message, "the job could not be run"),
		}}
		s.memory.with(h, report.Job.ID, func(r *running) { f.first = r.failing })
		err := f.try(ctx, conn)
		s.memory.with(h, report.Job.ID, func(r *running) { r.failing = f.first })
		return err
	})
	if err != nil {
		return err
	}
	s.memory.reported(d)
	return nil
}

func (s *source) pushOutcome(ctx context.Context, h handle, report sdk.Report) error {
	pushed := false
	s.memory.with(h, report.Job.ID, func(r *running) { pushed = r.outcome })
	if pushed {
		return nil
	}
	argument := outcomeArgument{RunnerID: runnerID, JobID: report.Job.ID, Outcome: report.Outcome}
	for _, v := range report.Variables {
		argument.Variables = append(argument.Variables, outcomeVariable{v.Key, string(v.Value)})
	}
	if err := s.pushFollowUp(ctx, h, report.Job.ID, typeOutcome, 0, argument); err != nil {
		return err
	}
	s.memory.with(h, report.Job.ID, func(r *running) { r.outcome = true })
	return nil
}

// pushFollowUp pushes one job about another, once, into that one's batch if it has one.
func (s *source) pushFollowUp(ctx context.Context, h handle, id, kind string, firstLine uint64, argument any) error {
	retry := client.RetryPolicyDefault
	job := &client.Job{
		Retry: &retry, Jid: followUpID(kind, h, firstLine), Queue: s.config.FollowUpQueue, Type: kind,
		CreatedAt: stamp(time.Now()), Args: []any{argument},
	}
	counter := countFailed
	if h.BID != "" {
		counter = countBatchFailed
	}
	err := s.pool.With(ctx, func(conn *faktory.Conn) error {
		if h.BID != "" {
			bid, err := s.openBatch(ctx, conn, h, id)
			if err != nil {
				return err
			}
			if bid != "" {
				job.SetCustom("bid", bid)
			}
		}
		return conn.Push(ctx, job)
	})
	if err != nil {
		s.count(counter)
		return fmt.Errorf("push %s for job %s: %w", kind, id, err)
	}
	return nil
}

// maxBatchRefusals is how often a server may refuse to open a job's batch before the job's logs and outcome are pushed
// without it. A batch that is gone does not come back, and a log outside of its batch is better than none.
const maxBatchRefusals = 5

// openBatch opens a job's batch. The id is empty when the job is to be pushed without it.
func (s *source) openBatch(ctx context.Context, conn *faktory.Conn, h handle, id string) (bid string, err error) {
	s.mu.Lock()
	without := s.noBatches
	s.mu.Unlock()
	refusals := 0
	s.memory.with(h, id, func(r *running) { refusals = r.batchRefusals })
	if without || refusals >= maxBatchRefusals {
		return "", nil
	}
	bid, err = conn.OpenBatch(ctx, h.BID)
	text, refused := faktory.Refused(err)
	if !refused {
		return bid, err
	}
	if hasNoBatches(text) {
		s.mu.Lock()
		said := s.noBatches
		s.noBatches = true
		s.mu.Unlock()
		if !said {
			sdk.Logger(ctx).Warn("this Faktory server has no batches: logs and outcomes are pushed without them", "answer", text)
		}
		return "", nil
	}
	s.memory.with(h, id, func(r *running) {
		r.batchRefusals++
		refusals = r.batchRefusals
	})
	if refusals < maxBatchRefusals {
		return "", err
	}
	sdk.Logger(ctx).Warn("Faktory does not open the job's batch: its logs and outcome are pushed without it", "bid", h.BID, "answer", text)
	return "", nil
}

// hasNoBatches recognises the answer of a server that will never take a batch: one without the Enterprise features, or one
// that does not know the command.
func hasNoBatches(answer string) bool {
	answer = strings.ToLower(answer)
	return strings.Contains(answer, "only available in faktory enterprise") || strings.Contains(answer, "unknown command")
}
