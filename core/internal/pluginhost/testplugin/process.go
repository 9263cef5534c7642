package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// Process treats lines well in the modes that are for that:
//
//	echo    changes nothing, or puts config.prefix before each line
//	upper   writes each line in capitals
//	count   puts the number of the line before it, and keeps the number in its checkpoints
//
// and in any other mode does what echo does, until config.after batches of a job have come; then, by mode:
//
//	panic-batch    panics
//	exit-batch     ends the process with code 5
//	leave-batch    ends the process with code 5, and leaves one behind that holds its sockets
//	hang-batch     never answers again
//	nonsense-ack   acknowledges a record that it was never sent
//	backward-ack   acknowledges what it has acknowledged before
//	bad-edits      edits bytes that a record does not have
//	bad-columns    sends edits whose columns do not fit together
//	error-batch    ends the stream with an error; plain-batch with one that has no code
//	end-batch      ends the stream with OK in the middle of the job
//	hang-open      never answers to Open; error-open answers with an error
//	panic-finish, hang-finish, end-finish: at Finish panics, never answers, ends without Finished
func (s *service) Process(stream pluginv1.Processor_ProcessServer) error {
	job := &job{service: s, stream: stream}
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var answer *pluginv1.ProcessResponse
		switch m := request.GetMessage().(type) {
		case *pluginv1.ProcessRequest_Open:
			answer, err = job.open(m.Open)
		case *pluginv1.ProcessRequest_Batch:
			answer, err = job.batch(m.Batch)
		case *pluginv1.ProcessRequest_Finish:
			answer, err = job.finish(m.Finish)
		}
		if errors.Is(err, errEnd) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

// errEnd ends the stream with OK.
var errEnd = errors.New("end of stream")

var errTest = status.Error(codes.Internal, "a test's error")

// job is one stream.
type job struct {
	*service
	stream  pluginv1.Processor_ProcessServer
	batches int
	lines   uint64
}

func (j *job) open(open *pluginv1.Open) (*pluginv1.ProcessResponse, error) {
	switch j.mode {
	case "hang-open":
		return nil, j.hang()
	case "error-open":
		return nil, errTest
	}
	if checkpoint := open.GetCheckpoint(); len(checkpoint) == 8 {
		j.lines = binary.BigEndian.Uint64(checkpoint)
	}
	return &pluginv1.ProcessResponse{Message: &pluginv1.ProcessResponse_Opened{Opened: &pluginv1.Opened{}}}, nil
}

// hang waits until core gives up.
func (j *job) hang() error {
	<-j.stream.Context().Done()
	return j.stream.Context().Err()
}

func (j *job) batch(batch *pluginv1.Batch) (*pluginv1.ProcessResponse, error) {
	last := batch.GetFirstSeq() + uint64(len(batch.GetEnds())) - 1
	result := &pluginv1.Result{AckThrough: last, Edits: j.edits(batch)}
	if j.mode == "count" {
		result.Checkpoint = binary.BigEndian.AppendUint64(nil, j.lines)
	}
	j.batches++
	if j.batches > j.config.After {
		if err := j.fault(batch, result); err != nil {
			return nil, err
		}
	}
	return &pluginv1.ProcessResponse{Message: &pluginv1.ProcessResponse_Result{Result: result}}, nil
}

// fault does what the mode does wrong, to the result or otherwise.
func (j *job) fault(batch *pluginv1.Batch, result *pluginv1.Result) error {
	switch j.mode {
	case "panic-batch":
		panic("a test's panic in a batch")
	case "exit-batch":
		exit(5, "leaving in a batch")
	case "leave-batch":
		spawn(true, sockets()...)
		exit(5, "leaving in a batch")
	case "hang-batch":
		return j.hang()
	case "plain-batch":
		return errors.New("a test's error")
	case "error-batch":
		return errTest
	case "end-batch":
		return errEnd
	case "nonsense-ack":
		result.AckThrough += 1000
	case "backward-ack":
		result.AckThrough = batch.GetFirstSeq() - 1
	case "bad-edits":
		result.Edits = splices(batch, func([]byte) (uint32, uint32, string) { return 1 << 20, 1, "x" })
	case "bad-columns":
		result.Edits.Inserted = append(result.Edits.Inserted, 1<<30)
	}
	return nil
}

// edits are those of a good mode.
func (j *job) edits(batch *pluginv1.Batch) *pluginv1.Edits {
	switch {
	case j.mode == "upper":
		return splices(batch, func(line []byte) (uint32, uint32, string) {
			return 0, uint32(len(line)), string(bytes.ToUpper(line))
		})
	case j.mode == "count":
		return splices(batch, func([]byte) (uint32, uint32, string) {
			j.lines++
			return 0, 0, fmt.Sprintf("%d ", j.lines)
		})
	case j.config.Prefix != "":
		return splices(batch, func([]byte) (uint32, uint32, string) { return 0, 0, j.config.Prefix })
	default:
		return &pluginv1.Edits{}
	}
}

// splices makes one splice of each record: offset, bytes removed, text put in.
func splices(batch *pluginv1.Batch, edit func(line []byte) (offset, removed uint32, text string)) *pluginv1.Edits {
	edits := &pluginv1.Edits{FirstSeq: batch.GetFirstSeq()}
	var begin uint32
	for i, end := range batch.GetEnds() {
		offset, removed, text := edit(batch.GetData()[begin:end])
		begin = end
		edits.Ops = append(edits.Ops, byte(pluginv1.Op_OP_SPLICE))
		edits.Lines = append(edits.Lines, uint32(min(i, 1)))
		edits.Offsets = append(edits.Offsets, offset)
		edits.Removed = append(edits.Removed, removed)
		edits.Inserted = append(edits.Inserted, uint32(len(text)))
		edits.Data = append(edits.Data, text...)
	}
	return edits
}

func (j *job) finish(finish *pluginv1.Finish) (*pluginv1.ProcessResponse, error) {
	switch j.mode {
	case "panic-finish":
		panic("a test's panic in Finish")
	case "hang-finish":
		return nil, j.hang()
	case "end-finish":
		return nil, errEnd
	}
	return &pluginv1.ProcessResponse{Message: &pluginv1.ProcessResponse_Finished{Finished: &pluginv1.Finished{Result: finish.GetResult()}}}, nil
}
