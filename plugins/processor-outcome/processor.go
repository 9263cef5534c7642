package main

import (
	"context"
	"slices"

	"github.com/podrunner/runner/plugins/processor-outcome/internal/capture"
	"github.com/podrunner/runner/sdk"
)

var (
	_ sdk.BatchProcessor = (*processor)(nil)
	_ sdk.Finisher       = (*processor)(nil)
	_ sdk.Checkpointer   = (*processor)(nil)
)

// processor follows one job.
type processor struct {
	state *capture.State
}

// Batch implements sdk.BatchProcessor. Only standard output holds directives. The outcome file ends here.
func (p *processor) Batch(_ context.Context, batch *sdk.Batch) error {
	p.state.Enter(batch.Step())
	for i := range batch.Len() {
		piece, more := batch.Bytes(i), batch.Partial(i)
		switch batch.Stream(i) {
		case sdk.Stdout:
		case sdk.Outcome:
			apply(capture.Edit{Drop: true, Insert: p.state.File(piece, more)}, batch, i)
			continue
		default:
			continue
		}
		if p.state.Ignores(piece, more) {
			continue
		}
		apply(p.state.Piece(piece, more), batch, i)
	}
	return nil
}

func apply(edit capture.Edit, batch *sdk.Batch, i int) {
	switch {
	case edit.Drop:
		batch.Drop(i)
	case edit.Replace != nil:
		batch.Replace(i, edit.Replace)
	}
	for _, line := range edit.Insert {
		batch.InsertAfter(i, sdk.Stdout, line)
	}
}

// Finish implements sdk.Finisher.
func (p *processor) Finish(_ context.Context, end *sdk.End) error {
	variables, lines := p.state.Finish()
	for _, line := range lines {
		end.AppendLine(sdk.Stdout, line)
	}
	for _, v := range variables {
		put(end, sdk.Variable(v))
	}
	return nil
}

// put adds a variable to the result, or replaces the one with its key.
func put(end *sdk.End, v sdk.Variable) {
	i := slices.IndexFunc(end.Variables, func(x sdk.Variable) bool { return x.Key == v.Key })
	if i < 0 {
		end.Variables = append(end.Variables, v)
		return
	}
	end.Variables[i] = v
}

// Checkpoint implements sdk.Checkpointer.
func (p *processor) Checkpoint() ([]byte, error) { return p.state.Checkpoint(), nil }

// Restore implements sdk.Checkpointer.
func (p *processor) Restore(checkpoint []byte) error {
	state, err := capture.Restore(checkpoint)
	if err != nil {
		return err
	}
	p.state = state
	return nil
}
