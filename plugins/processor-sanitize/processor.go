package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/mask/match"
	"github.com/podrunner/runner/sdk/mask/policy"
	"github.com/podrunner/runner/sdk/mask/redact"
)

// mask is what is put into a line.
var mask = []byte(redact.Mask)

var (
	_ sdk.BatchProcessor = (*processor)(nil)
	_ sdk.Finisher       = (*processor)(nil)
	_ sdk.Checkpointer   = (*processor)(nil)
)

// processor masks one job.
type processor struct {
	// lines masks the log.
	lines *redact.Redactor
	// texts are the forms for what has several lines.
	texts []match.Form
	// open are the lines of which a piece has come and another one will.
	open openLines
}

func start(ctx context.Context, job sdk.Job, c config) (*processor, error) {
	secrets := make([]policy.Secret, len(job.Secrets))
	for i, s := range job.Secrets {
		secrets[i] = policy.Secret(s)
	}
	selection, err := policy.Select(secrets, policy.Options{MinLength: c.MinLength})
	if err != nil {
		return nil, err
	}
	for _, n := range selection.Notes {
		sdk.Logger(ctx).Warn("a sensitive variable is not masked everywhere", "variable", n.Key, "reason", n.Text)
	}
	return &processor{lines: redact.New(selection.Lines), texts: selection.Texts}, nil
}

// Batch implements sdk.BatchProcessor.
func (p *processor) Batch(_ context.Context, batch *sdk.Batch) error {
	for i := range batch.Len() {
		if batch.Partial(i) || len(p.open.lines) > 0 {
			p.piece(batch, i)
		} else {
			p.line(batch, i)
		}
	}
	return nil
}

// line masks a line that has come whole.
func (p *processor) line(batch *sdk.Batch, i int) {
	line := batch.Bytes(i)
	masks, length := p.lines.Line(line)
	for _, s := range masks {
		batch.Splice(i, s.Start, s.End-s.Start, mask)
	}
	if length < len(line) {
		batch.Splice(i, length, len(line)-length, nil)
	}
}

// piece masks a line that may be a piece of one.
func (p *processor) piece(batch *sdk.Batch, i int) {
	piece, from := batch.Bytes(i), origin{batch.Step(), batch.Stream(i)}
	out, carry := p.lines.Piece(p.open.carry(from), piece, batch.Partial(i))
	p.open.put(from, carry)
	if !bytes.Equal(out, piece) {
		batch.Replace(i, out)
	}
}

// Finish implements sdk.Finisher.
func (p *processor) Finish(_ context.Context, end *sdk.End) error {
	if len(p.texts) == 0 || end.Message == "" && len(end.Variables) == 0 {
		return nil
	}
	texts := redact.New(p.texts)
	end.Message = string(texts.Text([]byte(end.Message)))
	for i, v := range end.Variables {
		masked := texts.Text(v.Value)
		if bytes.Equal(masked, v.Value) {
			continue
		}
		end.Variables[i].Value = masked
		notice := fmt.Appendf(nil, "[runner] sanitize: outcome variable %q holds a sensitive value, which is masked", v.Key)
		end.AppendLine(sdk.Stdout, texts.Text(notice))
	}
	return nil
}

// Checkpoint implements sdk.Checkpointer.
func (p *processor) Checkpoint() ([]byte, error) { return p.open.checkpoint(), nil }

// Restore implements sdk.Checkpointer.
func (p *processor) Restore(checkpoint []byte) error {
	return p.open.restore(checkpoint, p.lines.Valid)
}
