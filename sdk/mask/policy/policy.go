// Package policy decides which texts are masked for the sensitive variables of a job, and what the runner's operator is
// told about those that are not.
package policy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/podrunner/runner/sdk/mask/forms"
	"github.com/podrunner/runner/sdk/mask/match"
)

// Limits. A job whose values themselves are over one is refused: to leave out one without a word would be a leak. Of the
// ways in which values can be written, those for which there is no room are left out, with a note.
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
	// minPartBytes is the length from which on a line of a value of several lines, or a string in a value of JSON, is
	// masked by itself. Shorter ones, such as a lone brace, are part of too much else.
	minPartBytes = 8
	// minEncodedBytes is the length from which on a value is looked for in other writings than its own.
	minEncodedBytes = 4
	// maxJoined is how many lines of a value are looked for as one text. Of more, each line is masked in any writing
	// anyhow, and the lines that are too short for that with those around them.
	maxJoined = 8
)

// common are values that stand all over a log and are no secret, in lower case.
var common = []string{"true", "false", "yes", "no", "on", "off", "null", "none", "nil", "undefined"}

// Secret is a sensitive variable, or another value that the operator wants masked, with the name to call it by.
type Secret struct {
	Key   string
	Value []byte
}

// Options are the operator's.
type Options struct {
	// MinLength is the length from which on a value is masked wherever it occurs. A shorter one is masked where it
	// stands alone, as a word. From 1 to MaxMinLength.
	MinLength int
	// Without are the writings that values are not looked for in. Plain has no effect here.
	Without []forms.Kind
}

// Selection is what is masked. No form occurs twice in a list.
type Selection struct {
	// Lines are the forms that can occur in a line, Texts those that can in a text of several lines.
	Lines, Texts []match.Form
	// Sequences are lines, trimmed and in order, of which some are too short to be masked by themselves: those of values
	// of several lines, and of base64 that is wrapped. Such a line counts where it follows on the one before. An empty
	// line is one, too.
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
		if n := len(s.Texts); n > MaxForms {
			return nil, fmt.Errorf("sensitive variable %s can not be masked: with it there are more than %d texts to mask, "+
				"each line of a value counts as one", secret.Key, MaxForms)
		}
		if s.total > MaxTotalBytes {
			return nil, fmt.Errorf("sensitive variable %s can not be masked: with it the texts to mask have more than %d bytes",
				secret.Key, MaxTotalBytes)
		}
	}
	s.encode()
	return &s.Selection, nil
}

// selector fills a Selection.
type selector struct {
	Selection
	options Options
	// parts are what is to be looked for in other writings, too. wholes are those that a program is likely to get as all
	// of its input, and to print in lines of one width.
	parts, wholes []part
	seen          map[string]bool
	total         int
}

// part is something of a variable's value.
type part struct {
	key  string
	text []byte
}

// add adds the plain forms of a variable.
func (s *selector) add(secret Secret) {
	value := bytes.TrimSpace(secret.Value)
	switch n := len(value); {
	case n == 0:
		return
	case isCommon(value):
		s.note(secret.Key, "its value is not masked: words like true, no or null stand all over a log")
		return
	case bytes.IndexByte(value, '\n') >= 0:
		s.block(secret.Key, value, true)
	case n < s.options.MinLength:
		s.note(secret.Key, fmt.Sprintf("its value is masked only where it stands alone: it is shorter than %d bytes",
			s.options.MinLength))
		s.keep(match.Form{Text: value, Word: true})
	default:
		s.line(secret.Key, value, true)
	}
	s.leaves(secret.Key, value)
}

// leaves adds what is a secret by itself in a value.
func (s *selector) leaves(key string, value []byte) {
	if inner, ok := forms.Unquoted(value); ok && !isCommon(inner) {
		switch {
		case len(inner) < s.options.MinLength:
			s.keep(match.Form{Text: inner, Word: true})
		case bytes.IndexByte(inner, '\n') < 0: // else its lines are masked, or counted, as those of the value
			s.line(key, inner, true)
		}
	}
	for _, leaf := range append(forms.Leaves(value), bytes.TrimSpace(forms.Echoed(value))) {
		switch {
		case len(leaf) < max(minPartBytes, s.options.MinLength) || isCommon(leaf) || bytes.Equal(leaf, value):
		case bytes.IndexByte(leaf, '\n') >= 0:
			s.block(key, leaf, false)
		default:
			s.line(key, leaf, true)
		}
	}
}

// line adds a text of one line.
func (s *selector) line(key string, text []byte, whole bool) {
	s.keep(match.Form{Text: text})
	s.part(key, text)
	if whole {
		s.whole(key, text)
	}
	if repaired := forms.Repaired(text); len(repaired) != len(text) {
		s.part(key, repaired)
	}
	if collapsed := forms.Collapsed(text); len(collapsed) < len(text) || bytes.IndexByte(text, '\t') >= 0 {
		s.keep(match.Form{Text: collapsed})
		s.part(key, collapsed)
	}
}

// block adds a text of several lines.
func (s *selector) block(key string, text []byte, noted bool) {
	lines := forms.Lines(text)
	crlf := bytes.Contains(text, []byte("\r\n"))
	s.keep(match.Form{Text: text})
	s.whole(key, text)
	if crlf {
		lf := bytes.Join(lines, []byte{'\n'})
		s.keep(match.Form{Text: lf})
		s.whole(key, lf)
	}
	gaps := 0
	for _, line := range lines {
		switch line = bytes.TrimSpace(line); {
		case isLong(line):
			s.line(key, line, false)
		case len(line) > 0:
			gaps++
		}
	}
	for _, group := range groups(lines) {
		for _, joined := range forms.Joins(group, crlf) {
			if len(joined) < minPartBytes {
				continue
			}
			s.part(key, joined)
			if bytes.IndexByte(joined, '\n') < 0 {
				s.keep(match.Form{Text: joined})
			}
		}
	}
	if gaps == 0 {
		return
	}
	trimmed := make([][]byte, len(lines))
	for i, line := range lines {
		trimmed[i] = bytes.Clone(bytes.TrimSpace(line))
	}
	s.sequence(trimmed)
	if noted {
		s.note(key, fmt.Sprintf("%d lines of its value are masked only together with the lines around them: "+
			"they are shorter than %d bytes, or words like true, no or null", gaps, minPartBytes))
	}
}

// isLong reports whether a line is masked by itself.
func isLong(line []byte) bool { return len(line) >= minPartBytes && !isCommon(line) }

// groups returns the lines of a value that are to be looked for as one text: all of them if they are few, else each run of
// those that are not masked by themselves, with the line before and the line after.
func groups(lines [][]byte) [][][]byte {
	if len(lines) <= maxJoined {
		return [][][]byte{lines}
	}
	var list [][][]byte
	for i := 0; i < len(lines); i++ {
		if isLong(bytes.TrimSpace(lines[i])) {
			continue
		}
		from := max(i-1, 0)
		for i < len(lines) && !isLong(bytes.TrimSpace(lines[i])) {
			i++
		}
		list = append(list, lines[from:min(i+1, len(lines))])
	}
	return list
}

// part notes a text to be looked for in other writings.
func (s *selector) part(key string, text []byte) {
	if len(text) >= max(minEncodedBytes, s.options.MinLength) {
		s.parts = append(s.parts, part{key, text})
	}
}

// whole notes a text to be looked for in lines of one width.
func (s *selector) whole(key string, text []byte) {
	if len(text) >= max(minEncodedBytes, s.options.MinLength) {
		s.wholes = append(s.wholes, part{key, text})
	}
}

// encode adds what parts look like in other writings, those first that are the most frequent in a log.
func (s *selector) encode() {
	missing := map[string][]string{}
	var keys []string
	for _, kind := range forms.Encodings() {
		if slices.Contains(s.options.Without, kind) {
			continue
		}
		parts := s.parts
		if kind == forms.Wrapped {
			parts = s.wholes
		}
		for _, p := range parts {
			if s.keepAll(p, kind) || slices.Contains(missing[p.key], kind.String()) {
				continue
			}
			if missing[p.key] == nil {
				keys = append(keys, p.key)
			}
			missing[p.key] = append(missing[p.key], kind.String())
		}
	}
	for _, key := range keys {
		s.note(key, fmt.Sprintf("it is not masked in all the ways in which it can be written: there are more than %d texts or "+
			"%d bytes to mask with these: %s", MaxForms, MaxTotalBytes, strings.Join(missing[key], ", ")))
	}
}

// keepAll adds the forms of a part, or the first of them, and reports whether it was all. What there is room for is shared:
// a part takes half of what is left, so that a large one leaves something for the others.
func (s *selector) keepAll(p part, kind forms.Kind) bool {
	list, ok := forms.Of(p.text, kind, (MaxTotalBytes-s.total)/2)
	if n := (MaxForms - len(s.Texts)) / 2; len(list) > n {
		list, ok = list[:n], false
	}
	for _, f := range list {
		s.keep(match.Form{Text: f.Text, Fold: f.Fold, Before: f.Widen.Before, After: f.Widen.After, Pad: f.Widen.Pad})
	}
	if kind == forms.Wrapped && ok {
		for _, lines := range forms.Tails(p.text) {
			ok = ok && s.total+2*len(p.text) < MaxTotalBytes
			if ok {
				s.sequence(lines)
			}
		}
	}
	return ok
}

// sequence adds lines that count together.
func (s *selector) sequence(lines [][]byte) {
	for _, line := range lines {
		s.total += len(line)
	}
	s.Sequences = append(s.Sequences, lines)
}

// keep adds a form, if it is new.
func (s *selector) keep(form match.Form) {
	key := fmt.Sprint(form.Word, form.Fold, form.Before, form.After, form.Pad, " ") + string(form.Text)
	if s.seen[key] {
		return
	}
	s.seen[key] = true
	s.total += len(form.Text)
	form.Text = bytes.Clone(form.Text)
	s.Texts = append(s.Texts, form)
	if bytes.IndexByte(form.Text, '\n') < 0 {
		s.Lines = append(s.Lines, form)
	}
}

func (s *selector) note(key, text string) {
	s.Notes = append(s.Notes, Note{Key: key, Text: text})
}

func isCommon(text []byte) bool {
	return slices.ContainsFunc(common, func(word string) bool { return bytes.EqualFold(text, []byte(word)) })
}
