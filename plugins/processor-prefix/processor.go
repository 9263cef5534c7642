package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/podrunner/runner/plugins/processor-prefix/internal/format"
	"github.com/podrunner/runner/sdk"
)

var (
	_ sdk.BatchProcessor = (*processor)(nil)
	_ sdk.Checkpointer   = (*processor)(nil)
)

// processor puts prefixes before the lines of one job.
type processor struct {
	prefixer *format.Prefixer
	// within says, for each stream, that the next record goes on with a line that has its prefix.
	within [2]bool
}

func start(_ context.Context, job sdk.Job, c config) (*processor, error) {
	return &processor{prefixer: format.NewPrefixer(c.template, c.layout, map[format.Field]string{
		format.Worker:   strconv.Itoa(job.Worker),
		format.Job:      job.ID,
		format.Runner:   job.Runner,
		format.Pipeline: job.Pipeline,
	})}, nil
}

// Batch implements sdk.BatchProcessor.
func (p *processor) Batch(_ context.Context, batch *sdk.Batch) error {
	p.prefixer.Enter(batch.Step())
	timed := p.prefixer.Timed()
	for i := range batch.Len() {
		stream := batch.Stream(i)
		if !p.within[stream] {
			var when time.Time
			if timed {
				when = batch.Time(i)
			}
			batch.Splice(i, 0, 0, p.prefixer.Prefix(when, int(stream), stream.String()))
		}
		p.within[stream] = batch.Partial(i)
	}
	return nil
}

// checkpoints are all that there can be: a version, and a bit for each stream that is within a line.
var checkpoints = [4][]byte{nil, {1, 1}, {1, 2}, {1, 3}}

// Checkpoint implements sdk.Checkpointer.
func (p *processor) Checkpoint() ([]byte, error) {
	bits := 0
	for stream, within := range p.within {
		if within {
			bits |= 1 << stream
		}
	}
	return checkpoints[bits], nil
}

// Restore implements sdk.Checkpointer.
func (p *processor) Restore(checkpoint []byte) error {
	switch {
	case len(checkpoint) == 0:
		return nil
	case checkpoint[0] != 1:
		return fmt.Errorf("the checkpoint has version %d, this plugin knows 1", checkpoint[0])
	case len(checkpoint) != 2 || int(checkpoint[1]) >= len(checkpoints):
		return errors.New("the checkpoint is damaged")
	}
	for stream := range p.within {
		p.within[stream] = checkpoint[1]&(1<<stream) != 0
	}
	return nil
}
