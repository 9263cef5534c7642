// Bad is a processor that does one thing wrong, which the environment variable BAD names, for the tests of the
// conformance suite.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/protocol"
)

type config struct{}

// lines are wrong processors that treat one line after the other.
var lines = map[string]func(job sdk.Job) sdk.LineProcessor{
	"forgets":   func(sdk.Job) sdk.LineProcessor { return &counter{count: new(atomic.Int64)} },
	"shares":    func(sdk.Job) sdk.LineProcessor { return &counter{count: &shared} },
	"clock":     func(sdk.Job) sdk.LineProcessor { return line(clock) },
	"nul":       func(sdk.Job) sdk.LineProcessor { return line(nul) },
	"collects":  func(sdk.Job) sdk.LineProcessor { return &collector{} },
	"restores":  func(sdk.Job) sdk.LineProcessor { return &restorer{} },
	"outcome":   func(sdk.Job) sdk.LineProcessor { return &finisher{} },
	"stays":     func(sdk.Job) sdk.LineProcessor { return line(nothing) },
	"not a job": func(job sdk.Job) sdk.LineProcessor { return &jobs{id: job.ID} },
}

func main() {
	mode := os.Getenv("BAD")
	if wire, ok := wires[mode]; ok {
		serveWire(wire)
		return
	}
	if mode == "stays" {
		// Serve then knows of no lifeline.
		_ = os.Unsetenv(protocol.EnvLifeline)
	}
	p := sdk.Plugin{Name: "bad"}
	if mode == "borders" {
		p.Processor = sdk.Batches(func(context.Context, sdk.Job, config) (batch, error) { return numberFirst, nil })
	} else {
		p.Processor = sdk.Lines(func(_ context.Context, job sdk.Job, _ config) (sdk.LineProcessor, error) {
			return lines[mode](job), nil
		})
	}
	sdk.Serve(p)
}

type line func(l *sdk.Line) error

func (f line) Line(_ context.Context, l *sdk.Line) error { return f(l) }

type batch func(b *sdk.Batch) error

func (f batch) Batch(_ context.Context, b *sdk.Batch) error { return f(b) }

func nothing(*sdk.Line) error { return nil }

func clock(l *sdk.Line) error {
	l.Splice(0, 0, time.Now().AppendFormat(nil, time.RFC3339Nano))
	return nil
}

func nul(l *sdk.Line) error {
	if bytes.IndexByte(l.Bytes(), 0) >= 0 {
		panic("NUL")
	}
	return nil
}

// numberFirst marks the first line of each batch.
func numberFirst(b *sdk.Batch) error {
	b.Splice(0, 0, 0, []byte("first: "))
	return nil
}

// counter numbers lines, and says nothing of it in a checkpoint.
type counter struct{ count *atomic.Int64 }

var shared atomic.Int64

func (c *counter) Line(_ context.Context, l *sdk.Line) error {
	l.Splice(0, 0, fmt.Appendf(nil, "%d ", c.count.Add(1)))
	return nil
}

// collector keeps whole lines.
type collector struct{ text []byte }

func (c *collector) Line(_ context.Context, l *sdk.Line) error {
	c.text = append(c.text, l.Bytes()...)
	if len(c.text) > 1<<20 {
		return errors.New("the line is too long")
	}
	if !l.Partial() {
		c.text = nil
	}
	return nil
}

var (
	_ sdk.Checkpointer = (*restorer)(nil)
	_ sdk.Finisher     = (*finisher)(nil)
)

// restorer cannot read its own checkpoints.
type restorer struct{ count byte }

func (r *restorer) Line(context.Context, *sdk.Line) error { r.count++; return nil }
func (r *restorer) Checkpoint() ([]byte, error)           { return []byte{r.count, 1}, nil }
func (r *restorer) Restore([]byte) error                  { return errors.New("cannot read it") }

// finisher makes up an outcome.
type finisher struct{}

func (f *finisher) Line(context.Context, *sdk.Line) error { return nil }

func (f *finisher) Finish(_ context.Context, end *sdk.End) error {
	end.Outcome = "fine"
	return nil
}

// jobs keeps its state by job id, for ever.
type jobs struct{ id string }

var seen = map[string]int{}

func (j *jobs) Line(_ context.Context, l *sdk.Line) error {
	seen[j.id]++
	l.Splice(0, 0, fmt.Appendf(nil, "%d ", seen[j.id]))
	return nil
}
