// Good is a processor with one of everything, for the tests of the conformance suite.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/podrunner/runner/sdk"
)

type config struct {
	Mark string `config:"mark" default:"#" desc:"Put between the number and the line."`
}

// counter numbers the lines of a job, drops those that say so, and repeats those that say so.
type counter struct {
	mark  string
	count uint64
}

var (
	_ sdk.LineProcessor = (*counter)(nil)
	_ sdk.Finisher      = (*counter)(nil)
	_ sdk.Checkpointer  = (*counter)(nil)
)

func (c *counter) Line(ctx context.Context, line *sdk.Line) error {
	c.count++
	if c.count%100 == 0 {
		sdk.Logger(ctx).Debug("counted", "lines", c.count)
		fmt.Println("printed where the handshake was")
	}
	text := string(line.Bytes())
	switch {
	case strings.HasPrefix(text, "drop"):
		line.Drop()
	case strings.HasPrefix(text, "repeat"):
		line.InsertAfter(sdk.Stderr, line.Bytes())
		fallthrough
	default:
		line.Splice(0, 0, fmt.Appendf(nil, "%d%s", c.count, c.mark))
	}
	return nil
}

func (c *counter) Finish(_ context.Context, end *sdk.End) error {
	end.Variables = append(end.Variables, sdk.Variable{Key: "lines", Value: fmt.Append(nil, c.count)})
	end.AppendLine(sdk.Stdout, fmt.Appendf(nil, "%d lines", c.count))
	return nil
}

func (c *counter) Checkpoint() ([]byte, error) {
	return binary.AppendUvarint(nil, c.count), nil
}

func (c *counter) Restore(checkpoint []byte) error {
	count, n := binary.Uvarint(checkpoint)
	if n <= 0 {
		return errors.New("no number")
	}
	c.count = count
	return nil
}

func main() {
	sdk.Serve(sdk.Plugin{
		Name:        "counter",
		Version:     "1.0.0",
		Description: "Numbers the lines.",
		Processor: sdk.Lines(func(_ context.Context, _ sdk.Job, c config) (*counter, error) {
			return &counter{mark: c.Mark}, nil
		}),
	})
}
