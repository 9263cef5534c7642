package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/podrunner/runner/plugins/processor-sanitize/internal/detect"
	"github.com/podrunner/runner/plugins/processor-sanitize/internal/sequence"
	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/mask/match"
	"github.com/podrunner/runner/sdk/mask/policy"
	"github.com/podrunner/runner/sdk/mask/redact"
)

// Limits of what a job adds while it runs. One that is over them ends: to pass over a value would be a leak.
const (
	// maxAdded is the number of values, and maxAddedBytes the length of all of them: they are in each checkpoint.
	maxAdded      = 1000
	maxAddedBytes = 256 << 10
)

// masks are what a job's log and result are masked with.
type masks struct {
	options policy.Options
	// lines masks the log.
	lines *redact.Redactor
	// rows are those of values of several lines that are masked only together.
	rows sequence.Rows
	// texts are the forms for what has several lines.
	texts []match.Form
	// detectors also look at lines, and at texts.
	detectors *detect.Set

	// added are the values that the job has added, in their order.
	added      [][]byte
	addedBytes int
	// known are all forms, once a value has been added.
	known map[formKey]bool
	// formBytes is the length of those that have been added.
	formBytes int
}

// formKey tells forms apart.
type formKey struct {
	text                           string
	word, fold, before, after, pad bool
}

func keyOf(f match.Form) formKey {
	return formKey{string(f.Text), f.Word, f.Fold, f.Before, f.After, f.Pad}
}

func newMasks(ctx context.Context, secrets []policy.Secret, c config) (*masks, error) {
	m := &masks{options: c.options(), detectors: detect.NewSet(c.detectors())}
	selection, err := policy.Select(secrets, m.options)
	if err != nil {
		return nil, err
	}
	warn(ctx, selection)
	m.lines, m.texts = redact.New(selection.Lines, m.detectors), selection.Texts
	m.addRows(selection)
	return m, nil
}

func warn(ctx context.Context, selection *policy.Selection) {
	for _, n := range selection.Notes {
		sdk.Logger(ctx).Warn("a sensitive variable is not masked everywhere", "variable", n.Key, "reason", n.Text)
	}
}

// addRows adds rows as the lines of a log are looked at: without control sequences.
func (m *masks) addRows(selection *policy.Selection) {
	for _, lines := range selection.Sequences {
		for i, line := range lines {
			lines[i] = bytes.Clone(bytes.TrimSpace(m.lines.Plain(line)))
		}
		m.rows.Add(lines)
	}
}

// add masks a value from the next line on. The error says nothing of it.
func (m *masks) add(ctx context.Context, value []byte) error {
	if len(value) == 0 || slices.ContainsFunc(m.added, func(v []byte) bool { return string(v) == string(value) }) {
		return nil
	}
	if len(m.added) == maxAdded || m.addedBytes+len(value) > maxAddedBytes {
		return fmt.Errorf("the job has added more values to mask than there is room for with ::add-mask::, at most %d of %d "+
			"bytes together; declare them as sensitive variables, or add fewer", maxAdded, maxAddedBytes)
	}
	name := fmt.Sprintf("::add-mask:: %d", len(m.added)+1)
	selection, err := policy.Select([]policy.Secret{{Key: name, Value: value}}, m.options)
	if err != nil {
		return err
	}
	warn(ctx, selection)
	m.added, m.addedBytes = append(m.added, slices.Clone(value)), m.addedBytes+len(value)
	m.texts = append(m.texts, selection.Texts...)
	m.lines.Add(m.unknown(selection.Lines))
	if m.formBytes > policy.MaxTotalBytes {
		return fmt.Errorf("%s can not be masked: with it the texts to mask that the job has added have more than %d bytes",
			name, policy.MaxTotalBytes)
	}
	m.addRows(selection)
	return nil
}

// unknown returns those forms that are new, and makes them known.
func (m *masks) unknown(forms []match.Form) []match.Form {
	if m.known == nil {
		m.known = map[formKey]bool{}
		for _, f := range m.lines.Forms() {
			m.known[keyOf(f)] = true
		}
	}
	return slices.DeleteFunc(forms, func(f match.Form) bool {
		key := keyOf(f)
		if m.known[key] {
			return true
		}
		m.known[key] = true
		m.formBytes += len(f.Text)
		return false
	})
}
