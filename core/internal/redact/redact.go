// Package redact takes the sensitive values of running jobs out of texts that are not a job's log: core's own log
// lines, errors, what a plugin wrote before it died. The log itself goes through a processor. What is looked for is the
// same: package policy says it.
package redact

import (
	"cmp"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/sdk/mask/forms"
	"github.com/podrunner/runner/sdk/mask/match"
	"github.com/podrunner/runner/sdk/mask/policy"
	"github.com/podrunner/runner/sdk/mask/redact"
)

// Mask stands for a value. It is the seed's, and hides the value's length.
const Mask = redact.Mask

// Redactor replaces values. It is safe for concurrent use. The zero value replaces nothing.
type Redactor struct {
	// sets are what String looks for: those of Always, and those of jobs. A text is gone through once for each.
	sets atomic.Pointer[[]*set]

	mu sync.Mutex
	// known are the values of Always, always their sets.
	known  map[string]bool
	always []*set
	jobs   map[*job.Job]*set
}

// Set makes the sensitive values of these jobs the ones to replace, beside those of Always, in all the forms in which the
// processor sanitize masks them by default, those of dumps left out. Values that overlap or touch are replaced as one.
// The values of a job that is new take milliseconds, those of one that was there already take no time. A job's
// variables are not to be changed after that.
func (r *Redactor) Set(jobs ...*job.Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.jobs
	r.jobs = make(map[*job.Job]*set, len(jobs))
	for _, j := range jobs {
		if s, ok := before[j]; ok {
			r.jobs[j] = s
		} else if values := secrets(j); len(values) > 0 {
			r.jobs[j] = setOf(values)
		}
	}
	r.merge()
}

// secrets returns what is to be replaced for a job.
func secrets(j *job.Job) []policy.Secret {
	var list []policy.Secret
	for _, v := range j.Secrets() {
		list = append(list, policy.Secret{Key: v.Key, Value: []byte(v.Value)})
	}
	return list
}

// Always adds values that are replaced from now on, whatever jobs run: the sensitive values of a configuration. Of a URL
// the password is replaced by itself, too, since errors show a URL in parts.
func (r *Redactor) Always(values ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]bool{}
	}
	var list []policy.Secret
	add := func(value string) {
		if !r.known[value] {
			r.known[value] = true
			list = append(list, policy.Secret{Value: []byte(value)})
		}
	}
	for _, value := range values {
		add(value)
		for _, password := range forms.Passwords(value) {
			add(password)
		}
	}
	if len(list) > 0 {
		r.always = append(r.always, setOf(list))
		r.merge()
	}
}

// merge makes what String looks for. The caller holds mu.
func (r *Redactor) merge() {
	all := slices.Clone(r.always)
	seen := map[*set]bool{}
	for _, s := range r.jobs {
		if !seen[s] {
			seen[s] = true
			all = append(all, s)
		}
	}
	r.sets.Store(&all)
}

// String returns text without the values.
func (r *Redactor) String(text string) string {
	if masked, changed := r.mask([]byte(text)); changed {
		return string(masked)
	}
	return text
}

// Bytes is String for bytes; it does not change its argument, and may return it.
func (r *Redactor) Bytes(text []byte) []byte {
	masked, _ := r.mask(text)
	return masked
}

// mask returns text without the values, and whether there were any.
func (r *Redactor) mask(text []byte) (masked []byte, changed bool) {
	spans := r.find(text)
	if len(spans) == 0 {
		return text, false
	}
	at := 0
	for i, s := range spans {
		if i == 0 || s.Start > at {
			masked = append(append(masked, text[at:s.Start]...), Mask...)
		}
		at = max(at, s.End)
	}
	return append(masked, text[at:]...), true
}

// find returns where the values are, by their starts.
func (r *Redactor) find(text []byte) []match.Span {
	sets := r.sets.Load()
	if sets == nil {
		return nil
	}
	var all, found []match.Span
	for _, s := range *sets {
		found, _ = s.matcher.Find(found[:0], text, match.Edges{})
		all = append(all, found...)
	}
	slices.SortFunc(all, func(a, b match.Span) int { return cmp.Compare(a.Start, b.Start) })
	return all
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
