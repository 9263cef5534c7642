package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/podrunner/runner/sdk"
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
	*masks
	// detectsKeys says that private keys are looked for.
	detectsKeys bool
	// streams are those of which something has to be known, at most one of each origin.
	streams []*stream
	// saved is the last checkpoint, nil when it has to be made.
	saved []byte
	// text is memory for a line.
	text []byte
}

func start(ctx context.Context, job sdk.Job, c config) (*processor, error) {
	secrets := make([]policy.Secret, 0, len(job.Secrets)+len(c.values))
	for _, s := range job.Secrets {
		secrets = append(secrets, policy.Secret(s))
	}
	m, err := newMasks(ctx, append(secrets, c.values...), c)
	if err != nil {
		return nil, err
	}
	return &processor{masks: m, detectsKeys: c.detects(detectPEM)}, nil
}

// Batch implements sdk.BatchProcessor.
func (p *processor) Batch(ctx context.Context, batch *sdk.Batch) error {
	if len(p.streams) > 0 {
		p.detectors.LookAll()
	} else {
		p.detectors.Look(batch.Data())
	}
	mayHaveKey := p.detectsKeys && bytes.Contains(batch.Data(), keyBegin)
	for i := range batch.Len() {
		line := batch.Bytes(i)
		isLog := batch.Stream(i) != sdk.Outcome
		if isLog && !mayHaveKey && !batch.Partial(i) && p.knowsNothing(batch, i) && p.isOrdinary(line) {
			splice(batch, i, p.lines.Line(line, 0))
		} else if err := p.record(ctx, batch, i); err != nil {
			return err
		}
	}
	return nil
}

// keyBegin is part of the first line of a private key.
var keyBegin = []byte("-----BEGIN ")

// knowsNothing reports whether nothing is known that matters for a line.
func (p *processor) knowsNothing(batch *sdk.Batch, i int) bool {
	if len(p.streams) == 0 {
		return true
	}
	from := origin{batch.Step(), batch.Stream(i)}
	for _, s := range p.streams {
		if s.from == from || len(s.held) > 0 {
			return false
		}
	}
	return true
}

// isOrdinary reports whether a line is masked by its bytes alone: it is no directive, and in no row.
func (p *processor) isOrdinary(line []byte) bool {
	if len(line) == 0 {
		return true
	}
	return line[0] != ':' && (len(line) > maxHeadBytes || !p.rows.Has(bytes.TrimSpace(p.lines.Plain(line))))
}

// Finish implements sdk.Finisher.
func (p *processor) Finish(_ context.Context, end *sdk.End) error {
	p.detectors.LookAll()
	for _, s := range p.streams {
		for _, l := range s.held {
			end.AppendLine(s.from.stream, p.masked(s, l.text))
		}
		if s.mode == heading { // core ends each line; this is for hosts that do not
			end.AppendLine(s.from.stream, p.masked(s, s.head))
		}
	}
	if end.Message == "" && len(end.Variables) == 0 {
		return nil
	}
	texts := redact.New(p.texts, p.detectors, &p.rows)
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
