package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/podrunner/runner/core/internal/record"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// maxFailures is how often a processor may fail on the same batch. A process can die of many things that are not the
// batch's fault, killed from outside above all; one that dies three times on the same one would go on doing so.
const maxFailures = 3

// stage runs one processor for one job: it reads items, has the processor edit them, and writes them on. Its processor
// may die; the stage then goes on with the next process from where the acknowledgements end.
type stage struct {
	Stage
	options *Options
	in      <-chan item
	out     chan<- item
	observe func(*record.Batch)

	ctx    context.Context
	output output
	window *window
	// nextSeq is the sequence number of the next record to be sent for the first time. Only the sender uses it.
	nextSeq uint64
	// acked is the last acknowledged one, and checkpoint the processor's state after it.
	acked      uint64
	checkpoint []byte
	// through is that of the last item whose records have all been written to output, emitted of the last that has been
	// sent on.
	through, emitted uint64
	// found is scratch space of apply.
	found []sent
}

// run does the stage's work until the job's result has gone through it.
func (s *stage) run(ctx context.Context) error {
	s.ctx = ctx
	s.output.emit = s.emit
	s.window = newWindow()
	s.nextSeq = 1
	for failures := 1; ; failures++ {
		acked := s.acked
		idle, err := s.attempt(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if s.acked > acked {
			failures = 1
		}
		if idle {
			failures--
		}
		var gone *goneError
		if errors.As(err, &gone) || failures == maxFailures {
			return s.fail(ctx, err)
		}
		s.options.Logger.Warn("processor failed; what it has not acknowledged is done again",
			"processor", s.Name, "job", s.options.Job.ID, "record", s.acked+1, "error", err)
		if s.acked > 0 && !s.Checkpoints {
			s.options.Logger.Warn("processor keeps no checkpoints: it goes on without what it knew of earlier lines",
				"processor", s.Name, "job", s.options.Job.ID)
		}
	}
}

// goneError says that there will be no other process of the processor.
type goneError struct{ err error }

func (e *goneError) Error() string { return e.err.Error() }
func (e *goneError) Unwrap() error { return e.err }

// attempt does the stage's work with one process, until the end or until the process fails. idle says that the process has
// ended while it owed this job no answer.
func (s *stage) attempt(ctx context.Context) (idle bool, err error) {
	connection, err := s.Connector.Connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		return false, &goneError{err}
	}
	opened := false
	stream := newStream(ctx, s.Name, connection, s.options.StallTimeout)
	defer func() {
		stream.close()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		default:
			err = connection.Explain(ctx, err)
			_, owed := s.window.waiting()
			idle = opened && !owed && connection.Err() != nil
		}
	}()
	if err := stream.open(s.openMessage()); err != nil {
		return false, err
	}
	opened = true
	s.window.restart()
	stream.group.run(func(ctx context.Context) error { return s.send(ctx, stream) })
	return false, s.receive(stream)
}

func (s *stage) openMessage() *pluginv1.Open {
	j := &s.options.Job
	open := &pluginv1.Open{
		JobId:         j.ID,
		Attempt:       uint32(j.Attempt),
		Pipeline:      j.Pipeline,
		Runner:        j.Runner,
		Worker:        uint32(j.Worker),
		Labels:        j.Labels,
		NextSeq:       s.acked + 1,
		Checkpoint:    s.checkpoint,
		WindowBatches: protocol.WindowBatches,
		PrefixRuns:    true,
	}
	if s.NeedsSecrets {
		for _, v := range j.Secrets {
			open.Secrets = append(open.Secrets, &pluginv1.Secret{Key: v.Key, Value: []byte(v.Value)})
		}
	}
	return open
}

// send sends what is in the window again, then one item after the other, and the job's result at the end. An item is in
// the window before it is sent, so none is lost when the stream breaks in between.
func (s *stage) send(ctx context.Context, stream *stream) error {
	batches, finish := s.window.all()
	for _, b := range batches {
		if b.around {
			continue
		}
		if err := stream.sendBatch(b); err != nil {
			return err
		}
	}
	for finish == nil {
		it, err := s.nextItem(ctx)
		if err != nil {
			return err
		}
		first, around := s.nextSeq, it.batch != nil && s.passesAround(it.batch)
		if it.batch != nil && !around {
			s.nextSeq += uint64(it.batch.Len())
		}
		s.window.add(it, first, around)
		switch {
		case it.result != nil:
			finish = &it
		case it.batch != nil && !around:
			if err := stream.sendBatch(sent{item: it, first: first}); err != nil {
				return err
			}
		}
	}
	return stream.sendFinish(finish.result)
}

// nextItem waits until the window has room and then for an item.
func (s *stage) nextItem(ctx context.Context) (item, error) {
	select {
	case <-s.window.slots:
	case <-ctx.Done():
		return item{}, context.Cause(ctx)
	}
	it, err := receive(ctx, s.in)
	if it.batch == nil {
		s.window.free(1)
	}
	return it, err
}

// receive reads the answers and writes the edited records, until the processor has given back the result.
func (s *stage) receive(stream *stream) error {
	for {
		message, err := stream.next(s.window, s.flush)
		if err != nil {
			return err
		}
		switch m := message.GetMessage().(type) {
		case *pluginv1.ProcessResponse_Result:
			if err := s.apply(m.Result); err != nil {
				return err
			}
			stream.connection.Progress()
		case *pluginv1.ProcessResponse_Finished:
			if err := s.passAround(); err != nil {
				return err
			}
			result, err := s.checkFinished(m.Finished)
			if err != nil {
				return fmt.Errorf("protocol error: %w", err)
			}
			if err := stream.end(); err != nil {
				return err
			}
			return s.finish(m.Finished.GetLines(), result)
		default:
			return fmt.Errorf("protocol error: it sent %T in the middle of a job", m)
		}
	}
}

// apply writes the records that a Result acknowledges.
func (s *stage) apply(result *pluginv1.Result) error {
	through := result.GetAckThrough()
	batches, ok := s.window.find(through, s.found[:0])
	if !ok {
		return fmt.Errorf("protocol error: it acknowledged record %d, which is not the last of a batch that waits for it", through)
	}
	s.found = batches
	if n := len(result.GetCheckpoint()); n > protocol.MaxCheckpointBytes {
		return fmt.Errorf("protocol error: its checkpoint has %d bytes, more than %d", n, protocol.MaxCheckpointBytes)
	}
	length := func(seq uint64) int {
		for _, b := range batches {
			if !b.around && seq <= b.last() {
				return len(b.batch.Text(int(seq - b.first)))
			}
		}
		return 0
	}
	if err := check(result.GetEdits(), batches[0].first, through, length); err != nil {
		return fmt.Errorf("protocol error: %w", err)
	}
	c, err := newCursor(result.GetEdits())
	if err != nil {
		return err
	}
	p := prefixes{columns: result.GetEdits()}
	for _, b := range batches {
		if b.around {
			err = s.output.pass(b.batch)
		} else {
			err = apply(&s.output, b.batch, b.first, c, &p)
		}
		if err != nil {
			return err
		}
		s.through = s.window.remove(1)
	}
	s.acked = through
	if result.Checkpoint != nil {
		s.checkpoint = result.Checkpoint
	}
	return s.passAround()
}

// passesAround reports whether the processor is not to see a batch: one of an outcome file, which it knows nothing of. What
// redacts sees everything.
func (s *stage) passesAround(batch *record.Batch) bool {
	return ofOutcome(batch) && !s.ReadsOutcome && !s.Redacts
}

// passAround writes on the batches that the processor is not to see and that nothing stands before any more.
func (s *stage) passAround() error {
	for batch := s.window.around(); batch != nil; batch = s.window.around() {
		if err := s.output.pass(batch); err != nil {
			return err
		}
		s.through = s.window.remove(1)
	}
	return nil
}

// emit sends a batch on.
func (s *stage) emit(batch *record.Batch) error {
	s.emitted = s.through
	if s.observe != nil && batch != nil {
		s.observe(batch)
	}
	return send(s.ctx, s.out, item{batch: batch, through: s.through})
}

// flush sends on what has been written so far, and how far the stage has come, if nothing was left to send on. The time
// for which the next stage holds it up does not count against the processor, whose answers nobody reads meanwhile.
func (s *stage) flush() error {
	defer s.window.restart()
	if err := s.passAround(); err != nil {
		return err
	}
	if err := s.output.flush(); err != nil {
		return err
	}
	if through := s.window.takeSkipped(); through > s.through {
		s.through = through
	}
	if s.emitted == s.through {
		return nil
	}
	return s.emit(nil)
}
