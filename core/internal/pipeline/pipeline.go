// Package pipeline carries a job's log from where it is written to where it is delivered, through the processors in
// between, and then the job's result the same way. It knows neither the processes that the processors are nor the pods
// that the log comes from.
//
//	Log ─▶ feeder ─▶ stage ─▶ stage ─▶ … ─▶ Sink          one goroutine for each arrow's left side, and two more for
//	         ▲                               │            each stage's stream
//	         └──────────── Ack ──────────────┘
//
// What it promises:
//
//   - Records come out in the order in which they went in, each once. A stage keeps a batch until its processor has
//     acknowledged it; when the processor dies, what is left is sent again to its next process, from its checkpoint.
//   - Memory is bounded: a stage holds at most a window of batches, and a stage that is behind holds up the one before it,
//     up to the log itself. Nothing is read faster than it is delivered.
//   - The records of outcome files go the same way, in their place behind the log of their step, but only stages that read
//     them or redact see them, and none comes out.
//   - A record's bytes are copied at most once in a stage, and not at all when its batch is not edited.
package pipeline

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// Log is a job's log; an executor.Run is one.
type Log interface {
	// Next returns the next records, io.EOF after the last. Any other error ends the log, too, early.
	Next(ctx context.Context) (*record.Batch, error)
	// Ack says that the first n records are delivered. It is called from one goroutine, not the one that calls Next.
	Ack(n uint64)
}

// Sink takes the processed records. It is used by one goroutine.
type Sink interface {
	// Write takes over records, in order. It waits as long as the sink has no room, within ctx. The sink calls
	// delivered(through), in order and from any goroutine, once these records and all before them are where they belong.
	// batch is nil when the processors have left nothing of what stands before through.
	Write(ctx context.Context, batch *record.Batch, through uint64, delivered func(through uint64)) error
	// Flush returns when all that was written is delivered.
	Flush(ctx context.Context) error
}

// Connector reaches one processor, whatever process it is at the time.
type Connector interface {
	// Connect returns the processor's current process. It waits while there is none because it is being restarted; an
	// error says that there will be none any more.
	Connect(ctx context.Context) (Connection, error)
}

// Connection is one process of a processor.
type Connection interface {
	Client() pluginv1.ProcessorClient
	// Progress says that the process has done work: it was not in vain to start it.
	Progress()
	// Condemn says that the process misbehaves in a way that only a new one can mend: it hangs.
	Condemn(reason error)
	// Explain makes an error of a call to this process into one that says what became of the process, if it is gone.
	Explain(ctx context.Context, err error) error
	// Err is how the process has ended; nil as long as it lives.
	Err() error
}

// OnError says what becomes of a job when a processor fails for good.
type OnError string

// The choices of `on_error`.
const (
	// Fail ends the job as failed and withholds the rest of the log.
	Fail OnError = "fail"
	// Pass lets the rest of the log go by unprocessed. Not for a processor that redacts.
	Pass OnError = "pass"
	// Drop withholds the rest of the log and lets the job go on.
	Drop OnError = "drop"
)

// Stage is one processor of a pipeline.
type Stage struct {
	Name      string
	Connector Connector
	OnError   OnError
	// Redacts: what has not gone through it must not be seen.
	Redacts bool
	// NeedsSecrets: it is told the job's sensitive values.
	NeedsSecrets bool
	// Checkpoints: its state survives its process.
	Checkpoints bool
	// ReadsOutcome: it is given the records of outcome files; so is one that Redacts.
	ReadsOutcome bool
}

// Job is what the stages are told of a job.
type Job struct {
	ID       string
	Attempt  int
	Pipeline string
	Runner   string
	Worker   int
	Labels   map[string]string
	Secrets  []job.Variable
}

// Options of a run.
type Options struct {
	Job    Job
	Stages []Stage
	Log    Log
	Sink   Sink
	// Result tells how the job ended, and lines to end the log with. It is called once, after the last record has been
	// read; logErr is the error that ended the log early, or nil.
	Result func(ctx context.Context, logErr error) (result job.Result, notes []string)
	// Failed is told at once when a stage fails and its OnError is Fail, so that the job can be ended. text says why,
	// redacted. May be nil.
	Failed func(stage, text string)
	// Observe is told of each batch that goes from one part of the pipeline to the next: from Start to the names of the
	// stages to End. It is called by several goroutines at once. May be nil.
	Observe func(from, to string, records, bytes int)
	// Redact takes the job's sensitive values out of a text that a processor's failure has brought. Nil: none has any.
	Redact func(string) string
	// StallTimeout is how long a processor may take for one batch; 0 means DefaultStallTimeout.
	StallTimeout time.Duration
	Logger       hclog.Logger
}

// Start and End are the ends of a pipeline in Observe.
const (
	Start = "job"
	End   = "deliver"
)

// observer returns what is told of the batches that leave part i of the pipeline: 0 is the feeder, the stages follow.
// Nil: nothing is.
func (o *Options) observer(i int) func(*record.Batch) {
	if o.Observe == nil {
		return nil
	}
	name := func(i int) string {
		switch i {
		case 0:
			return Start
		case len(o.Stages) + 1:
			return End
		}
		return o.Stages[i-1].Name
	}
	from, to := name(i), name(i+1)
	return func(b *record.Batch) { o.Observe(from, to, b.Len(), len(b.Data)) }
}

// DefaultStallTimeout is how long a processor may leave a batch unanswered. A batch is 31 KiB at most: even a slow
// processor answers in milliseconds, so half a minute is a hang.
const DefaultStallTimeout = 30 * time.Second

// item is what goes from one stage to the next: a batch, or the result at the end, never both.
type item struct {
	batch *record.Batch
	// through is the number of the log's records of which everything has been said with this item.
	through uint64
	result  *job.Result
}

// ofOutcome reports whether a batch is of an outcome file. In a pipeline, all records of a batch are, or none.
func ofOutcome(batch *record.Batch) bool { return record.Flags(batch.Flags[0])&record.Outcome != 0 }

// depth is how many items may lie between two stages. With none, each batch would wait for one side to wake up the
// other.
const depth = 2

// Run carries one job's log and result through the stages and returns the result. It returns when the sink has
// delivered everything. The error is ctx's, or the sink's: then records are lost and there is no result.
func Run(ctx context.Context, options Options) (job.Result, error) {
	if options.StallTimeout == 0 {
		options.StallTimeout = DefaultStallTimeout
	}
	if options.Logger == nil {
		options.Logger = hclog.NewNullLogger()
	}
	if options.Redact == nil {
		options.Redact = func(text string) string { return text }
	}
	group := newGroup(ctx)
	first := make(chan item, depth)
	group.run(func(ctx context.Context) error { return feed(ctx, &options, first) })
	last := first
	for i := range options.Stages {
		out := make(chan item, depth)
		s := &stage{Stage: options.Stages[i], options: &options, in: last, out: out, observe: options.observer(i + 1)}
		group.run(s.run)
		last = out
	}
	var result *job.Result
	group.run(func(ctx context.Context) error {
		var err error
		result, err = drain(ctx, last, options.Sink, options.Log.Ack)
		return err
	})
	if err := group.wait(); err != nil {
		return job.Result{}, err
	}
	return *result, nil
}

// drain writes what comes out of the last stage to the sink, until the result comes.
func drain(ctx context.Context, in <-chan item, sink Sink, delivered func(uint64)) (*job.Result, error) {
	for {
		it, err := receive(ctx, in)
		if err != nil {
			return nil, err
		}
		if it.result != nil {
			if err := sink.Write(ctx, nil, it.through, delivered); err != nil {
				return nil, err
			}
			return it.result, sink.Flush(ctx)
		}
		if it.batch != nil && ofOutcome(it.batch) {
			it.batch = nil // it is no part of the log, and whom it is for has seen it
		}
		if err := sink.Write(ctx, it.batch, it.through, delivered); err != nil {
			return nil, err
		}
	}
}

// receive takes the next item, within ctx.
func receive(ctx context.Context, in <-chan item) (item, error) {
	select {
	case it := <-in:
		return it, nil
	case <-ctx.Done():
		return item{}, context.Cause(ctx)
	}
}

// send hands on an item, within ctx.
func send(ctx context.Context, out chan<- item, it item) error {
	select {
	case out <- it:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// note is a line of core's own in a job's log. What it quotes may have several lines.
func note(text string) []byte {
	return []byte("[runner] " + strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }), "; "))
}

// errOver ends the goroutines of a stream that is over; it is nobody's fault.
var errOver = errors.New("the stream is over")
