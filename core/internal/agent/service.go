package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podrunner/runner/core/internal/agent/agentv1"
	"github.com/podrunner/runner/core/internal/spool"
)

// service answers core's calls.
type service struct {
	agentv1.UnimplementedAgentServer
	job *job
}

// Tail implements the call.
func (s *service) Tail(r *agentv1.TailRequest, stream grpc.ServerStreamingServer[agentv1.TailResponse]) error {
	step := s.job.step(r.GetStep())
	if step == nil {
		return status.Errorf(codes.InvalidArgument, "there is no step %q", r.GetStep())
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(s.job.life, cancel)()
	s.job.replaceTail(step, cancel)
	reader, err := spool.NewReader(step.spool, step.name, r.GetFrom())
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	defer func() { _ = reader.Close() }()
	over := make(chan struct{})
	defer func() { <-over }()
	defer cancel()
	go func() {
		defer close(over)
		select {
		case <-step.over:
			reader.WriterGone()
		case <-ctx.Done():
		}
	}()
	next := max(r.GetFrom(), 1)
	for {
		batch, err := reader.Next(ctx)
		if err != nil {
			return s.endTail(step, reader, stream, err)
		}
		if err := stream.Send(&agentv1.TailResponse{Content: &agentv1.TailResponse_Records{Records: pack(batch, next)}}); err != nil {
			return err
		}
		next += uint64(batch.Len())
	}
}

// endTail tells core why there is no more.
func (s *service) endTail(step *step, reader *spool.Reader, stream grpc.ServerStreamingServer[agentv1.TailResponse], err error) error {
	end := &agentv1.End{}
	var released *spool.ReleasedError
	switch {
	case errors.Is(err, io.EOF):
		exit, _ := reader.Exit()
		text, err := json.Marshal(exit)
		if err != nil {
			return status.Error(codes.Internal, err.Error())
		}
		end.Exit = text
	case errors.Is(err, spool.ErrNoExit):
		s.job.mu.Lock()
		end.Skipped = step.phase == Skipped
		s.job.mu.Unlock()
	case errors.As(err, &released):
		return status.Error(codes.OutOfRange, err.Error())
	case stream.Context().Err() != nil:
		return status.FromContextError(stream.Context().Err()).Err()
	default:
		return status.Error(codes.Unavailable, err.Error())
	}
	state, _ := s.job.state()
	end.Ending = state.Ending.toProto()
	if err := stream.Send(&agentv1.TailResponse{Content: &agentv1.TailResponse_End{End: end}}); err != nil {
		return err
	}
	s.job.told(step)
	return nil
}

// replaceTail ends the Tail of the step that is served: it is that of a connection that is dead, if nobody knows it yet.
func (j *job) replaceTail(s *step, cancel func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s.tail != nil {
		s.tail()
	}
	s.tail = cancel
}

// Ack implements the call.
func (s *service) Ack(_ context.Context, r *agentv1.AckRequest) (*agentv1.AckResponse, error) {
	step := s.job.step(r.GetStep())
	if step == nil {
		return nil, status.Errorf(codes.InvalidArgument, "there is no step %q", r.GetStep())
	}
	if err := spool.Release(step.spool, r.GetThrough()); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	s.job.fetched(step, r.GetThrough())
	return &agentv1.AckResponse{}, nil
}

// Cancel implements the call.
func (s *service) Cancel(_ context.Context, r *agentv1.CancelRequest) (*agentv1.CancelResponse, error) {
	s.job.end(Ending{Why: Canceled, At: time.Now()}, max(0, time.Duration(r.GetGraceNs())))
	return &agentv1.CancelResponse{}, nil
}

// Status implements the call.
func (s *service) Status(_ *agentv1.StatusRequest, stream grpc.ServerStreamingServer[agentv1.State]) error {
	for {
		state, changed := s.job.state()
		if err := stream.Send(state.toProto()); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-s.job.life.Done():
			return status.Error(codes.Unavailable, "the helper ends")
		}
	}
}
