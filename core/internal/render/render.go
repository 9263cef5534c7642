// Package render shows a run of a job to whoever started it: as text for people, or as one JSON object a line for
// programs.
package render

import (
	"context"

	"github.com/podrunner/runner/core/internal/engine"
	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/record"
)

// Renderer shows one run. Status is safe for concurrent use with the other methods.
type Renderer interface {
	// Status shows what the job is doing.
	Status(status executor.Status)
	// Records shows records of the log, in order.
	Records(batch *record.Batch) error
	// Summary shows how the job ended, last of all.
	Summary(summary engine.Summary) error
	// Close ends the showing, also of a run that comes to no summary. Nothing is shown after it; it may be called twice.
	Close()
}

// Sink delivers records to a renderer: what is shown is delivered.
type Sink struct{ Renderer Renderer }

// Write implements pipeline.Sink. What reads core's output may stand still, and such a write can't be called back: when
// ctx ends, it is left to itself and ends with the reader or with the process. Nothing may be shown after that.
func (s Sink) Write(ctx context.Context, batch *record.Batch, through uint64, delivered func(uint64)) error {
	if batch != nil {
		shown := make(chan error, 1)
		go func() { shown <- s.Renderer.Records(batch) }()
		select {
		case err := <-shown:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	delivered(through)
	return nil
}

// Flush implements pipeline.Sink.
func (s Sink) Flush(context.Context) error { return nil }
