package match

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"
)

// rowCells bounds the table of rows, 128 KiB: enough for the first three bytes of hundreds of forms. The root and the
// states next to it have rows in any case. A table twice as large does not make a search for 1,000 forms quicker.
const rowCells = 1 << 15

// New makes a Matcher. It takes time and memory in proportion to the length of all forms.
func New(forms []Form) *Matcher {
	b := builder{m: &Matcher{}}
	b.folds(forms)
	b.sort(forms)
	b.classes()
	b.leads()
	b.allocate()
	b.states()
	return b.m
}

// builder makes a Matcher.
type builder struct {
	m *Matcher
	// texts are those of the Matcher's forms with their case folded.
	texts [][]byte
	// maxRows is the number of states that may have rows.
	maxRows uint32
}

// group is the forms that begin with a state's text: a part of Matcher.forms, which is sorted.
type group struct {
	from, to int
}

// folds fills fold. Only a form with Fold makes bytes match as one; others are then compared once more when found.
func (b *builder) folds(forms []Form) {
	for c := range b.m.fold {
		b.m.fold[c] = byte(c)
	}
	if slices.ContainsFunc(forms, func(f Form) bool { return f.Fold }) {
		for c := byte('A'); c <= 'F'; c++ {
			b.m.fold[c] = c | 0x20
		}
	}
}

// sort fills forms and texts, by text, with no form twice.
func (b *builder) sort(forms []Form) {
	type entry struct {
		text []byte
		form Form
	}
	list := make([]entry, len(forms))
	for i, f := range forms {
		list[i] = entry{b.foldText(f.Text), f}
		b.m.before = b.m.before || f.Before
	}
	slices.SortFunc(list, func(x, y entry) int {
		return cmp.Or(bytes.Compare(x.text, y.text), bytes.Compare(x.form.Text, y.form.Text), int(x.form.bits())-int(y.form.bits()))
	})
	list = slices.CompactFunc(list, func(x, y entry) bool {
		return x.form.bits() == y.form.bits() && bytes.Equal(x.form.Text, y.form.Text)
	})
	b.m.forms, b.texts = make([]Form, len(list)), make([][]byte, len(list))
	for i, e := range list {
		b.m.forms[i], b.texts[i] = e.form, e.text
	}
}

// foldText returns a text with its case folded, the text itself when that changes nothing.
func (b *builder) foldText(text []byte) []byte {
	if !slices.ContainsFunc(text, func(c byte) bool { return b.m.fold[c] != c }) {
		return text
	}
	folded := make([]byte, len(text))
	for i, c := range text {
		folded[i] = b.m.fold[c]
	}
	return folded
}

// bits is what a form is beside its text.
func (f Form) bits() byte {
	var b byte
	for i, is := range []bool{f.Word, f.Fold, f.Before, f.After, f.Pad} {
		if is {
			b |= 1 << i
		}
	}
	return b
}

// classes fills class and stride.
func (b *builder) classes() {
	var used [256]bool
	for _, text := range b.texts {
		for _, c := range text {
			used[c] = true
		}
	}
	m := b.m
	m.stride = 0
	if slices.Contains(used[:], false) {
		m.stride = 1 // column 0 is for bytes in no form
	}
	for c, is := range used {
		if is {
			m.class[c] = uint8(m.stride)
			m.stride++
		}
	}
	for c, folded := range m.fold {
		m.class[c] = m.class[folded]
	}
	b.maxRows = max(rowCells/m.stride, 1+256)
}

const (
	// maxStep bounds leads.step. Each place more puts more texts into leads, of which more occur by chance: with many
	// forms that costs more than it saves.
	maxStep, maxStepOfMany = 6, 3
	// many is a number of forms.
	many = 2000
	// minLeadBits and maxLeadBits bound the logarithm of the number of bits in leads: 1 KiB to 32 KiB, which stays in a
	// processor's first cache. Between them there are leadBits for each text that leads knows.
	minLeadBits, maxLeadBits, leadBits = 13, 18, 64
)

// leads fills leads.
func (b *builder) leads() {
	l, shortest := &b.m.leads, 1<<30
	for _, text := range b.texts {
		shortest = min(shortest, len(text))
	}
	l.width = 2
	if shortest > 3 {
		l.width = 3
	}
	most := maxStep
	if len(b.texts) > many {
		most = maxStepOfMany
	}
	l.step = max(1, min(most, shortest-l.width+1))
	l.mask = 1<<(8*l.width) - 1
	size := min(max(bits.Len(uint(len(b.texts)*l.step*leadBits)), minLeadBits), maxLeadBits)
	l.shift = uint(32 - size)
	l.bits = make([]uint64, 1<<size/64)
	for _, f := range b.m.forms {
		if len(f.Text) == 1 {
			for second := range uint32(256) {
				b.lead(f, uint32(f.Text[0])|second<<8, 0)
			}
			continue
		}
		for i := range l.step {
			var v uint32
			for k := range l.width {
				v |= uint32(f.Text[i+k]) << (8 * k)
			}
			b.lead(f, v, 0)
		}
	}
}

// lead puts the bytes at a place of a form into leads, from byte k on in either case when the form is so.
func (b *builder) lead(f Form, v uint32, k int) {
	l := &b.m.leads
	if k == l.width {
		bit := l.hashed(v, l.shift)
		l.bits[bit/64] |= 1 << (bit % 64)
		return
	}
	b.lead(f, v, k+1)
	c := byte(v >> (8 * k))
	if other := c ^ 0x20; f.Fold && isLetterDigit(c) {
		b.lead(f, v&^(0xff<<(8*k))|uint32(other)<<(8*k), k+1)
	}
}

// isLetterDigit reports whether c is a hexadecimal digit that is a letter.
func isLetterDigit(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'f' }

// allocate makes room for as many states as there can be.
func (b *builder) allocate() {
	n := 1
	for _, text := range b.texts {
		n += len(text)
	}
	m := b.m
	m.firstChild = make([]uint32, 0, n+1)
	m.label, m.fail = make([]byte, 0, n), make([]uint32, 0, n)
	m.last = make([]uint32, 0, n)
	m.ends = make([]end, 1, len(b.texts)+1)
	m.rows = make([]uint32, 0, uint32(min(n, int(b.maxRows)))*m.stride)
}

// states makes the states, level by level, with their links and rows.
func (b *builder) states() {
	m := b.m
	level := []group{{0, len(b.texts)}}
	m.label, m.fail, m.last = append(m.label, 0), append(m.fail, 0), append(m.last, 0)
	state := uint32(0)
	for depth := 0; len(level) > 0; depth++ {
		m.levels = append(m.levels, state)
		if depth == 2 {
			m.near = state * m.stride
		}
		var next []group
		for _, g := range level {
			m.firstChild = append(m.firstChild, uint32(len(m.label)))
			next = b.children(state, depth, g, next)
			b.row(state)
			state++
		}
		level = next
	}
	if len(m.levels) < 3 {
		m.near = state * m.stride
	}
	m.firstChild = append(m.firstChild, state)
	m.withRow = min(b.maxRows, state)
}

// children makes the children of a state, whose text has depth bytes and whose forms are g. It appends theirs to next.
func (b *builder) children(state uint32, depth int, g group, next []group) []group {
	for i := g.from; i < g.to; {
		text := b.texts[i]
		if len(text) == depth {
			i++
			continue
		}
		from, label := i, text[depth]
		for i < g.to && b.texts[i][depth] == label {
			i++
		}
		next = append(next, group{from, i})
		b.child(state, depth, label, group{from, i})
	}
	return next
}

// child makes the child of a state, whose forms are g. Those that end at it come first.
func (b *builder) child(parent uint32, depth int, label byte, g group) {
	m := b.m
	fail := uint32(0)
	if parent > 0 {
		fail = m.next(m.fail[parent], label)
	}
	last, to := m.last[fail], g.from
	e := end{from: uint32(g.from), next: last, wide: m.ends[last].wide}
	for to < g.to && len(b.texts[to]) == depth+1 {
		e.wide = e.wide || tailOf(&m.forms[to]) != 0
		to++
	}
	if e.to = uint32(to); to > g.from {
		last = uint32(len(m.ends))
		m.ends = append(m.ends, e)
	}
	m.label, m.fail, m.last = append(m.label, label), append(m.fail, fail), append(m.last, last)
}

// row makes the row of a state, if it is to have one, once its children are there.
func (b *builder) row(state uint32) {
	m := b.m
	if state >= b.maxRows {
		return
	}
	// The root's row goes back to the root; any other goes where the row of its suffix goes.
	from := m.fail[state] * m.stride
	if state == 0 {
		m.rows = m.rows[:m.stride]
	} else {
		m.rows = append(m.rows, m.rows[from:from+m.stride]...)
	}
	row := m.rows[state*m.stride:]
	for child := m.firstChild[state]; child < uint32(len(m.label)); child++ {
		to := child * m.stride
		if child >= b.maxRows || m.last[child] > 0 {
			to = child | flagged
		}
		row[m.class[m.label[child]]] = to
	}
	m.withRow = state + 1
}
