// Package redact puts a mask over all occurrences of forms in lines that come whole or in pieces, and in texts. Of a line
// that ends in CR LF it takes the CR, too. Control sequences of a terminal, such as colours, are nothing to it: a form is
// found across them, and they are kept, those inside it right after its mask.
package redact

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/podrunner/runner/sdk/mask/match"
)

// Mask stands for whatever was removed, of any length. It is the seed's.
const Mask = "**********"

// Finder finds what to mask beside forms.
type Finder interface {
	// Find appends to spans the parts of text to mask, in any order. It is called by one goroutine at a time.
	Find(spans []match.Span, text []byte) []match.Span
}

// Cut is a part of a line to take out.
type Cut struct {
	Start, End int
	// Mask says that a mask takes its place. Otherwise it is the rest of what the mask before it stands for, or the CR at
	// the end of the line.
	Mask bool
}

// Redactor masks the lines of one job. It is used by one goroutine; what it returns is valid until its next call.
type Redactor struct {
	forms   []match.Form
	parts   []part
	finders []Finder

	spans []match.Span
	cuts  []Cut
	// plain is the text in work without its control sequences, which are in controls.
	plain    []byte
	controls []control

	// Memory that is used again.
	stripped, text, out []byte
}

// part finds the forms from one on up to the next part's.
type part struct {
	from    int
	matcher *match.Matcher
}

// New makes a Redactor. Forms are not changed after that. A Finder sees a line that comes in pieces piece by piece.
func New(forms []match.Form, finders ...Finder) *Redactor {
	r := &Redactor{finders: finders}
	r.Add(forms)
	return r
}

// Add adds forms from the next line on. All calls together take time in proportion to the length of all forms and the
// logarithm of the number of calls.
func (r *Redactor) Add(forms []match.Form) {
	from := len(r.forms)
	for _, f := range forms {
		r.forms = append(r.forms, f)
		if plain, has := withoutControls(f.Text); has && len(plain) > 0 {
			f.Text = plain
			r.forms = append(r.forms, f)
		}
	}
	// A part is larger than all those after it together, so that there are few, and a form is seldom put into a new one.
	for n := len(r.parts); n > 0 && from-r.parts[n-1].from <= len(r.forms)-from; n-- {
		from = r.parts[n-1].from
		r.parts = r.parts[:n-1]
	}
	r.parts = append(r.parts, part{from, match.New(r.forms[from:])})
}

// Forms returns all forms. They are not to be changed.
func (r *Redactor) Forms() []match.Form { return r.forms }

// Line returns the parts of a whole line to take out, in order. The first exempt bytes, which are no control sequences, are
// left as they are.
func (r *Redactor) Line(line []byte, exempt int) []Cut {
	r.find(line, exempt)
	r.cut()
	if len(line) > exempt {
		r.cutReturn(line)
	}
	return r.cuts
}

// Whole returns the parts of a whole line to take out when all of it is to be masked but the white space around it.
func (r *Redactor) Whole(line []byte) []Cut {
	r.spans = r.spans[:0]
	plain := r.Plain(line)
	if trimmed := bytes.TrimSpace(plain); len(trimmed) > 0 {
		start := bytes.Index(plain, trimmed)
		r.spans = append(r.spans, match.Span{Start: start, End: start + len(trimmed)})
	}
	r.cut()
	r.cutReturn(line)
	return r.cuts
}

// Plain returns a text without its control sequences. Without any it is text itself.
func (r *Redactor) Plain(text []byte) []byte {
	r.strip(text, false)
	return r.plain
}

// Text returns text with masks in place of forms. Without any it is text itself.
func (r *Redactor) Text(text []byte) []byte {
	r.find(text, 0)
	r.cut()
	if len(r.cuts) == 0 {
		return text
	}
	return Apply(nil, text, r.cuts)
}

// Apply appends to out what is left of a line with its cuts.
func Apply(out, line []byte, cuts []Cut) []byte {
	at := 0
	for _, c := range cuts {
		out = append(out, line[at:c.Start]...)
		if c.Mask {
			out = append(out, Mask...)
		}
		at = c.End
	}
	return append(out, line[at:]...)
}

// find fills spans and controls for a text that does not go on.
func (r *Redactor) find(text []byte, exempt int) {
	r.strip(text, false)
	r.spans = r.spans[:0]
	r.match(match.Edges{})
	r.clip(exempt)
}

// match adds what is found in plain to spans.
func (r *Redactor) match(edges match.Edges) match.Rest {
	var rest match.Rest
	for _, p := range r.parts {
		var more match.Rest
		n := len(r.spans)
		if len(r.parts) == 1 {
			n = 0
		}
		var found []match.Span
		found, more = p.matcher.Find(r.spans[n:], r.plain, edges)
		r.spans = append(r.spans[:n], found...)
		rest.Held, rest.Tail = max(rest.Held, more.Held), rest.Tail|more.Tail
	}
	for _, f := range r.finders {
		r.spans = f.Find(r.spans, r.plain)
	}
	if len(r.parts) > 1 || len(r.finders) > 0 {
		r.union()
	}
	return rest
}

// union puts spans in order, and makes one of those that overlap or touch.
func (r *Redactor) union() {
	if len(r.spans) < 2 {
		return
	}
	slices.SortFunc(r.spans, func(a, b match.Span) int { return cmp.Or(a.Start-b.Start, a.End-b.End) })
	n := 0
	for _, s := range r.spans[1:] {
		if s.Start <= r.spans[n].End {
			r.spans[n].End = max(r.spans[n].End, s.End)
			continue
		}
		n++
		r.spans[n] = s
	}
	r.spans = r.spans[:n+1]
}

// clip takes the first n bytes out of spans.
func (r *Redactor) clip(n int) {
	if n == 0 {
		return
	}
	for i := range r.spans {
		r.spans[i].Start = max(r.spans[i].Start, n)
	}
	r.spans = slices.DeleteFunc(r.spans, func(s match.Span) bool { return s.Start >= s.End })
}

// cut fills cuts with the spans, in the places of the text that plain was made of.
func (r *Redactor) cut() {
	r.cuts = r.cuts[:0]
	next, shift := 0, 0 // the next control, and how long all before it are
	for _, s := range r.spans {
		for ; next < len(r.controls) && r.controls[next].at <= s.Start; next++ {
			shift += len(r.controls[next].text)
		}
		cut := Cut{Start: s.Start + shift, Mask: true}
		for ; next < len(r.controls) && r.controls[next].at < s.End; next++ {
			cut.End = r.controls[next].at + shift
			shift += len(r.controls[next].text)
			if cut.Start < cut.End {
				r.cuts = append(r.cuts, cut)
				cut.Mask = false
			}
			cut.Start = r.controls[next].at + shift
		}
		cut.End = s.End + shift
		r.cuts = append(r.cuts, cut)
	}
}

// cutReturn adds the CR at the end of a line to cuts, if it is not in them.
func (r *Redactor) cutReturn(line []byte) {
	if n := len(line); n > 0 && line[n-1] == '\r' && (len(r.cuts) == 0 || r.cuts[len(r.cuts)-1].End < n) {
		r.cuts = append(r.cuts, Cut{Start: n - 1, End: n})
	}
}

// formWith returns the number of a form that begins with text, but for the case of letters.
func (r *Redactor) formWith(text []byte) int {
	for i, f := range r.forms {
		if len(f.Text) >= len(text) && equalFold(f.Text[:len(text)], text) {
			return i
		}
	}
	return 0 // not reached: what is held is the beginning of a form
}

// equalFold reports whether texts of the same length differ in the case of hexadecimal digits only.
func equalFold(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	for i := range a {
		if a[i] != b[i] && (a[i]^0x20 != b[i] || a[i]|0x20 < 'a' || a[i]|0x20 > 'f') {
			return false
		}
	}
	return true
}
