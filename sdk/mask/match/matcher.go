// Package match finds all occurrences of a fixed set of texts in one pass, whose cost does not depend on how many texts
// there are. It is an Aho-Corasick automaton. It knows nothing of secrets.
//
// A search spends nearly all of its time in states close to the root. Those are rows of a flat table over byte classes:
// one load for a byte. The states further away are a trie with failure links, at 14 bytes a state, so that memory grows
// with the length of the texts, and not with a multiple of it.
package match

import (
	"math/bits"
	"slices"
)

// Form is a text to be found.
type Form struct {
	// Text is not empty, and not changed after New.
	Text []byte
	// Word says that the text counts only as a word: with no letter, digit or underscore right before or after it. A
	// word has at most MaxWordBytes.
	Word bool
	// Fold says that the hexadecimal digits of Text match in either case.
	Fold bool
	// Before and After say that a match takes in one more character of base64's alphabets on that side, and Pad that it
	// then takes in every '=' that follows.
	Before, After, Pad bool
}

// MaxWordBytes is the length of the longest Form that is a Word.
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

// Matcher finds forms. It is safe for concurrent use.
type Matcher struct {
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
	// longest is the length of the longest form, words left out, that ends the state's text; 0: none does.
	longest []uint32
	// words has bit n-1 set when a word of n bytes ends the state's text.
	words []uint8

	// levels[n] is the first state whose text has n bytes or more.
	levels []uint32
	// step is how many places a look at one pair of bytes tells about, and leads has a bit for each pair that stands in
	// the first step places of a form.
	step  int
	leads [1 << 16 / 64]uint64
}

// flagged marks entries of rows.
const flagged = 1 << 31

// Find appends to spans the parts of text that forms cover, in order, those that overlap or touch as one. They are
// joined with the last of spans, too. When the text goes on, pending is the number of bytes at its end that may be the
// beginning of a form; a word at the very end is not found then, but pending.
func (m *Matcher) Find(spans []Span, text []byte, edges Edges) (found []Span, pending int) {
	if len(m.label) == 1 {
		return spans, 0 // there are no forms
	}
	row := uint32(0)
	for i := 0; i < len(text); {
		// Nothing before i matters.
		i = m.skip(text, i)
		row = m.rows[m.class[text[i]]]
		i++
		for {
			if row >= flagged {
				var state uint32
				if spans, state, i = m.far(spans, row&^flagged, text, i, edges); state >= m.withRow {
					return spans, m.pending(state, edges)
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
	return spans, m.pending(row/m.stride, edges)
}

// skip returns a place from i on before which no form begins: one where a form may begin, or one near the end of text.
func (m *Matcher) skip(text []byte, i int) int {
	// The pair at the last of step places is in leads when a form begins at any of them.
	for last := i + m.step - 1; last+1 < len(text); last += m.step {
		pair := uint(text[last])<<8 | uint(text[last+1])
		if m.leads[pair/64]>>(pair%64)&1 != 0 {
			return i
		}
		i += m.step
	}
	return i
}

// far goes on from a state that has no row or at which a form ends, until it comes to one that has a row, or text is
// over.
func (m *Matcher) far(spans []Span, state uint32, text []byte, i int, edges Edges) ([]Span, uint32, int) {
	for {
		if m.ends(state) {
			spans = m.add(spans, state, text, i, edges)
		}
		if state < m.withRow || i == len(text) {
			return spans, state, i
		}
		state = m.next(state, text[i])
		i++
	}
}

// next returns the state that a byte leads to.
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

// ends reports whether a form ends at a state.
func (m *Matcher) ends(state uint32) bool { return m.longest[state] > 0 || m.words[state] > 0 }

// add adds the longest form that ends at text[end-1], where the search is in a state, to spans. All shorter ones are
// inside it.
func (m *Matcher) add(spans []Span, state uint32, text []byte, end int, edges Edges) []Span {
	n := int(m.longest[state])
	for words := m.words[state]; words > 0; words &= words - 1 {
		if w := bits.TrailingZeros8(words) + 1; w > n && isWord(text, end-w, end, edges) {
			n = w
		}
	}
	if n == 0 {
		return spans
	}
	span := Span{end - n, end}
	for len(spans) > 0 && spans[len(spans)-1].End >= span.Start {
		last := spans[len(spans)-1]
		span.Start, span.End = min(span.Start, last.Start), max(span.End, last.End)
		spans = spans[:len(spans)-1]
	}
	return append(spans, span)
}

// isWord reports whether the bytes around a part of text are none of a word.
func isWord(text []byte, start, end int, edges Edges) bool {
	before := edges.WordBefore
	if start > 0 {
		before = IsWordByte(text[start-1])
	}
	after := edges.More
	if end < len(text) {
		after = IsWordByte(text[end])
	}
	return !before && !after
}

// IsWordByte reports whether b is a letter, digit or underscore of ASCII.
func IsWordByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_'
}

// pending returns the length of a state's text when more is to come.
func (m *Matcher) pending(state uint32, edges Edges) int {
	if !edges.More {
		return 0
	}
	// The last level that begins at state or before it.
	n, _ := slices.BinarySearch(m.levels, state+1)
	return n - 1
}
