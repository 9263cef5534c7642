// Package policy decides which texts are masked for the sensitive variables of a job, and what the runner's operator is
// told about those that are not.
package policy

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/podrunner/runner/sdk/mask/forms"
	"github.com/podrunner/runner/sdk/mask/match"
)

// Limits. A job that is over one is refused: to leave out a text without a word would be a leak.
const (
	// MaxValueBytes is the length of a value.
	MaxValueBytes = 64 << 10
	// MaxForms is the number of texts for all values of a job.
	MaxForms = 10_000
	// MaxTotalBytes is the length of all those texts. It bounds a job's memory: 14 bytes for each.
	MaxTotalBytes = 1 << 20
)

const (
	// DefaultMinLength and MaxMinLength are of Options.MinLength.
	DefaultMinLength = 4
	MaxMinLength     = match.MaxWordBytes
	// minLineBytes is the length from which on a line of a value of several lines is masked by itself. Shorter ones, such
	// as a lone brace, are part of too much else.
	minLineBytes = 8
)

// common are values that stand all over a log and are no secret, in lower case.
var common = []string{"true", "false", "yes", "no", "on", "off", "null", "none", "nil", "undefined"}

// Secret is a sensitive variable.
type Secret struct {
	Key   string
	Value []byte
}

// Options are the operator's.
type Options struct {
	// MinLength is the length from which on a value is masked wherever it occurs. A shorter one is masked where it
	// stands alone, as a word. From 1 to MaxMinLength.
	MinLength int
}

// Selection is what is masked. No form occurs twice in a list.
type Selection struct {
	// Lines are the forms that can occur in a line, Texts those that can in a text of several lines.
	Lines, Texts []match.Form
	// Sequences are the lines of values of several lines, trimmed and in order, where a line is too short to be masked by
	// itself. It is where it follows on the one before.
	Sequences [][][]byte
	// Notes are for the operator, at most one about each variable and kind of gap.
	Notes []Note
}

// Note says what is not masked of a variable. It holds nothing of the value.
type Note struct {
	Key, Text string
}

// Select decides on the secrets of a job. The same secrets and options always give the same Selection. An error names
// the variable for which there is no room.
func Select(secrets []Secret, options Options) (*Selection, error) {
	s := selector{options: options, seen: map[string]bool{}}
	for _, secret := range secrets {
		if n := len(secret.Value); n > MaxValueBytes {
			return nil, fmt.Errorf("sensitive variable %s has %d bytes and can not be masked: the most is %d; "+
				"hand it to the job in parts, or as something shorter that leads to it", secret.Key, n, MaxValueBytes)
		}
		s.add(secret)
		if n := len(s.seen); n > MaxForms {
			return nil, fmt.Errorf("sensitive variable %s can not be masked: with it there are more than %d texts to mask, "+
				"each line of a value counts as one", secret.Key, MaxForms)
		}
		if s.total > MaxTotalBytes {
			return nil, fmt.Errorf("sensitive variable %s can not be masked: with it the texts to mask have more than %d bytes",
				secret.Key, MaxTotalBytes)
		}
	}
	return &s.Selection, nil
}

// selector fills a Selection.
type selector struct {
	Selection
	options Options
	seen    map[string]bool
	total   int
}

// add adds the forms of a variable.
func (s *selector) add(secret Secret) {
	gaps := 0
	for _, text := range forms.Of(secret.Value) {
		n := len(text.Bytes)
		switch {
		case n == 0:
		case isCommon(text.Bytes) && text.Kind == forms.Value:
			s.note(secret, "its value is not masked: words like true, no or null stand all over a log")
		case text.Kind == forms.Value && n < s.options.MinLength:
			s.note(secret, fmt.Sprintf("its value is masked only where it stands alone: it is shorter than %d bytes",
				s.options.MinLength))
			s.keep(text, true)
		case text.Kind == forms.Line && (n < minLineBytes || isCommon(text.Bytes)):
			gaps++
		default:
			s.keep(text, false)
		}
	}
	if gaps > 0 {
		s.note(secret, fmt.Sprintf("%d lines of its value are not masked in the log: "+
			"they are shorter than %d bytes, or words like true, no or null", gaps, minLineBytes))
	}
}

// keep adds a form, if it is new.
func (s *selector) keep(text forms.Text, word bool) {
	if s.seen[string(text.Bytes)] {
		return
	}
	s.seen[string(text.Bytes)] = true
	s.total += len(text.Bytes)
	form := match.Form{Text: bytes.Clone(text.Bytes), Word: word}
	s.Texts = append(s.Texts, form)
	if text.Kind != forms.Block {
		s.Lines = append(s.Lines, form)
	}
}

func (s *selector) note(secret Secret, text string) {
	s.Notes = append(s.Notes, Note{Key: secret.Key, Text: text})
}

func isCommon(text []byte) bool {
	return slices.ContainsFunc(common, func(word string) bool { return bytes.EqualFold(text, []byte(word)) })
}
