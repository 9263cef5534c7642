// Package render shows a run of a job to whoever started it: as text for people, or as one JSON object a line for
// programs.
package render

import (
	"context"

	"github.com/podrunner/runner/core/internal/engine"
	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/record"
)

// Renderer shows one run. Its methods are safe for concurrent use.
type Renderer interface {
	// Status shows what the job is doing.
	Status(status executor.Status)
	// Records shows records of the log, in order.
	Records(batch *record.Batch) error
	// Summary shows how the job ended, last of all.
	Summary(summary engine.Summary) error
}

// Sink delivers records to a renderer: what is shown is delivered.
type Sink struct{ Renderer Renderer }

// Write implements pipeline.Sink.
func (s Sink) Write(_ context.Context, batch *record.Batch, through uint64, delivered func(uint64)) error {
	if batch != nil {
		if err := s.Renderer.Records(batch); err != nil {
			return err
		}
	}
	delivered(through)
	return nil
}

// Flush implements pipeline.Sink.
func (s Sink) Flush(context.Context) error { return nil }
