package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podrunner/runner/core/internal/agent/agentv1"
	"github.com/podrunner/runner/core/internal/spool"
)

// Why a Tail ends before the step does.
var (
	errReplaced = errors.New("somebody else reads the step now")
	errStopped  = errors.New("the helper ends")
)

// tail is one Tail that is served. It is for the goroutine of the call, but for hangUp.
type tail struct {
	step   *step
	reader *spool.Reader
	stream grpc.ServerStreamingServer[agentv1.TailResponse]
	// next is the number of the record that is sent next.
	next uint64
	// hangUp ends the call.
	hangUp context.CancelCauseFunc
}

// replaceTail ends the Tail of the step that is served: it is that of a connection that is dead, if nobody knows it yet.
func (j *job) replaceTail(t *tail) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if t.step.tail != nil {
		t.step.tail.hangUp(errReplaced)
	}
	t.step.tail = t
}

// removeTail says that a Tail is over, after the records up to last.
func (j *job) removeTail(t *tail) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t.step.written = max(t.step.written, t.next-1)
	if t.step.tail == t {
		t.step.tail = nil
	}
	j.fetchedMore()
}

// Tail implements the call.
func (s *service) Tail(r *agentv1.TailRequest, stream grpc.ServerStreamingServer[agentv1.TailResponse]) error {
	step := s.job.step(r.GetStep())
	if step == nil {
		return unknownStep(r.GetStep())
	}
	reader, err := spool.NewReader(step.spool, step.name, r.GetFrom())
	if err != nil {
		return unreadable(err)
	}
	defer func() { _ = reader.Close() }()
	ctx, hangUp := context.WithCancelCause(stream.Context())
	defer hangUp(nil)
	defer context.AfterFunc(s.job.life, func() { hangUp(errStopped) })()
	t := &tail{step: step, reader: reader, stream: stream, next: max(r.GetFrom(), 1), hangUp: hangUp}
	s.job.replaceTail(t)
	defer s.job.removeTail(t)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-step.over:
			reader.WriterGone()
		case <-ctx.Done():
		}
	}()
	defer func() { hangUp(nil); <-watched }()
	err = t.send(ctx)
	if ctx.Err() != nil {
		return whyHungUp(context.Cause(ctx))
	}
	return s.end(t, err)
}

// send sends the records that there are and that come, and returns why there are no more.
func (t *tail) send(ctx context.Context) error {
	for {
		batch, err := t.reader.Next(ctx)
		if err != nil {
			return err
		}
		err = t.stream.Send(&agentv1.TailResponse{Content: &agentv1.TailResponse_Records{Records: pack(batch, t.next)}})
		if err != nil {
			return err
		}
		t.next += uint64(batch.Len())
	}
}

func whyHungUp(err error) error {
	switch {
	case errors.Is(err, errReplaced):
		return status.Error(codes.Aborted, err.Error())
	case errors.Is(err, errStopped):
		return status.Error(codes.Unavailable, err.Error())
	}
	return status.FromContextError(err).Err()
}

// end tells core why there are no more records.
func (s *service) end(t *tail, err error) error {
	end := &agentv1.End{}
	var released *spool.ReleasedError
	switch {
	case errors.Is(err, io.EOF):
		exit, _ := t.reader.Exit()
		text, err := json.Marshal(exit)
		if err != nil {
			return status.Error(codes.DataLoss, err.Error())
		}
		end.Exit = text
	case errors.Is(err, spool.ErrNoExit):
		s.job.mu.Lock()
		end.Skipped = t.step.phase == Skipped
		s.job.mu.Unlock()
	case errors.As(err, &released):
		return releasedStatus(released)
	default:
		return unreadable(err)
	}
	state, _ := s.job.state()
	end.Ending = state.Ending.toProto()
	return t.stream.Send(&agentv1.TailResponse{Content: &agentv1.TailResponse_End{End: end}})
}

// unreadable says that a spool can't be read, and whether that stays so. A step can write to the directory of its own one, and
// remove it.
func unreadable(err error) error {
	var corrupt *spool.CorruptError
	switch {
	case errors.As(err, &corrupt):
		return status.Error(codes.DataLoss, err.Error())
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOTDIR):
		return status.Errorf(codes.DataLoss, "the directory that the step's log is kept in is not there any more, or locked; has the step done that? %v", err)
	}
	return status.Error(codes.Unavailable, err.Error())
}

// releasedStatus says that the first record that is wanted has been released.
func releasedStatus(err *spool.ReleasedError) error {
	s := status.New(codes.FailedPrecondition, err.Error())
	if detailed, err := s.WithDetails(&agentv1.Released{First: err.First}); err == nil {
		s = detailed
	}
	return s.Err()
}

// released is the error of a Tail that wanted a record that has been released; nil when it has failed otherwise.
func released(err error, wanted uint64) error {
	for _, detail := range status.Convert(err).Details() {
		if r, ok := detail.(*agentv1.Released); ok {
			return &spool.ReleasedError{Wanted: wanted, First: r.GetFirst()}
		}
	}
	return nil
}

func unknownStep(name string) error {
	return status.Error(codes.InvalidArgument, fmt.Sprintf("there is no step %q", name))
}
