// Package redact takes the sensitive values of running jobs out of texts that are not a job's log: core's own log
// lines, errors, what a plugin wrote before it died. The log itself goes through a processor.
package redact

import (
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/podrunner/runner/core/internal/job"
)

// Mask stands for a value. It is the seed's, and hides the value's length.
const Mask = "**********"

// shortest is the length in bytes from which a value is replaced wherever it occurs. A shorter one is replaced where it
// stands alone, as the processor sanitize does by default: one letter in every word hides nothing and makes a log, and
// its JSON, unreadable.
const shortest = 4

// Redactor replaces values. It is safe for concurrent use. The zero value replaces nothing.
type Redactor struct {
	values atomic.Pointer[[]string]

	mu sync.Mutex
	// always are the values of Always, jobs those of the last Set, both in all their forms.
	always, jobs []string
}

// Set makes the sensitive values of these jobs the ones to replace, beside those of Always: each as a whole and each of
// its lines, as they are and as they look in quotes or in JSON. Values that overlap or touch are replaced as one.
func (r *Redactor) Set(jobs ...*job.Job) {
	var values []string
	for _, j := range jobs {
		for _, v := range j.Secrets() {
			values = addLines(values, v.Value)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jobs = values
	r.merge()
}

// Always adds values that are replaced from now on, whatever jobs run: the sensitive values of a configuration. Of a URL
// the password is replaced by itself, too, since errors show a URL in parts.
func (r *Redactor) Always(values ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, value := range values {
		r.always = addLines(r.always, value)
		for _, password := range passwords(value) {
			r.always = addForms(r.always, password)
		}
	}
	slices.Sort(r.always)
	r.always = slices.Compact(r.always)
	r.merge()
}

// merge makes the values that String looks for. The caller holds mu.
func (r *Redactor) merge() {
	values := slices.Concat(r.always, r.jobs)
	slices.Sort(values)
	values = slices.DeleteFunc(slices.Compact(values), func(v string) bool { return v == "" })
	r.values.Store(&values)
}

// addLines adds a value and each of its lines.
func addLines(values []string, value string) []string {
	values = addForms(values, value)
	for line := range strings.Lines(value) {
		values = addForms(values, line)
	}
	return values
}

// addForms adds the ways in which a log line or an error may show a value: errors quote names, a log escapes what has a
// meaning in it, and an error may stand in a log. A value of ordinary characters has one form only.
func addForms(values []string, value string) []string {
	once := forms(strings.TrimSpace(value))
	for _, form := range once {
		values = append(values, forms(form)...)
	}
	return values
}

// forms returns a value as it is, in Go's quotes, in hclog's, which leave backslashes alone, and in JSON's.
func forms(value string) []string {
	quoted := inside(strconv.Quote(value))
	all := []string{value, quoted, strings.ReplaceAll(quoted, `\\`, `\`), inside(inJSON(value, true)), inside(inJSON(value, false))}
	slices.Sort(all)
	return slices.Compact(all)
}

// inJSON returns a value as a JSON string, with the characters that mean something to HTML escaped, or not.
func inJSON(value string, html bool) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(html)
	_ = encoder.Encode(value) // a string always has a form
	return strings.TrimSuffix(b.String(), "\n")
}

// inside returns what is between quotes.
func inside(quoted string) string { return quoted[1 : len(quoted)-1] }

// String returns text without the values.
func (r *Redactor) String(text string) string {
	values := r.values.Load()
	if values == nil {
		return text
	}
	found := find(text, *values)
	if found == nil {
		return text
	}
	var b strings.Builder
	at := 0
	for _, f := range found {
		if f.start > at || at == 0 {
			b.WriteString(text[at:f.start])
			b.WriteString(Mask)
		}
		at = max(at, f.end)
	}
	b.WriteString(text[at:])
	return b.String()
}

// span is a part of a text that holds a value.
type span struct{ start, end int }

// find returns where the values are, by their starts: all of them, also those that overlap, but short ones only where
// they stand alone.
func find(text string, values []string) (found []span) {
	for _, v := range values {
		for at := 0; ; at++ {
			i := strings.Index(text[at:], v)
			if i < 0 {
				break
			}
			at += i
			if len(v) >= shortest || alone(text, at, at+len(v)) {
				found = append(found, span{at, at + len(v)})
			}
		}
	}
	slices.SortFunc(found, func(a, b span) int { return cmp.Or(a.start-b.start, a.end-b.end) })
	return found
}

// alone tells whether no letter, digit or underscore touches text[start:end].
func alone(text string, start, end int) bool {
	return (start == 0 || !inWord(text[start-1])) && (end == len(text) || !inWord(text[end]))
}

func inWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// Bytes is String for bytes; it does not change its argument.
func (r *Redactor) Bytes(text []byte) []byte {
	if r.values.Load() == nil {
		return text
	}
	return []byte(r.String(string(text)))
}

// Writer returns a writer that passes on to w what is written to it, without the values. Each Write is looked at by
// itself, so it has to be whole lines.
func (r *Redactor) Writer(w io.Writer) io.Writer { return &writer{redactor: r, to: w} }

type writer struct {
	redactor *Redactor
	to       io.Writer
}

func (w *writer) Write(p []byte) (int, error) {
	if _, err := w.to.Write(w.redactor.Bytes(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
