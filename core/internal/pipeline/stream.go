package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/podrunner/runner/core/internal/job"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// stream is one job in one process of a processor. Two goroutines, one that sends and one that receives, belong to its
// group; two blocked sends would be a deadlock.
type stream struct {
	name       string
	connection Connection
	group      *group
	client     pluginv1.Processor_ProcessClient
	messages   chan *pluginv1.ProcessResponse
	stall      time.Duration
	timer      *time.Timer
	// request is used for one batch after the other; gRPC has encoded it when Send returns.
	request pluginv1.ProcessRequest_Batch
	batch   pluginv1.Batch
}

func newStream(ctx context.Context, name string, connection Connection, stall time.Duration) *stream {
	return &stream{
		name:       name,
		connection: connection,
		group:      newGroup(ctx),
		messages:   make(chan *pluginv1.ProcessResponse, protocol.WindowBatches),
		stall:      stall,
		timer:      time.NewTimer(stall),
	}
}

// close ends the stream and waits for its goroutines.
func (st *stream) close() {
	st.timer.Stop()
	st.group.cancel(errOver)
	_ = st.group.wait()
}

// open begins the job, or goes on with it.
func (st *stream) open(open *pluginv1.Open) error {
	var err error
	if st.client, err = st.connection.Client().Process(st.group.ctx); err != nil {
		return err
	}
	if err := st.client.Send(&pluginv1.ProcessRequest{Message: &pluginv1.ProcessRequest_Open{Open: open}}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	st.group.run(st.receiveAll)
	st.timer.Reset(st.stall)
	select {
	case message := <-st.messages:
		if message.GetOpened() == nil {
			return fmt.Errorf("protocol error: it answered Open with %T", message.GetMessage())
		}
		return nil
	case <-st.timer.C:
		return st.stalled("did not answer Open")
	case <-st.group.ctx.Done():
		return context.Cause(st.group.ctx)
	}
}

// receiveAll passes on the stream's messages, nil after its good end.
func (st *stream) receiveAll(ctx context.Context) error {
	for {
		message, err := st.client.Recv()
		switch {
		case errors.Is(err, io.EOF):
			message = nil
		case err != nil:
			return err
		}
		select {
		case st.messages <- message:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if message == nil {
			return nil
		}
	}
}

// next returns the next message. Before it has to wait for it, it calls idle, and again whenever the window says that
// something has happened. A processor that leaves the oldest item of the window without an answer for too long is
// condemned.
func (st *stream) next(w *window, idle func() error) (*pluginv1.ProcessResponse, error) {
	for {
		select {
		case message := <-st.messages:
			return st.got(message)
		default:
		}
		if err := idle(); err != nil {
			return nil, err
		}
		var expired <-chan time.Time
		if waited, ok := w.waiting(); ok {
			st.timer.Reset(st.stall - waited)
			expired = st.timer.C
		}
		select {
		case message := <-st.messages:
			return st.got(message)
		case <-w.busy:
		case <-expired:
			return nil, st.stalled("did not answer a batch")
		case <-st.group.ctx.Done():
			return nil, context.Cause(st.group.ctx)
		}
	}
}

func (st *stream) got(message *pluginv1.ProcessResponse) (*pluginv1.ProcessResponse, error) {
	if message == nil {
		return nil, errors.New("protocol error: it ended the stream before it sent Finished")
	}
	return message, nil
}

// end waits for the good end of the stream, after Finished.
func (st *stream) end() error {
	st.timer.Reset(st.stall)
	select {
	case message := <-st.messages:
		if message != nil {
			return fmt.Errorf("protocol error: it sent %T after Finished", message.GetMessage())
		}
		return nil
	case <-st.timer.C:
		return st.stalled("did not end its stream after Finished")
	case <-st.group.ctx.Done():
		return context.Cause(st.group.ctx)
	}
}

// stalled condemns the process.
func (st *stream) stalled(what string) error {
	err := fmt.Errorf("it %s for %s", what, st.stall)
	st.connection.Condemn(err)
	return err
}

// sendBatch sends a batch. Its columns are encoded from where they are, with no copy before that.
func (st *stream) sendBatch(s sent) error {
	b := s.batch
	st.batch.FirstSeq = s.first
	st.batch.Data, st.batch.Ends, st.batch.Flags = b.Data, b.Ends, b.Flags
	st.batch.BaseTime, st.batch.Dt = b.BaseTime, b.Deltas
	st.batch.Step = b.Step
	st.request.Batch = &st.batch
	return st.send(&pluginv1.ProcessRequest{Message: &st.request})
}

func (st *stream) sendFinish(result *job.Result) error {
	finish := &pluginv1.Finish{Result: ResultToProto(result)}
	if err := st.send(&pluginv1.ProcessRequest{Message: &pluginv1.ProcessRequest_Finish{Finish: finish}}); err != nil {
		return err
	}
	return st.client.CloseSend()
}

// send sends a message. io.EOF says that the stream is broken and that Recv knows why, so the receiver tells.
func (st *stream) send(message *pluginv1.ProcessRequest) error {
	err := st.client.Send(message)
	if errors.Is(err, io.EOF) {
		<-st.group.ctx.Done()
		return context.Cause(st.group.ctx)
	}
	return err
}
