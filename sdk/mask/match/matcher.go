// Package match finds all occurrences of a fixed set of texts in one pass, whose cost does not depend on how many texts
// there are. It is an Aho-Corasick automaton. It knows nothing of secrets.
//
// A search spends nearly all of its time skipping: it looks at a few bytes in every few places, and goes on when no form
// has them in its beginning. Where one may begin, the states close to the root are rows of a flat table over byte
// classes: one load for a byte. The states further away are a trie with failure links, at 13 bytes a state, so that
// memory grows with the length of the texts, and not with a multiple of it.
package match

import (
	"encoding/binary"
	"slices"
)

// Form is a text to be found.
type Form struct {
	// Text is not empty, and not changed after New.
	Text []byte
	// Word says that the text counts only as a word: with no letter, digit or underscore right before or after it.
	Word bool
	// Fold says that hexadecimal digits that are letters match in either case.
	Fold bool
	// Before and After take in one more character of the base64 alphabets on that side of the text, if one stands there.
	// Pad takes in every '=' that follows after that.
	Before, After, Pad bool
}

// MaxWordBytes is the length of the longest text that it makes sense to find only as a word.
const MaxWordBytes = 8

// Span is the part of a text from Start up to, and not including, End.
type Span struct {
	Start, End int
}

// Edges is what lies around a text that is searched.
type Edges struct {
	// WordBefore says that the byte before the text is a letter, digit or underscore.
	WordBefore bool
	// More says that the text goes on.
	More bool
}

// Rest is what a search leaves open at the end of a text that goes on. Otherwise it is zero.
type Rest struct {
	// Held is the number of bytes at the end that may be the beginning of a form. They are never fewer than those that
	// are; where letters of either case match, they may be more. A word at the very end is not found, but held.
	Held int
	// Tail is what the last span takes in of the text that follows.
	Tail Tail
}

// Matcher finds forms. It is safe for concurrent use.
type Matcher struct {
	forms []Form
	// fold maps bytes that match as one to one of them.
	fold [256]byte
	// class maps a byte to its column in rows. All bytes that occur in no form share one.
	class [256]uint8
	// rows holds, for each of the first states, the next state for each class. An entry without flagged is the offset of
	// the next state's row; one with it is the number of a state that has no row, or at which a form ends.
	rows   []uint32
	stride uint32
	// withRow is the number of states that have a row.
	withRow uint32
	// near is the offset of the first row of a state whose text has two bytes or more.
	near uint32

	// What follows is by number of the state. State 0 is the root; states are in the order of the length of their text.

	// firstChild[s] to firstChild[s+1] are the states whose text is that of s and one byte more, which is their label.
	firstChild []uint32
	label      []byte
	// fail is the state of the longest text that ends the state's own.
	fail []uint32
	// last is the index in ends of the longest text of forms that ends the state's text; 0: none does.
	last []uint32

	// ends are the texts of forms; the first is none.
	ends []end
	// levels[n] is the first state whose text has n bytes or more.
	levels []uint32
	leads  leads
	before bool
}

// end is the forms of one text, once case is folded: forms[from:to].
type end struct {
	from, to uint32
	// next is the index of the longest shorter text that ends this one; 0: none does.
	next uint32
	// wide says that one of these or of the shorter ones takes in what follows it.
	wide bool
}

// flagged marks entries of rows.
const flagged = 1 << 31

// Before reports whether a form takes in the character before it.
func (m *Matcher) Before() bool { return m.before }

// Find appends to spans the parts of text that forms cover, in order, those that overlap or touch as one. They are
// joined with the last of spans, too.
func (m *Matcher) Find(spans []Span, text []byte, edges Edges) (found []Span, rest Rest) {
	if len(m.label) == 1 {
		return spans, Rest{} // there are no forms
	}
	s := search{m: m, spans: spans, text: text, edges: edges}
	row := uint32(0)
	for i := 0; i < len(text); {
		// Nothing before i matters.
		i = m.leads.skip(text, i)
		row = m.rows[m.class[text[i]]]
		i++
		for {
			if row >= flagged {
				var state uint32
				if state, i = s.far(row&^flagged, i); state >= m.withRow {
					return s.spans, s.rest(state)
				}
				row = state * m.stride
			}
			if i == len(text) {
				break
			}
			row = m.rows[row+uint32(m.class[text[i]])]
			i++
			if row < m.near {
				if row > 0 {
					i--
				}
				break
			}
		}
	}
	return s.spans, s.rest(row / m.stride)
}

// search is one search.
type search struct {
	m     *Matcher
	spans []Span
	text  []byte
	edges Edges
	tail  Tail
}

// far goes on from a state that has no row or at which a form ends, until it comes to one that has a row, or text is
// over.
func (s *search) far(state uint32, i int) (uint32, int) {
	m := s.m
	for {
		if m.last[state] > 0 {
			s.add(m.last[state], i)
		}
		if state < m.withRow || i == len(s.text) {
			return state, i
		}
		state = m.next(state, m.fold[s.text[i]])
		i++
	}
}

// next returns the state that a byte, with its case folded, leads to.
func (m *Matcher) next(state uint32, b byte) uint32 {
	for state >= m.withRow {
		for child := m.firstChild[state]; child < m.firstChild[state+1]; child++ {
			if m.label[child] == b {
				return child
			}
		}
		state = m.fail[state]
	}
	if entry := m.rows[state*m.stride+uint32(m.class[b])]; entry >= flagged {
		return entry &^ flagged
	} else {
		return entry / m.stride
	}
}

// add adds the forms that end at text[at-1]. All that are shorter than one that is there are inside it, and matter only
// for what they take in of what follows.
func (s *search) add(e uint32, at int) {
	span, found := Span{at, at}, false
	for ; e > 0 && (!found || s.m.ends[e].wide); e = s.m.ends[e].next {
		for i := s.m.ends[e].from; i < s.m.ends[e].to; i++ {
			if f := &s.m.forms[i]; s.stands(f, at) {
				s.widen(&span, f, at)
				found = true
			}
		}
	}
	if !found {
		return
	}
	for len(s.spans) > 0 && s.spans[len(s.spans)-1].End >= span.Start {
		last := s.spans[len(s.spans)-1]
		span.Start, span.End = min(span.Start, last.Start), max(span.End, last.End)
		s.spans = s.spans[:len(s.spans)-1]
	}
	s.spans = append(s.spans, span)
}

// stands reports whether a form, which is there but for the case of letters, is there.
func (s *search) stands(f *Form, end int) bool {
	start := end - len(f.Text)
	if !f.Fold && string(s.text[start:end]) != string(f.Text) {
		return false
	}
	if f.Fold && !s.m.equalFold(s.text[start:end], f.Text) {
		return false
	}
	if !f.Word {
		return true
	}
	before, after := s.edges.WordBefore, s.edges.More
	if start > 0 {
		before = IsWordByte(s.text[start-1])
	}
	if end < len(s.text) {
		after = IsWordByte(s.text[end])
	}
	return !before && !after
}

// widen makes a span reach over a form and what it takes in.
func (s *search) widen(span *Span, f *Form, end int) {
	start := end - len(f.Text)
	if f.Before && start > 0 && IsBase64Byte(s.text[start-1]) {
		start--
	}
	n, tail := tailOf(f).Take(s.text[end:])
	s.tail |= tail
	span.Start, span.End = min(span.Start, start), max(span.End, end+n)
}

// rest returns the Rest of a search that ends in a state.
func (s *search) rest(state uint32) Rest {
	if !s.edges.More {
		return Rest{}
	}
	// The last level that begins at state or before it.
	n, _ := slices.BinarySearch(s.m.levels, state+1)
	return Rest{Held: n - 1, Tail: s.tail}
}

// equalFold reports whether two texts of the same length are one once case is folded.
func (m *Matcher) equalFold(a, b []byte) bool {
	for i := range a {
		if m.fold[a[i]] != m.fold[b[i]] {
			return false
		}
	}
	return true
}

// IsWordByte reports whether b is a letter, digit or underscore of ASCII.
func IsWordByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_'
}

// IsBase64Byte reports whether b is of one of the two base64 alphabets.
func IsBase64Byte(b byte) bool { return IsWordByte(b) || b == '+' || b == '/' || b == '-' }

// leads tells where no form begins. It knows the width bytes at each of the first step places of each form.
type leads struct {
	width, step int
	mask        uint32
	// shift brings the hash of width bytes to the number of a bit.
	shift uint
	bits  []uint64
}

// skip returns a place from i on before which no form begins: one where a form may begin, or one near the end of text.
func (l *leads) skip(text []byte, i int) int {
	bits, step, mask, shift := l.bits, l.step, l.mask, l.shift
	// What is at the last of step places is known when a form begins at any of them.
	for last := i + step - 1; last+4 <= len(text); last += step {
		bit := l.hashed(binary.LittleEndian.Uint32(text[last:])&mask, shift)
		if word := bit / 64; word < uint32(len(bits)) && bits[word]>>(bit%64)&1 != 0 {
			return i
		}
		i = last + 1
	}
	return i
}

// hashed spreads the bytes at a place over the bits.
func (*leads) hashed(v uint32, shift uint) uint32 { return v * 0x9E3779B1 >> shift }
