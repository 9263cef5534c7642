// Package redact puts a mask over all occurrences of forms in lines that come whole or in pieces, and in texts. Of a line
// that ends in CR LF it takes the CR, too.
package redact

import (
	"bytes"

	"github.com/podrunner/runner/sdk/mask/match"
)

// Mask stands for whatever was removed, of any length. It is the seed's.
const Mask = "**********"

// Redactor masks the lines of one job. It is used by one goroutine; what it returns is valid until its next call.
type Redactor struct {
	forms   []match.Form
	matcher *match.Matcher

	spans []match.Span
	text  []byte
	out   []byte
}

// New makes a Redactor. Forms are not changed after that.
func New(forms []match.Form) *Redactor {
	return &Redactor{forms: forms, matcher: match.New(forms)}
}

// Line returns the parts of a whole line to put a mask over, and the length of the line without a CR at its end.
func (r *Redactor) Line(line []byte) (masks []match.Span, length int) {
	r.spans, _ = r.matcher.Find(r.spans[:0], line, match.Edges{})
	length = len(line)
	if r.endsInReturn(line) {
		length--
	}
	return r.spans, length
}

// endsInReturn reports whether text, whose masks have been found, ends in a CR that is under no mask.
func (r *Redactor) endsInReturn(text []byte) bool {
	n := len(text)
	return n > 0 && text[n-1] == '\r' && (len(r.spans) == 0 || r.spans[len(r.spans)-1].End < n)
}

// Text returns text with masks in place of forms. Without any it is text itself.
func (r *Redactor) Text(text []byte) []byte {
	r.spans, _ = r.matcher.Find(r.spans[:0], text, match.Edges{})
	if len(r.spans) == 0 {
		return text
	}
	out, at := []byte(nil), 0
	for _, s := range r.spans {
		out = append(append(out, text[at:s.Start]...), Mask...)
		at = s.End
	}
	return append(out, text[at:]...)
}

// Carry is what is known at the end of a piece of a line about the pieces before. The zero Carry is that of a line's
// beginning.
//
// The end of a piece that may be the beginning of a form is held back. It is the beginning of a form, and that is how it
// is written down: which form, and how many bytes of it. So a Carry holds nothing of a job's log, and nothing that tells
// a secret to one who does not know it.
type Carry struct {
	// Held are the first Held bytes of form number Form.
	Form, Held int
	// Masked says that a mask has been put out that reaches over the first Covered bytes held, or, when that is 0, up to
	// where they begin.
	Masked  bool
	Covered int
	// Word says that the byte before those held is one of a word.
	Word bool
	// Return says that what is held is a CR, which may end the line, and no beginning of a form. Held is 0 then.
	Return bool
}

// Piece masks the next piece of a line, given the Carry of the piece before, and returns what to put in its place and
// the Carry for the piece after. more says that there is one.
func (r *Redactor) Piece(c Carry, piece []byte, more bool) ([]byte, Carry) {
	text := r.join(c, piece)
	r.spans = r.spans[:0]
	if c.Masked {
		r.spans = append(r.spans, match.Span{Start: 0, End: c.Covered})
	}
	var held int
	r.spans, held = r.matcher.Find(r.spans, text, match.Edges{WordBefore: c.Word, More: more})
	next := Carry{Form: r.formWith(text[len(text)-held:]), Held: held, Word: c.Word}
	end := len(text) - held
	if held == 0 && r.endsInReturn(text) {
		next.Return = true
		end--
	}
	next.Masked, next.Covered = r.write(text[:end], c.Masked)
	if !more {
		return r.out, Carry{}
	}
	if end > 0 {
		next.Word = match.IsWordByte(text[end-1])
	}
	return r.out, next
}

// join puts what is held before a piece.
func (r *Redactor) join(c Carry, piece []byte) []byte {
	switch {
	case c.Return:
		r.text = append(append(r.text[:0], '\r'), piece...)
	case c.Held > 0:
		r.text = append(append(r.text[:0], r.forms[c.Form].Text[:c.Held]...), piece...)
	default:
		return piece
	}
	return r.text
}

// write fills out with text, which is what is not held, and with masks for the spans that begin in it. The mask of the
// first span is not written again if begun. masked and covered are those of the Carry.
func (r *Redactor) write(text []byte, begun bool) (masked bool, covered int) {
	r.out = r.out[:0]
	at := 0
	for i, s := range r.spans {
		if i > 0 || !begun {
			if s.Start >= len(text) {
				break // all of it is held, and will be found again
			}
			r.out = append(append(r.out, text[at:s.Start]...), Mask...)
		}
		at = s.End
	}
	if at < len(text) {
		r.out = append(r.out, text[at:]...)
		return false, 0
	}
	return at > 0 || begun, at - len(text)
}

// formWith returns the number of the first form that begins with text.
func (r *Redactor) formWith(text []byte) int {
	if len(text) == 0 {
		return 0
	}
	for i, f := range r.forms {
		if bytes.HasPrefix(f.Text, text) {
			return i
		}
	}
	return 0 // not reached: what is held is the beginning of a form
}

// Valid reports whether a Carry may be one of this Redactor's.
func (r *Redactor) Valid(c Carry) bool {
	if c.Form < 0 || c.Held < 0 || c.Covered < 0 || c.Covered > c.Held {
		return false
	}
	if c.Return && c.Held > 0 {
		return false
	}
	return c.Held == 0 && c.Form == 0 || c.Form < len(r.forms) && c.Held <= len(r.forms[c.Form].Text)
}
