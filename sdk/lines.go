package sdk

import (
	"context"
	"errors"
	"fmt"
	"reflect"
)

// processor is the Processor whose jobs have a value of type P.
type processor[C, P any] struct {
	start func(ctx context.Context, job Job, config C) (P, error)
	adapt func(P) BatchProcessor
}

func (processor[C, P]) configType() reflect.Type { return reflect.TypeFor[C]() }

// checkpoints says yes where it cannot know, that is when P is an interface: a processor may promise checkpoints and
// have none, but not the other way round.
func (processor[C, P]) checkpoints() bool {
	t := reflect.TypeFor[P]()
	return t.Kind() == reflect.Interface || t.Implements(reflect.TypeFor[Checkpointer]())
}

func (p processor[C, P]) open(ctx context.Context, job Job, config reflect.Value) (*opened, error) {
	c, ok := config.Interface().(C)
	if !ok {
		return nil, fmt.Errorf("configuration is a %s, not a %s", config.Type(), reflect.TypeFor[C]())
	}
	value, err := p.start(ctx, job, c)
	if err != nil {
		return nil, err
	}
	if isNil(value) {
		return nil, errors.New("the processor's start function returned neither a value nor an error")
	}
	return &opened{BatchProcessor: p.adapt(value), value: value}, nil
}

func isNil(value any) bool {
	v := reflect.ValueOf(value)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// lineByLine gives the lines of each batch to a LineProcessor.
type lineByLine struct {
	lines LineProcessor
	// line is the one Line that all calls get; one for each would cost an allocation a line.
	line Line
}

func (p *lineByLine) Batch(ctx context.Context, batch *Batch) error {
	p.line.batch = batch
	for i := range batch.Len() {
		p.line.index = i
		if err := p.lines.Line(ctx, &p.line); err != nil {
			return fmt.Errorf("line %d: %w", p.line.Seq(), err)
		}
	}
	return nil
}
