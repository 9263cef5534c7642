package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/podrunner/runner/sdk"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// Binary is a plugin's program, in whatever language it is written.
type Binary struct {
	// Path is that of the program.
	Path string
	// Config is its `config {}`, as in [Job].
	Config map[string]any
	// Env is what the program needs of its environment beside PATH, HOME and TMPDIR: "KEY=value".
	Env []string
	// Lines are lines that the processor does something to. They are mixed with lines of the suite; without them the
	// suite can only tell that the processor does nothing wrong to lines that it may not care about.
	Lines []Line
	// Secrets are the job's sensitive variables, for a processor that declares that it needs them.
	Secrets []sdk.Secret
}

// Conformance puts a processor's program through what the protocol asks of every processor, one subtest for each
// demand. It starts the program many times, each time as core does. What a failure says is for the processor's author.
func Conformance(t *testing.T, b Binary) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), checkTimeout)
			defer cancel()
			if err := c.conforms(ctx, b); err != nil {
				t.Errorf("%s: %v", c.demand, err)
			}
		})
	}
}

// checkTimeout bounds a check.
const checkTimeout = 60 * time.Second

// check is one demand of the protocol.
type check struct {
	name, demand string
	run          func(ctx context.Context, s *subject) error
}

// conforms runs the check against a new process.
func (c check) conforms(ctx context.Context, b Binary) error {
	s, err := newSubject(ctx, b)
	if err != nil {
		return err
	}
	defer s.stop()
	if err := c.run(ctx, s); err != nil {
		return fmt.Errorf("%w\nthe plugin's standard error ends with:\n%s", err, s.runner.tail.String())
	}
	return nil
}

// subject is a plugin that is being checked: a process that can be replaced by a new one.
type subject struct {
	*process
	binary      Binary
	config      []byte
	description *pluginv1.DescribeResponse
}

func newSubject(ctx context.Context, b Binary) (*subject, error) {
	if b.Config == nil {
		b.Config = map[string]any{}
	}
	config, err := json.Marshal(b.Config)
	if err != nil {
		return nil, fmt.Errorf("encode Binary.Config: %w", err)
	}
	s := &subject{binary: b, config: config}
	if err := s.renew(ctx); err != nil {
		return nil, err
	}
	s.description, err = pluginv1.NewPluginClient(s.conn).Describe(ctx, &pluginv1.DescribeRequest{})
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("describe: %w", err)
	}
	return s, nil
}

// renew starts a process and configures it.
func (s *subject) renew(ctx context.Context) error {
	p, err := start(s.binary)
	if err != nil {
		return err
	}
	if err := p.configure(ctx, s.config); err != nil {
		p.stop()
		return err
	}
	s.process = p
	return nil
}

// stop is the end of the process that runs now.
func (s *subject) stop() { s.process.stop() }

// script makes a job for the subject.
func (s *subject) script(id string, lines []Line, maxLines int, window uint32) *script {
	x := newScript(id, records(lines), maxLines, window)
	x.noCheckpoints = !s.description.Processor.GetCheckpoints()
	if s.description.Processor.GetNeedsSecrets() {
		x.open.Secrets = secretsOf(s.binary.Secrets)
	}
	return x
}

// run plays a whole job in the process that runs now.
func (s *subject) run(ctx context.Context, x *script) (*Result, error) {
	p := &progress{}
	if err := play(ctx, s.conn, x, p, -1); err != nil {
		return nil, err
	}
	return resultOf(p), nil
}

// ordinary is a job like most, in batches of the size that core makes them.
func (s *subject) ordinary(id string) *script {
	return s.script(id, s.lines(), protocol.MaxBatchLines, protocol.WindowBatches)
}

// lines are the author's lines among some of every kind.
func (s *subject) lines() []Line {
	var lines []Line
	add := func(l Line) { lines = append(lines, l) }
	add(Line{Text: "prepare", Step: "init"})
	add(Line{Text: "warning: prepared", Step: "init", Stream: sdk.Stderr})
	for i := range 200 {
		add(Line{Text: fmt.Sprintf("line %d of the job", i)})
		switch {
		case i%10 == 3:
			add(Line{})
		case i%10 == 5:
			add(Line{Text: "on standard error", Stream: sdk.Stderr})
		case i%50 == 7:
			add(Line{Text: "the beginning, ", Partial: true})
			add(Line{Text: "meanwhile", Stream: sdk.Stderr})
			add(Line{Text: "and the end"})
		}
		if n := len(s.binary.Lines); n > 0 && i%3 == 0 {
			add(s.binary.Lines[i/3%n])
		}
	}
	if s.description.Processor.GetReadsOutcome() || s.description.Processor.GetRedacts() {
		for _, text := range outcomeFile {
			add(Line{Text: text, Stream: sdk.Outcome})
		}
	}
	return lines
}

// outcomeFile is that of a job like most, with mistakes.
var outcomeFile = []string{
	"version=1.2.3", "notes<<END", "first", "", "  last", "END", "", "no variable", "=", "a<<b=c", "open<<NEVER", "the end",
}

// sameRun plays a job and compares what comes of it with want.
func (s *subject) sameRun(ctx context.Context, x *script, want *Result) error {
	got, err := s.run(ctx, x)
	if err != nil {
		return err
	}
	return same(got, want)
}

// interrupted plays a job, killing the process each time when as many batches are acknowledged as stops says, and goes
// on in a new one.
func (s *subject) interrupted(ctx context.Context, x *script, stops []int) (*Result, error) {
	p := &progress{}
	for _, stop := range stops {
		if err := play(ctx, s.conn, x, p, stop); !errors.Is(err, errStopped) {
			return nil, err
		}
		s.kill()
		if err := s.renew(ctx); err != nil {
			return nil, fmt.Errorf("start again after a crash: %w", err)
		}
	}
	if err := play(ctx, s.conn, x, p, -1); err != nil {
		return nil, fmt.Errorf("go on in a new process after record %d with a checkpoint of %d bytes: %w",
			lastSeq(x.batches[:p.acked]), len(p.checkpoint), err)
	}
	return resultOf(p), nil
}

// withUnknown adds a field that this version of the protocol does not have.
func withUnknown(m proto.Message) {
	// Field 1999, a varint with value 1.
	m.ProtoReflect().SetUnknown([]byte{0xf8, 0x7c, 0x01})
}
