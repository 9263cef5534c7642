package sdktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/podrunner/runner/sdk"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// script is a job as core would tell it to a processor.
type script struct {
	open    *pluginv1.Open
	batches []*pluginv1.Batch
	result  *pluginv1.JobResult
	// noCheckpoints: the processor has declared that it has none.
	noCheckpoints bool
	// acknowledged, when set, is called with the number of batches acknowledged so far, each time that it has grown.
	acknowledged func(acked int)
}

// progress is how far a job has come, that is, what core keeps of it: enough to go on with another process.
type progress struct {
	// acked is the number of batches that are acknowledged.
	acked      int
	checkpoint []byte
	// output is what the acknowledged records have become.
	output []edited
	// result is set when the job is finished.
	result *pluginv1.JobResult
}

// answerTimeout is how long a processor may take for an answer; core waits for about as long. Tests shorten it.
var answerTimeout = 20 * time.Second

// errStopped is the end of a stream that play was asked to break off.
var errStopped = errors.New("stopped by the test")

// play runs a job from where p stands, on one stream, and checks each answer against the protocol. It breaks the stream
// off when stopAfter batches are acknowledged, unless that is negative, and returns errStopped. Every other error says
// what the processor did wrong. p is what has been reached in any case.
func play(ctx context.Context, conn grpc.ClientConnInterface, s *script, p *progress, stopAfter int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	patience := time.AfterFunc(answerTimeout, cancel)
	defer patience.Stop()
	stream, err := pluginv1.NewProcessorClient(conn).Process(ctx)
	if err != nil {
		return broken("open the stream", err)
	}
	x := &exchange{script: s, progress: p, stream: stream, window: make(chan struct{}, s.open.WindowBatches)}
	if err := x.open(); err != nil {
		return err
	}
	x.sent.Store(int64(p.acked))
	sender := make(chan struct{})
	go func(rest []*pluginv1.Batch) {
		defer close(sender)
		x.send(ctx, rest)
	}(s.batches[p.acked:])
	defer func() {
		cancel()
		<-sender
	}()
	for stopAfter < 0 || p.acked < stopAfter {
		patience.Reset(answerTimeout)
		over, err := x.receive()
		if over || err != nil {
			return err
		}
	}
	return errStopped
}

// exchange is one stream of a job.
type exchange struct {
	*script
	*progress
	stream grpc.BidiStreamingClient[pluginv1.ProcessRequest, pluginv1.ProcessResponse]
	// window holds an entry for each batch that is sent and not acknowledged.
	window chan struct{}
	// sent is the number of batches that the sender has begun to send.
	sent atomic.Int64
}

func (x *exchange) open() error {
	open := proto.CloneOf(x.script.open)
	open.Checkpoint = x.checkpoint
	open.NextSeq = x.nextSeq()
	if err := x.stream.Send(&pluginv1.ProcessRequest{Message: &pluginv1.ProcessRequest_Open{Open: open}}); err != nil && !errors.Is(err, io.EOF) {
		return broken("send Open", err)
	}
	response, err := x.stream.Recv()
	if err != nil {
		return broken("wait for Opened", err)
	}
	if response.GetOpened() == nil {
		return fmt.Errorf("the first answer is %T; Open is answered with Opened before anything else", response.Message)
	}
	return nil
}

// nextSeq is the number of the first record that is not acknowledged.
func (x *exchange) nextSeq() uint64 { return lastSeq(x.batches[:x.acked]) + 1 }

func lastSeq(batches []*pluginv1.Batch) uint64 {
	if len(batches) == 0 {
		return 0
	}
	b := batches[len(batches)-1]
	return b.FirstSeq + uint64(len(b.Ends)) - 1
}

// send sends the rest of the batches as far as the window allows, and then Finish. An error here ends the receiving side, too, which
// reports it.
func (x *exchange) send(ctx context.Context, rest []*pluginv1.Batch) {
	for _, b := range rest {
		select {
		case x.window <- struct{}{}:
		case <-ctx.Done():
			return
		}
		x.sent.Add(1)
		if x.stream.Send(&pluginv1.ProcessRequest{Message: &pluginv1.ProcessRequest_Batch{Batch: b}}) != nil {
			return
		}
	}
	finish := &pluginv1.Finish{Result: x.script.result}
	if x.stream.Send(&pluginv1.ProcessRequest{Message: &pluginv1.ProcessRequest_Finish{Finish: finish}}) == nil {
		_ = x.stream.CloseSend()
	}
}

// receive takes one answer; over is true after the last one.
func (x *exchange) receive() (over bool, err error) {
	response, err := x.stream.Recv()
	if err != nil {
		return false, broken(fmt.Sprintf("wait for the Result of the batch at record %d", x.nextSeq()), err)
	}
	switch m := response.Message.(type) {
	case *pluginv1.ProcessResponse_Result:
		return false, x.take(m.Result)
	case *pluginv1.ProcessResponse_Finished:
		return true, x.finish(m.Finished)
	}
	return false, fmt.Errorf("%T is not an answer that may come after Opened", response.Message)
}

// take checks a Result and applies it.
func (x *exchange) take(r *pluginv1.Result) error {
	first, count := x.nextSeq(), -1
	for i := range x.batches[x.acked:] {
		if lastSeq(x.batches[:x.acked+i+1]) == r.AckThrough {
			count = i + 1
		}
	}
	switch {
	case r.AckThrough < first:
		return fmt.Errorf("ack_through is %d after %d; each Result acknowledges more than the one before", r.AckThrough, first-1)
	case r.AckThrough > lastSeq(x.batches[:x.sent.Load()]):
		return fmt.Errorf("ack_through is %d, and record %d is the last one sent", r.AckThrough, lastSeq(x.batches[:x.sent.Load()]))
	case count < 0:
		return fmt.Errorf("ack_through is %d, in the middle of a batch; a Result acknowledges whole batches", r.AckThrough)
	case r.Checkpoint != nil && x.noCheckpoints:
		return errors.New("a Result has a checkpoint; the processor declares in its traits that it has none")
	case !x.script.open.PrefixRuns && len(r.Edits.GetPrefixCounts()) > 0:
		return errors.New("a Result has prefix_counts; they are only for a core whose Open says prefix_runs")
	case len(r.Checkpoint) > protocol.MaxCheckpointBytes:
		return fmt.Errorf("a checkpoint has %d bytes, more than %d", len(r.Checkpoint), protocol.MaxCheckpointBytes)
	}
	var records []Line
	for _, b := range x.batches[x.acked : x.acked+count] {
		records = append(records, unpack(b)...)
	}
	lines, err := apply(records, first, r.Edits)
	if err != nil {
		return err
	}
	x.output = append(x.output, lines...)
	x.acked += count
	if r.Checkpoint != nil {
		x.checkpoint = bytes.Clone(r.Checkpoint)
	}
	if x.acknowledged != nil {
		x.acknowledged(x.acked)
	}
	for range count {
		<-x.window
	}
	return nil
}

// finish checks the end of the stream.
func (x *exchange) finish(f *pluginv1.Finished) error {
	if x.acked < len(x.batches) {
		return fmt.Errorf("answer Finished before record %d was acknowledged; what is left is acknowledged first", x.nextSeq())
	}
	if f.Result == nil {
		return errors.New("answer Finished has no result; a processor that does not change it gives it back")
	}
	if !slices.Contains(outcomes, f.Result.Outcome) {
		return fmt.Errorf("the outcome in Finished is %q; it is one of %s", f.Result.Outcome, strings.Join(outcomes, ", "))
	}
	last := Line{Step: "job", Time: firstTime}
	if n := len(x.batches); n > 0 {
		records := unpack(x.batches[n-1])
		last = records[len(records)-1]
	}
	for _, l := range f.Lines {
		if l.Flags&uint32(pluginv1.Flag_FLAG_PARTIAL) != 0 {
			return errors.New("a line in Finished has FLAG_PARTIAL; these are whole lines")
		}
		if l.Flags&uint32(pluginv1.Flag_FLAG_OUTCOME) != 0 {
			return errors.New("a line in Finished has FLAG_OUTCOME; these are lines of the log")
		}
		if bytes.IndexByte(l.Line, '\n') >= 0 {
			return errors.New("a line in Finished holds a line end; a record is one line")
		}
		stream := sdk.Stream(l.Flags & uint32(pluginv1.Flag_FLAG_STDERR))
		line := Line{Text: string(l.Line), Stream: stream, Step: last.Step, Time: last.Time}
		x.output = append(x.output, edited{Line: line})
	}
	x.progress.result = f.Result
	if _, err := x.stream.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after Finished the stream ends with status OK, and here came: %w", orMessage(err))
	}
	return nil
}

var outcomes = []string{
	"success", "failed", "canceled", "pod_timeout", "execution_timeout", "queue_timeout", "unstarted",
}

func orMessage(err error) error {
	if err == nil {
		return errors.New("another message")
	}
	return err
}

// broken says in the author's terms why a stream has ended.
func broken(doing string, err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s: the processor ended the stream with status OK before Finished", doing)
	case status.Code(err) == codes.DeadlineExceeded, status.Code(err) == codes.Canceled:
		return fmt.Errorf("%s: no answer in %v; a processor acknowledges at the latest when it holds window_batches batches",
			doing, answerTimeout)
	case status.Code(err) == codes.Unavailable:
		return fmt.Errorf("%s: the plugin's process is gone or its server is: %w", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// successful is the result of a job that ended well.
func successful() *pluginv1.JobResult {
	return &pluginv1.JobResult{Outcome: "success", ExitCode: new(int32)}
}

// newScript makes a job with an id of its own.
func newScript(id string, records []Line, maxLines int, window uint32) *script {
	return &script{
		open: &pluginv1.Open{
			JobId:         id,
			Attempt:       1,
			Pipeline:      "default",
			Runner:        "sdktest",
			Worker:        1,
			WindowBatches: window,
			PrefixRuns:    true, // as core does
		},
		batches: pack(records, min(maxLines, protocol.MaxBatchLines)),
		result:  successful(),
	}
}
