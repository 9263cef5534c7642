package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// sourceServer serves a JobSource over gRPC.
type sourceServer struct {
	pluginv1.UnimplementedSourceServer

	logger hclog.Logger
	// taking holds a value while the author's Take is at work.
	taking chan struct{}

	offers offers

	mu sync.Mutex
	// source and its releases are nil together.
	source   JobSource
	releases *releases
	// intakes are those of the open streams; there is more than one for moments only.
	intakes map[*Intake]bool
}

// replace puts source, which may be nil, in place of the source, and closes that one. Before that it is told that core has not
// got what was lost on its way, and is waited for, until ctx ends.
func (s *sourceServer) replace(ctx context.Context, source JobSource) error {
	s.mu.Lock()
	old, releases := s.source, s.releases
	s.source, s.releases = source, nil
	if source != nil {
		s.releases = newReleases(source, s.logger)
	}
	s.mu.Unlock()
	if releases != nil {
		releases.end(ctx, s.offers.all())
	}
	if c, ok := old.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// current returns the source, or an error when there is none.
func (s *sourceServer) current() (JobSource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source == nil {
		return nil, status.Error(codes.Unavailable, "the plugin is not configured; Configure comes first")
	}
	return s.source, nil
}

// drain makes all further claims fail. Jobs that are being taken can still be offered.
func (s *sourceServer) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for in := range s.intakes {
		in.mu.Lock()
		in.slots = 0
		in.mu.Unlock()
	}
}

// Jobs is one stream: a receiver, here, and the author's Take beside it.
func (s *sourceServer) Jobs(stream grpc.BidiStreamingServer[pluginv1.JobsRequest, pluginv1.JobsResponse]) error {
	source, err := s.current()
	if err != nil {
		return err
	}
	s.mu.Lock()
	releases := s.releases
	s.mu.Unlock()
	request, err := stream.Recv()
	if err != nil {
		return err
	}
	if request.GetHello() == nil {
		return status.Error(codes.InvalidArgument, "the first message is not Hello")
	}
	ctx, cancel := context.WithCancel(hclog.WithContext(stream.Context(), s.logger))
	defer cancel()
	in := newIntake(request.GetHello(), &s.offers, stream.Send)
	s.open(in, true)
	defer s.offerAgain() // a Take that was waited for may have offered something when there was a new stream already
	defer s.open(in, false)

	taken := make(chan error, 1)
	go func() { taken <- s.take(ctx, source, in) }()
	received := make(chan error, 1)
	go func() { received <- s.receive(ctx, stream, source, releases, in) }()
	select {
	case err = <-received:
		cancel()
		<-taken //nolint:errcheck // what it returns when its context has ended means nothing
		in.end()
	case err = <-taken:
		in.end()
		// The stream's end makes Recv return.
		go func() { <-received }() //nolint:errcheck // as above
	}
	return statusOf(err)
}

func (s *sourceServer) open(in *Intake, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.intakes == nil {
		s.intakes = map[*Intake]bool{}
	}
	if open {
		s.intakes[in] = true
		return
	}
	delete(s.intakes, in)
}

// offerAgain has the open streams make the offers that others have lost.
func (s *sourceServer) offerAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for in := range s.intakes {
		in.mu.Lock()
		_ = in.offerAgain() // a stream that has broken is followed by another one
		in.mu.Unlock()
	}
}

// take runs the author's Take, and returns its error, or waits for the end of the stream when there is none. The Take of a
// stream that has broken may still wait for its remote system, and is waited for.
func (s *sourceServer) take(ctx context.Context, source JobSource, in *Intake) (err error) {
	select {
	case s.taking <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	defer func() { <-s.taking }()
	defer s.recover(&err)
	if err := source.Take(ctx, in); err != nil && ctx.Err() == nil {
		return err
	}
	if ctx.Err() == nil {
		in.Drain("the source has no more jobs")
		<-ctx.Done()
	}
	return nil
}

// recover, deferred, makes a panic in a goroutine of this package an error.
func (s *sourceServer) recover(err *error) {
	if p := recover(); p != nil {
		*err = panicked(s.logger, "Take", p)
	}
}

// receive passes on what core says, until core ends the stream.
func (s *sourceServer) receive(
	ctx context.Context, stream grpc.BidiStreamingServer[pluginv1.JobsRequest, pluginv1.JobsResponse],
	source JobSource, releases *releases, in *Intake,
) (err error) {
	defer s.recover(&err)
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch m := request.Message.(type) {
		case *pluginv1.JobsRequest_Credit_:
			// What core had to say of earlier offers has come before it.
			for _, release := range s.offers.useless(in.stream, m.Credit.GetDraining()) {
				releases.add(release)
			}
			err = in.grant(m.Credit)
		case *pluginv1.JobsRequest_Accept_:
			s.offers.answered(keyOf(m.Accept.GetJob()), in.stream)
		case *pluginv1.JobsRequest_Release_:
			release := Release{
				Job: keyOf(m.Release.GetJob()), Handle: m.Release.GetHandle(), Message: m.Release.GetMessage(),
				Duplicate: m.Release.GetDisposition() == pluginv1.Disposition_DISPOSITION_DUPLICATE,
			}
			if s.offers.answered(release.Job, in.stream) {
				releases.add(release)
			}
		case *pluginv1.JobsRequest_Renew_:
			if r, ok := source.(Renewer); ok {
				keys := make([]JobKey, 0, len(m.Renew.GetJobs()))
				for _, key := range m.Renew.GetJobs() {
					keys = append(keys, keyOf(key))
				}
				s.tell(ctx, "Renew", r.Renew(ctx, keys))
			}
		default:
			// A later version's message is done without.
		}
		if err != nil {
			return err
		}
	}
}

// tell logs an error of a call that core does not wait for.
func (s *sourceServer) tell(ctx context.Context, call string, err error) {
	if err != nil && ctx.Err() == nil {
		s.logger.Error("the source failed", "call", call, "error", err)
	}
}

// AppendLogs adds lines to a job's log.
func (s *sourceServer) AppendLogs(ctx context.Context, r *pluginv1.AppendLogsRequest) (*pluginv1.AppendLogsResponse, error) {
	source, err := s.current()
	if err != nil {
		return nil, err
	}
	s.offers.has(keyOf(r.GetJob()))
	lines, err := linesOf(r)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "lines from %d on: %v", r.GetFirstLine(), err)
	}
	refused, err := source.AppendLogs(s.about(ctx, r.GetJob()), Logs{
		Job: keyOf(r.GetJob()), Handle: r.GetHandle(), FirstLine: r.GetFirstLine(), SentAt: r.GetSentAt().AsTime(), Lines: lines,
	})
	if err != nil {
		return nil, statusOf(err)
	}
	answer := &pluginv1.AppendLogsResponse{}
	for _, lines := range refused {
		answer.Refused = append(answer.Refused, &pluginv1.AppendLogsResponse_RefusedLines{
			FirstLine: lines.FirstLine, Count: lines.Count, Message: utf8Of(lines.Message),
		})
	}
	return answer, nil
}

// linesOf returns the lines of a call, in whichever form they have come. They share the message's memory.
func linesOf(r *pluginv1.AppendLogsRequest) ([][]byte, error) {
	if len(r.GetEnds()) == 0 {
		return r.GetLines(), nil
	}
	lines := make([][]byte, len(r.Ends))
	start := uint32(0)
	for i, end := range r.Ends {
		if end < start || uint64(end) > uint64(len(r.Data)) {
			return nil, fmt.Errorf("line %d ends at byte %d of %d, behind one that ends at %d", i, end, len(r.Data), start)
		}
		lines[i] = r.Data[start:end:end]
		start = end
	}
	if uint64(start) != uint64(len(r.Data)) {
		return nil, fmt.Errorf("the last line ends at byte %d, and there are %d", start, len(r.Data))
	}
	return lines, nil
}

// Report gives a job's result.
func (s *sourceServer) Report(ctx context.Context, r *pluginv1.ReportRequest) (*pluginv1.ReportResponse, error) {
	source, err := s.current()
	if err != nil {
		return nil, err
	}
	s.offers.has(keyOf(r.GetJob()))
	end := endOf(r.GetResult())
	report := Report{
		Job: keyOf(r.GetJob()), Handle: r.GetHandle(),
		Outcome: end.Outcome, Reason: end.Reason, Message: end.Message, ExitCode: end.ExitCode, Variables: end.Variables,
		Infrastructure: r.GetInfrastructure(),
	}
	if t := r.GetStartedAt(); t != nil {
		report.StartedAt = t.AsTime()
	}
	if t := r.GetFinishedAt(); t != nil {
		report.FinishedAt = t.AsTime()
	}
	if err := source.Report(s.about(ctx, r.GetJob()), report); err != nil {
		return nil, statusOf(err)
	}
	return &pluginv1.ReportResponse{}, nil
}

// Scale asks for the number of runners.
func (s *sourceServer) Scale(ctx context.Context, r *pluginv1.ScaleRequest) (*pluginv1.ScaleResponse, error) {
	source, err := s.current()
	if err != nil {
		return nil, err
	}
	scaler, ok := source.(Scaler)
	if !ok {
		return nil, status.Error(codes.Unimplemented, "this source has no opinion on the number of runners")
	}
	n, err := scaler.Scale(hclog.WithContext(ctx, s.logger), int(r.GetCurrentReplicas()), int(r.GetConcurrency()))
	if err != nil {
		return nil, statusOf(err)
	}
	return &pluginv1.ScaleResponse{RecommendedReplicas: uint32(max(n, 0))}, nil //nolint:gosec // a number of runners
}

// Resume takes a job over.
func (s *sourceServer) Resume(ctx context.Context, r *pluginv1.ResumeRequest) (*pluginv1.ResumeResponse, error) {
	source, err := s.current()
	if err != nil {
		return nil, err
	}
	resumer, ok := source.(Resumer)
	if !ok {
		return nil, status.Error(codes.Unimplemented, "this source can't take a job over")
	}
	offer, known, err := resumer.Resume(s.about(ctx, r.GetJob()), keyOf(r.GetJob()), r.GetHandle())
	if err != nil {
		return nil, statusOf(err)
	}
	answer := &pluginv1.ResumeResponse{Known: known}
	if offer.Lease > 0 {
		answer.Lease = durationpb.New(offer.Lease)
	}
	if !offer.Deadline.IsZero() {
		answer.Deadline = timestamppb.New(offer.Deadline)
	}
	return answer, nil
}

// about is a context whose logger says which job it is about.
func (s *sourceServer) about(ctx context.Context, key *pluginv1.JobKey) context.Context {
	return hclog.WithContext(ctx, s.logger, "job", key.GetId())
}
