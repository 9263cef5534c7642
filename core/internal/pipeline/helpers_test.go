package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		code = 1
	}
	os.Exit(code)
}

// processor is a processor for tests, behind real gRPC. Its functions are called for one job at a time.
type processor struct {
	pluginv1.UnimplementedProcessorServer
	// open is called first, and may fail.
	open func(*pluginv1.Open) error
	// opened is called when Open is answered, and may fail.
	opened func(pluginv1.Processor_ProcessServer) error
	// batch answers a batch; nil acknowledges it with no edits.
	batch func(*pluginv1.Batch) (*pluginv1.Result, error)
	// finish answers Finish; nil returns the result unchanged.
	finish func(*pluginv1.Finish) (*pluginv1.Finished, error)
}

// errHang makes a processor hang until its stream is gone.
var errHang = errors.New("hang")

func (p *processor) Process(stream pluginv1.Processor_ProcessServer) error {
	err := p.process(stream)
	if errors.Is(err, errHang) {
		<-stream.Context().Done()
	}
	return err
}

func (p *processor) process(stream pluginv1.Processor_ProcessServer) error {
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		var response *pluginv1.ProcessResponse
		switch m := request.GetMessage().(type) {
		case *pluginv1.ProcessRequest_Open:
			if p.open != nil {
				if err := p.open(m.Open); err != nil {
					return err
				}
			}
			response = &pluginv1.ProcessResponse{Message: &pluginv1.ProcessResponse_Opened{Opened: &pluginv1.Opened{}}}
		case *pluginv1.ProcessRequest_Batch:
			result := &pluginv1.Result{AckThrough: lastSeq(m.Batch)}
			if p.batch != nil {
				if result, err = p.batch(m.Batch); err != nil {
					return err
				}
			}
			response = &pluginv1.ProcessResponse{Message: &pluginv1.ProcessResponse_Result{Result: result}}
		case *pluginv1.ProcessRequest_Finish:
			finished := &pluginv1.Finished{Result: m.Finish.GetResult()}
			if p.finish != nil {
				if finished, err = p.finish(m.Finish); err != nil {
					return err
				}
			}
			return stream.Send(&pluginv1.ProcessResponse{Message: &pluginv1.ProcessResponse_Finished{Finished: finished}})
		}
		if err := stream.Send(response); err != nil {
			return err
		}
		if response.GetOpened() != nil && p.opened != nil {
			if err := p.opened(stream); err != nil {
				return err
			}
		}
	}
}

func lastSeq(b *pluginv1.Batch) uint64 { return b.GetFirstSeq() + uint64(len(b.GetEnds())) - 1 }

// text returns record i of a batch as a string.
func text(b *pluginv1.Batch, i int) string {
	start := uint32(0)
	if i > 0 {
		start = b.Ends[i-1]
	}
	return string(b.Data[start:b.Ends[i]])
}

// host is a Connector that starts processors in this process.
type host struct {
	t testing.TB
	// start returns the processor of a new process; n counts them from 1.
	start func(n int) *processor

	mu        sync.Mutex
	server    *grpc.Server
	conn      *grpc.ClientConn
	starts    int
	condemned []error
	broken    error
	progress  atomic.Int64
}

func newHost(t testing.TB, start func(n int) *processor) *host {
	h := &host{t: t, start: start}
	t.Cleanup(h.kill)
	return h
}

// kill ends the current process at once.
func (h *host) kill() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != nil {
		h.server.Stop()
		_ = h.conn.Close()
		h.server = nil
	}
}

func (h *host) Connect(context.Context) (Connection, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken != nil {
		return nil, h.broken
	}
	if h.server == nil {
		h.starts++
		h.server = grpc.NewServer()
		pluginv1.RegisterProcessorServer(h.server, h.start(h.starts))
		listener := bufconn.Listen(1 << 16)
		go func(server *grpc.Server) { _ = server.Serve(listener) }(h.server)
		conn, err := grpc.NewClient("passthrough:///bufconn",
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
		if err != nil {
			h.t.Error(err)
		}
		h.conn = conn
	}
	return &connection{host: h, conn: h.conn}, nil
}

type connection struct {
	host *host
	conn *grpc.ClientConn
}

func (c *connection) Client() pluginv1.ProcessorClient { return pluginv1.NewProcessorClient(c.conn) }
func (c *connection) Progress()                        { c.host.progress.Add(1) }

func (c *connection) Condemn(reason error) {
	c.host.mu.Lock()
	c.host.condemned = append(c.host.condemned, reason)
	c.host.mu.Unlock()
	c.host.kill()
}

func (c *connection) Explain(_ context.Context, err error) error { return err }

func (c *connection) Err() error {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	if c.host.server == nil || c.host.conn != c.conn {
		return errors.New("killed")
	}
	return nil
}

// sliceLog is a Log made of lines.
type sliceLog struct {
	batches []*record.Batch
	next    int
	err     error
	acked   atomic.Uint64
	reads   atomic.Int64
}

func (l *sliceLog) Next(ctx context.Context) (*record.Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if l.next == len(l.batches) {
		if l.err != nil {
			return nil, l.err
		}
		return nil, io.EOF
	}
	l.next++
	l.reads.Add(1)
	return l.batches[l.next-1], nil
}

func (l *sliceLog) Ack(n uint64) { l.acked.Store(n) }

func (l *sliceLog) records() (n uint64) {
	for _, b := range l.batches {
		n += uint64(b.Len())
	}
	return n
}

// rec is a record in a test's words: "text" is stdout, "!text" stderr, "@text" of the outcome file, and a "…" at the end
// means partial.
func rec(word string) record.Record {
	r := record.Record{Time: 1}
	if rest, ok := strings.CutPrefix(word, "!"); ok {
		r.Flags |= record.Stderr
		word = rest
	}
	if rest, ok := strings.CutPrefix(word, "@"); ok {
		r.Flags |= record.Outcome
		word = rest
	}
	if rest, ok := strings.CutSuffix(word, "…"); ok {
		r.Flags |= record.Partial
		word = rest
	}
	r.Text = []byte(word)
	return r
}

// word is rec backwards.
func word(r record.Record) string {
	out := string(r.Text)
	if r.Flags&record.Stderr != 0 {
		out = "!" + out
	}
	if r.Flags&record.Outcome != 0 {
		out = "@" + out
	}
	if r.Flags&record.Partial != 0 {
		out += "…"
	}
	return out
}

// logOf packs words into batches of at most n records.
func logOf(n int, words ...string) *sliceLog {
	log := &sliceLog{}
	var b record.Builder
	for _, w := range words {
		r := rec(w)
		if b.Len() == n || !b.Fits(record.StepJob, len(r.Text)) {
			log.batches = append(log.batches, b.Take())
		}
		b.Add(record.StepJob, r)
	}
	if batch := b.Take(); batch != nil {
		log.batches = append(log.batches, batch)
	}
	return log
}

// numbered returns n lines of about 60 bytes.
func numbered(n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("line %06d %s", i, strings.Repeat("x", 48))
	}
	return words
}

// collector is a Sink that keeps the records, as words.
type collector struct {
	mu    sync.Mutex
	words []string
	// gate, when set, has to be received from before each write.
	gate chan struct{}
	err  error
}

func (c *collector) Write(ctx context.Context, batch *record.Batch, through uint64, delivered func(uint64)) error {
	if c.gate != nil {
		select {
		case <-c.gate:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if batch != nil {
		for _, r := range batch.All {
			c.words = append(c.words, word(r))
		}
	}
	delivered(through)
	return nil
}

func (c *collector) Flush(context.Context) error { return nil }

// runStages runs a log through stages and returns what came out.
func runStages(t *testing.T, log *sliceLog, stages ...Stage) ([]string, job.Result) {
	t.Helper()
	sink := &collector{}
	result, err := Run(t.Context(), options(log, sink, stages...))
	if err != nil {
		t.Fatal(err)
	}
	if acked := log.acked.Load(); acked != log.records() {
		t.Errorf("%d records are acknowledged to the log, want %d", acked, log.records())
	}
	return sink.words, result
}

func options(log Log, sink Sink, stages ...Stage) Options {
	return Options{
		Job:    Job{ID: "1", Attempt: 1},
		Stages: stages,
		Log:    log,
		Sink:   sink,
		Result: func(_ context.Context, err error) (job.Result, []string) {
			if err != nil {
				return job.Result{Outcome: job.Failed, Reason: job.ReasonInfrastructure, Message: err.Error()}, []string{"early"}
			}
			return job.Result{Outcome: job.Success}, nil
		},
		StallTimeout: 10 * time.Second,
	}
}

func stageOf(t testing.TB, name string, start func(n int) *processor) Stage {
	return Stage{Name: name, Connector: newHost(t, start), OnError: Fail}
}

// editor builds Edits by hand.
type editor struct {
	edits pluginv1.Edits
	last  uint64
}

func (e *editor) op(seq uint64, op pluginv1.Op) {
	if e.edits.FirstSeq == 0 {
		e.edits.FirstSeq, e.last = seq, seq
	}
	e.edits.Ops = append(e.edits.Ops, byte(op))
	e.edits.Lines = append(e.edits.Lines, uint32(seq-e.last))
	e.last = seq
}

func (e *editor) splice(seq uint64, offset, removed int, text string) {
	e.op(seq, pluginv1.Op_OP_SPLICE)
	e.edits.Offsets = append(e.edits.Offsets, uint32(offset))
	e.edits.Removed = append(e.edits.Removed, uint32(removed))
	e.text(text)
}

func (e *editor) text(text string) {
	e.edits.Inserted = append(e.edits.Inserted, uint32(len(text)))
	e.edits.Data = append(e.edits.Data, text...)
}

func (e *editor) drop(seq uint64) { e.op(seq, pluginv1.Op_OP_DROP) }

func (e *editor) insert(seq uint64, word string) {
	r := rec(word)
	e.op(seq, pluginv1.Op_OP_INSERT_AFTER)
	e.text(string(r.Text))
	e.edits.InsertFlags = append(e.edits.InsertFlags, byte(r.Flags))
}

// editing is a processor that edits each record by itself.
func editing(edit func(e *editor, seq uint64, text string)) func(int) *processor {
	return func(int) *processor {
		return &processor{batch: func(b *pluginv1.Batch) (*pluginv1.Result, error) {
			var e editor
			for i := range b.Ends {
				edit(&e, b.FirstSeq+uint64(i), text(b, i))
			}
			return &pluginv1.Result{AckThrough: lastSeq(b), Edits: &e.edits}, nil
		}}
	}
}

func prefixing(prefix string) func(int) *processor {
	return editing(func(e *editor, seq uint64, _ string) { e.splice(seq, 0, 0, prefix) })
}

var errCrash = errors.New("crash")

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("record %d is %.80q, want %.80q", i+1, got[i], want[i])
			break
		}
	}
	t.Errorf("%d records came out, want %d", len(got), len(want))
}
