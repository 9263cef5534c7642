// Runner-processor-shout writes every line of a job's log in capitals.
package main

import (
	"context"
	"strings"

	"github.com/podrunner/runner/sdk"
)

// config is what config {} may hold.
type config struct {
	Suffix string `config:"suffix" default:"!" desc:"Put after each line."`
}

// Validate finds what the schema cannot.
func (c *config) Validate(d *sdk.Diagnostics) {
	if strings.Contains(c.Suffix, "\n") {
		d.Error(sdk.At("suffix"), "Line end in suffix", "It goes into a line, so it must not end one.")
	}
}

// shout is the processor of one job.
type shout struct {
	suffix []byte
	// text is used again for each line.
	text []byte
}

var _ sdk.LineProcessor = (*shout)(nil)

// Line sees each line of the job, in order.
func (s *shout) Line(_ context.Context, line *sdk.Line) error {
	s.text = s.text[:0]
	// Byte by byte: a line need not be UTF-8, and a piece of one may end within a character.
	for _, c := range line.Bytes() {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		s.text = append(s.text, c)
	}
	if !line.Partial() {
		s.text = append(s.text, s.suffix...)
	}
	line.Replace(s.text)
	return nil
}

var plugin = sdk.Plugin{
	Name:        "shout",
	Version:     "0.1.0",
	Description: "Writes every line in capitals.",
	Processor: sdk.Lines(func(_ context.Context, _ sdk.Job, c config) (*shout, error) {
		return &shout{suffix: []byte(c.Suffix)}, nil
	}),
}

func main() { sdk.Serve(plugin) }
