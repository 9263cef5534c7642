package redact

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/podrunner/runner/sdk/mask/match"
)

// maxControlsHeld bounds Carry.Controls.
const maxControlsHeld = 4 << 10

// Carry is what is known at the end of a piece of a line about the pieces before. The zero Carry is that of a line's
// beginning. Carries may be compared.
//
// The end of a piece that may be the beginning of a form is held back. It is the beginning of a form, and that is how it
// is written down: which form, and how many bytes of it. So a Carry holds nothing of a job's log but control sequences
// and the one character that base64 may bring with it, and nothing that tells a secret to one who does not know it.
type Carry struct {
	// Lead is a character of base64 that is held before a form: the form may take it in. 0: there is none.
	Lead byte
	// Form and Held say that the first Held bytes of form number Form are held, and Case in which bits of it a byte, from
	// the lowest on, is of the other case.
	Form, Held int
	Case       string
	// Controls are the control sequences inside what is held: for each the number of bytes held before it, its length, and
	// itself.
	Controls string
	// Open is the beginning of a control sequence, behind all that.
	Open string
	// Masked says that a mask has been put out that reaches over the first Covered bytes held, or, when that is 0, up to
	// where they begin. Tail is what it takes in of what follows.
	Masked  bool
	Covered int
	Tail    match.Tail
	// Shown is the number of bytes held that have been put out as they are, for they are exempt.
	Shown int
	// Word says that the byte before those held is one of a word.
	Word bool
	// Return says that what is held is a CR, which may end the line, and no beginning of a form.
	Return bool
}

// kept returns the number of bytes that are held, control sequences left out.
func (c *Carry) kept() int {
	n := c.Held
	if c.Lead != 0 {
		n++
	}
	if c.Return {
		n++
	}
	return n
}

// Piece masks the next piece of a line, given the Carry of the piece before, and returns what to put in its place and
// the Carry for the piece after. more says that there is one. The first exempt bytes of the first piece are left as
// they are; it is longer than they are.
func (r *Redactor) Piece(c Carry, piece []byte, exempt int, more bool) ([]byte, Carry) {
	text := r.join(c, piece)
	next := Carry{Word: c.Word}
	next.Open = string(r.strip(text, more))
	tail := r.begin(c)
	rest := r.match(match.Edges{WordBefore: c.Word, More: more})
	next.Held, next.Tail = rest.Held, rest.Tail|tail
	shown := max(c.Shown, exempt)
	end := r.hold(&next, shown, bytes.HasSuffix(text, []byte{'\r'}), more)
	r.write(c, &next, end, shown)
	if !more {
		return r.out, Carry{}
	}
	if !next.Masked || end+next.Covered < len(r.plain) {
		next.Tail = 0 // what it belongs to is held, and will be found again
	}
	if end > 0 {
		next.Word = match.IsWordByte(r.plain[end-1])
	}
	next.Shown = max(0, min(shown, len(r.plain))-end)
	return r.out, next
}

// join puts what is held before a piece.
func (r *Redactor) join(c Carry, piece []byte) []byte {
	if c.kept() == 0 && c.Open == "" {
		return piece
	}
	held := r.text[:0]
	if c.Lead != 0 {
		held = append(held, c.Lead)
	}
	if c.Held > 0 {
		held = append(held, r.forms[c.Form].Text[:c.Held]...)
		turnCase(held[len(held)-c.Held:], c.Case)
	}
	if c.Controls != "" {
		held, _ = interleave(held, c.Controls)
	}
	if c.Return {
		held = append(held, '\r')
	}
	r.text = append(append(held, c.Open...), piece...)
	return r.text
}

// begin sets spans to what the mask that has been put out reaches over, and returns the Tail of one that reaches further
// than this piece.
func (r *Redactor) begin(c Carry) match.Tail {
	r.spans = r.spans[:0]
	if !c.Masked {
		return 0
	}
	covered, tail := c.Covered, match.Tail(0)
	if c.Tail != 0 {
		var n int
		n, tail = c.Tail.Take(r.plain[covered:])
		covered += n
	}
	r.spans = append(r.spans, match.Span{Start: 0, End: covered})
	return tail
}

// hold returns where what is held begins, and notes in next what that is. returns says that the text ends in a CR.
func (r *Redactor) hold(next *Carry, shown int, returns, more bool) int {
	form := len(r.plain) - next.Held
	end := form
	switch free := end > shown && !r.covers(end-1); {
	case free && next.Held == 0 && next.Open == "" && returns:
		next.Return = true
		end--
	case free && more && r.before() && match.IsBase64Byte(r.plain[end-1]):
		next.Lead = r.plain[end-1]
		end--
	}
	if next.Held > 0 {
		next.Form = r.formWith(r.plain[form:])
		next.Case = caseOf(r.forms[next.Form].Text[:next.Held], r.plain[form:])
	}
	next.Controls = r.inside(end, max(end, shown))
	if len(next.Controls) <= maxControlsHeld {
		return end
	}
	// Nobody prints that but to get around a mask. So there is one over what would have to be held.
	r.spans = append(r.spans, match.Span{Start: end, End: len(r.plain)})
	r.union()
	*next = Carry{Word: next.Word, Open: next.Open}
	return len(r.plain)
}

// covers reports whether a mask is put over byte i.
func (r *Redactor) covers(i int) bool {
	for n := len(r.spans) - 1; n >= 0 && r.spans[n].End > i; n-- {
		if r.spans[n].Start <= i {
			return true
		}
	}
	return false
}

// before reports whether a form takes in the character before it.
func (r *Redactor) before() bool {
	return slices.ContainsFunc(r.parts, func(p part) bool { return p.matcher.Before() })
}

// inside encodes the control sequences behind byte written, where they are counted from byte from on.
func (r *Redactor) inside(from, written int) string {
	if n := len(r.controls); n == 0 || r.controls[n-1].at <= written {
		return ""
	}
	var b []byte
	for _, c := range r.controls {
		if c.at > written {
			b = binary.AppendUvarint(b, uint64(c.at-from))
			b = append(binary.AppendUvarint(b, uint64(len(c.text))), c.text...)
		}
	}
	return string(b)
}

// interleave puts what inside has encoded into held again.
func interleave(held []byte, controls string) ([]byte, bool) {
	b, at, out := []byte(controls), 0, []byte(nil)
	for len(b) > 0 {
		to, n := binary.Uvarint(b)
		length, m := binary.Uvarint(b[max(n, 0):])
		if n <= 0 || m <= 0 || to > uint64(len(held)) || int(to) < at || length > uint64(len(b)-n-m) {
			return nil, false
		}
		b = b[n+m:]
		out = append(append(out, held[at:to]...), b[:length]...)
		b, at = b[length:], int(to)
	}
	return append(out, held[at:]...), true
}

// write fills out with what is before end, where what is held begins, and with masks for the spans that begin in it. The
// mask of the first span is not written again if it has been put out. What is shown is written in any case. It notes in
// next how far the last mask reaches.
func (r *Redactor) write(c Carry, next *Carry, end, shown int) {
	w := writer{r: r, out: r.out[:0], at: c.Shown}
	if c.Masked {
		w.at = max(c.Covered, c.Shown)
	}
	for i, s := range r.spans {
		if i > 0 || !c.Masked {
			if s.Start >= end {
				break // all of it is held, and will be found again
			}
			if s.End <= shown {
				continue
			}
			w.upTo(max(s.Start, shown))
			w.out = append(w.out, Mask...)
		}
		w.over(min(s.End, max(end, shown)))
		next.Masked, next.Covered = s.End >= end, max(0, s.End-end)
	}
	w.upTo(max(end, min(shown, len(r.plain))))
	r.out = w.out
}

// writer writes plain text and control sequences.
type writer struct {
	r   *Redactor
	out []byte
	// at is the place in the plain text that has been come to.
	at int
	// next is the next control sequence.
	next int
}

// upTo writes what is before a place in the text.
func (w *writer) upTo(to int) {
	for ; w.next < len(w.r.controls) && w.r.controls[w.next].at <= to; w.next++ {
		c := w.r.controls[w.next]
		if c.at > w.at {
			w.out = append(w.out, w.r.plain[w.at:c.at]...)
			w.at = c.at
		}
		w.out = append(w.out, c.text...)
	}
	if to > w.at {
		w.out = append(w.out, w.r.plain[w.at:to]...)
		w.at = to
	}
}

// over leaves out the text before a place.
func (w *writer) over(to int) {
	for ; w.next < len(w.r.controls) && w.r.controls[w.next].at < to; w.next++ {
		w.out = append(w.out, w.r.controls[w.next].text...)
	}
	w.at = max(w.at, to)
}

// caseOf returns in which bits text differs from form, which it is but for the case of letters.
func caseOf(form, text []byte) string {
	if bytes.Equal(form, text) {
		return ""
	}
	b := make([]byte, (len(text)+7)/8)
	for i := range text {
		if form[i] != text[i] {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return string(bytes.TrimRight(b, "\x00"))
}

// turnCase makes text what caseOf was given.
func turnCase(text []byte, bits string) {
	for i := range text {
		if i/8 < len(bits) && bits[i/8]>>(i%8)&1 != 0 {
			text[i] ^= 0x20
		}
	}
}

// Valid reports whether a Carry may be one of this Redactor's.
func (r *Redactor) Valid(c Carry) bool {
	switch {
	case c.Form < 0 || c.Held < 0 || c.Covered < 0 || c.Shown < 0:
	case c.Held == 0 && (c.Form != 0 || c.Case != ""):
	case c.Held > 0 && (c.Form >= len(r.forms) || c.Held > len(r.forms[c.Form].Text) || len(c.Case) > (c.Held+7)/8):
	case c.Return && (c.Held > 0 || c.Lead != 0 || c.Open != ""):
	case c.Lead != 0 && !match.IsBase64Byte(c.Lead):
	case c.Covered > c.kept() || c.Shown > c.kept() || !c.Masked && (c.Covered > 0 || c.Tail != 0):
	case !c.Tail.Valid() || c.Tail != 0 && c.Covered < c.kept():
	case len(c.Controls) > maxControlsHeld || len(c.Open) > maxControlBytes:
	default:
		_, ok := interleave(make([]byte, c.kept()), c.Controls)
		return ok
	}
	return false
}
