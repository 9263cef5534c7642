package agent

import (
	"context"
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

// Ack implements the call.
func (s *service) Ack(_ context.Context, r *agentv1.AckRequest) (*agentv1.AckResponse, error) {
	step := s.job.step(r.GetStep())
	if step == nil {
		return nil, unknownStep(r.GetStep())
	}
	s.job.acked(step, r.GetThrough(), r.GetEnd())
	if err := spool.ReleaseBeyond(step.spool, r.GetThrough(), s.job.config.Keep); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
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
			continue
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-s.job.life.Done():
		}
		select {
		case <-changed: // the last state is sent, too
		default:
			return whyHungUp(errStopped)
		}
	}
}
