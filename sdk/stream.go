package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// jobStream is one job in the plugin.
//
// One goroutine receives a batch, has it processed, and sends the result, in turns. That cannot deadlock: it waits only
// for core to send or for core to receive, and core receives results whatever its sending side waits for. While this
// side is busy, up to a window of batches lies in the stream's HTTP/2 window, which holds all of them.
type jobStream struct {
	stream    grpc.BidiStreamingServer[pluginv1.ProcessRequest, pluginv1.ProcessResponse]
	processor Processor
	config    reflect.Value
	logger    hclog.Logger

	ctx   context.Context
	value *opened
	// next is the number of the first line of the next batch.
	next uint64
	// checkpoint is what core has.
	checkpoint []byte

	// These are used again for each batch. gRPC has encoded a message when Send returns, and neither this package nor
	// go-plugin sets up a stats handler, which might look at it later.
	batch    Batch
	result   pluginv1.Result
	response pluginv1.ProcessResponse
}

func (j *jobStream) run() error {
	if err := j.open(); err != nil {
		return err
	}
	j.response.Message = &pluginv1.ProcessResponse_Result{Result: &j.result}
	for {
		request, err := j.stream.Recv()
		if errors.Is(err, io.EOF) {
			return status.Error(codes.InvalidArgument, "the stream ended before Finish")
		}
		if err != nil {
			return err
		}
		switch m := request.Message.(type) {
		case *pluginv1.ProcessRequest_Batch:
			err = j.process(m.Batch)
		case *pluginv1.ProcessRequest_Finish:
			return j.finish(m.Finish)
		default:
			err = status.Errorf(codes.InvalidArgument, "%T is not a message that may come after Open", m)
		}
		if err != nil {
			return err
		}
	}
}

// open makes the job's value and answers Open.
func (j *jobStream) open() error {
	request, err := j.stream.Recv()
	if err != nil {
		return err
	}
	open := request.GetOpen()
	if open == nil {
		return status.Error(codes.InvalidArgument, "the first message is not Open")
	}
	if open.NextSeq == 0 {
		return status.Error(codes.InvalidArgument, "Open has no next_seq; records are numbered from 1")
	}
	j.ctx = hclog.WithContext(j.stream.Context(), j.logger, "job", open.JobId)
	j.next, j.checkpoint = open.NextSeq, open.Checkpoint
	j.batch.edits.prefixes.taken = open.PrefixRuns
	if j.value, err = j.processor.open(j.ctx, jobOf(open), j.config); err != nil {
		return fmt.Errorf("open job %s: %w", open.JobId, err)
	}
	if len(open.Checkpoint) > 0 {
		c, ok := j.value.value.(Checkpointer)
		if !ok {
			return status.Errorf(codes.FailedPrecondition,
				"open job %s: there is a checkpoint, and this version of the plugin makes none", open.JobId)
		}
		if err := c.Restore(open.Checkpoint); err != nil {
			return fmt.Errorf("open job %s: restore a checkpoint of %d bytes: %w", open.JobId, len(open.Checkpoint), err)
		}
	}
	return j.stream.Send(&pluginv1.ProcessResponse{
		Message: &pluginv1.ProcessResponse_Opened{Opened: &pluginv1.Opened{}},
	})
}

func jobOf(open *pluginv1.Open) Job {
	job := Job{
		ID:       open.JobId,
		Attempt:  int(open.Attempt),
		Pipeline: open.Pipeline,
		Runner:   open.Runner,
		Worker:   int(open.Worker),
		Labels:   open.Labels,
	}
	for _, s := range open.Secrets {
		job.Secrets = append(job.Secrets, Secret{Key: s.Key, Value: s.Value})
	}
	return job
}

// process has a batch processed and acknowledges it.
func (j *jobStream) process(records *pluginv1.Batch) error {
	if err := checkBatch(records, j.next); err != nil {
		return status.Errorf(codes.InvalidArgument, "batch at record %d: %v", records.GetFirstSeq(), err)
	}
	j.batch.reset(records)
	if err := j.value.Batch(j.ctx, &j.batch); err != nil {
		return err
	}
	edits, err := j.batch.edits.encode(records.FirstSeq)
	if err != nil {
		return err
	}
	j.next += uint64(len(records.Ends))
	j.result.AckThrough, j.result.Edits = j.next-1, edits
	if j.result.Checkpoint, err = j.newCheckpoint(); err != nil {
		return fmt.Errorf("checkpoint after line %d: %w", j.next-1, err)
	}
	return j.stream.Send(&j.response)
}

// checkBatch makes sure that no index of a batch leads out of its data.
func checkBatch(b *pluginv1.Batch, next uint64) error {
	n := len(b.GetEnds())
	switch {
	case n == 0:
		return errors.New("it is empty")
	case b.FirstSeq != next:
		return fmt.Errorf("record %d was expected", next)
	case len(b.Flags) != n:
		return fmt.Errorf("%d records have %d flags", n, len(b.Flags))
	case len(b.Dt) != 0 && len(b.Dt) != n:
		return fmt.Errorf("%d records have %d times", n, len(b.Dt))
	}
	last := uint32(0)
	for _, end := range b.Ends {
		if end < last {
			return errors.New("ends do not ascend")
		}
		last = end
	}
	if uint64(last) != uint64(len(b.Data)) {
		return fmt.Errorf("the last record ends at %d, and there are %d bytes", last, len(b.Data))
	}
	return nil
}

// newCheckpoint returns the value's checkpoint, or nil when core has it already. An empty one is not nil: it says that
// there is no state any more.
func (j *jobStream) newCheckpoint() ([]byte, error) {
	c, ok := j.value.value.(Checkpointer)
	if !ok {
		return nil, nil
	}
	checkpoint, err := c.Checkpoint()
	if err != nil {
		return nil, err
	}
	if len(checkpoint) > protocol.MaxCheckpointBytes {
		return nil, fmt.Errorf("it is %d bytes, more than %d", len(checkpoint), protocol.MaxCheckpointBytes)
	}
	// When the author returns the same bytes again, this compares two pointers.
	if bytes.Equal(checkpoint, j.checkpoint) {
		return nil, nil
	}
	j.checkpoint = checkpoint
	if checkpoint == nil {
		checkpoint = []byte{}
	}
	return checkpoint, nil
}

// finish passes the result through the value and ends the stream.
func (j *jobStream) finish(finish *pluginv1.Finish) error {
	result := finish.GetResult()
	if result == nil {
		result = &pluginv1.JobResult{}
	}
	finished := &pluginv1.Finished{Result: result}
	if f, ok := j.value.value.(Finisher); ok {
		end := endOf(result)
		if err := f.Finish(j.ctx, end); err != nil {
			return fmt.Errorf("finish: %w", err)
		}
		if end.err != nil {
			return fmt.Errorf("finish: %w", end.err)
		}
		finished.Lines = end.lines
		end.putInto(result)
	}
	return j.stream.Send(&pluginv1.ProcessResponse{
		Message: &pluginv1.ProcessResponse_Finished{Finished: finished},
	})
}
