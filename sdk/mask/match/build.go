package match

import (
	"bytes"
	"slices"
)

// rowCells bounds the table of rows, 128 KiB: enough for the first three bytes of hundreds of forms. The root and the
// states next to it have rows in any case. A table twice as large does not make a search for 1,000 forms quicker.
const rowCells = 1 << 15

// New makes a Matcher. It takes time and memory in proportion to the length of all forms.
func New(forms []Form) *Matcher {
	b := builder{m: &Matcher{}}
	b.sort(forms)
	b.classes()
	b.leads()
	b.allocate()
	b.states()
	return b.m
}

// builder makes a Matcher.
type builder struct {
	m     *Matcher
	texts []entry
	// maxRows is the number of states that may have rows.
	maxRows uint32
}

// entry is a form; the same text may be a word and not.
type entry struct {
	text       []byte
	word, free bool
}

// group is the entries that begin with a state's text: a part of builder.texts, which is sorted.
type group struct {
	from, to int
}

// sort fills texts, each text once.
func (b *builder) sort(forms []Form) {
	for _, f := range forms {
		b.texts = append(b.texts, entry{text: f.Text, word: f.Word, free: !f.Word})
	}
	slices.SortFunc(b.texts, func(x, y entry) int { return bytes.Compare(x.text, y.text) })
	n := 0
	for _, e := range b.texts {
		if n > 0 && bytes.Equal(b.texts[n-1].text, e.text) {
			b.texts[n-1].word = b.texts[n-1].word || e.word
			b.texts[n-1].free = b.texts[n-1].free || e.free
			continue
		}
		b.texts[n] = e
		n++
	}
	b.texts = b.texts[:n]
}

// classes fills class and stride.
func (b *builder) classes() {
	var used [256]bool
	for _, e := range b.texts {
		for _, c := range e.text {
			used[c] = true
		}
	}
	b.m.stride = 0
	if slices.Contains(used[:], false) {
		b.m.stride = 1 // column 0 is for bytes in no form
	}
	for c, is := range used {
		if is {
			b.m.class[c] = uint8(b.m.stride)
			b.m.stride++
		}
	}
	b.maxRows = max(rowCells/b.m.stride, 1+256)
}

// maxStep bounds Matcher.step. Each place more puts more pairs into leads, of which more occur by chance.
const maxStep = 3

// leads fills step and leads.
func (b *builder) leads() {
	m := b.m
	m.step = maxStep
	for _, e := range b.texts {
		m.step = max(1, min(m.step, len(e.text)-1))
	}
	for _, e := range b.texts {
		if len(e.text) == 1 {
			for second := range 256 {
				m.setLead(int(e.text[0])<<8 | second)
			}
			continue
		}
		for i := range m.step {
			m.setLead(int(e.text[i])<<8 | int(e.text[i+1]))
		}
	}
}

func (m *Matcher) setLead(pair int) { m.leads[pair/64] |= 1 << (pair % 64) }

// allocate makes room for as many states as there can be.
func (b *builder) allocate() {
	n := 1
	for _, e := range b.texts {
		n += len(e.text)
	}
	m := b.m
	m.firstChild = make([]uint32, 0, n+1)
	m.label, m.fail = make([]byte, 0, n), make([]uint32, 0, n)
	m.longest, m.words = make([]uint32, 0, n), make([]uint8, 0, n)
	m.rows = make([]uint32, 0, uint32(min(n, int(b.maxRows)))*m.stride)
}

// states makes the states, level by level, with their links and rows.
func (b *builder) states() {
	m := b.m
	level := []group{{0, len(b.texts)}}
	m.label, m.fail = append(m.label, 0), append(m.fail, 0)
	m.longest, m.words = append(m.longest, 0), append(m.words, 0)
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

// children makes the children of a state, whose text has depth bytes and whose entries are g. It appends theirs to next.
func (b *builder) children(state uint32, depth int, g group, next []group) []group {
	for i := g.from; i < g.to; {
		text := b.texts[i].text
		if len(text) == depth {
			i++
			continue
		}
		from, label := i, text[depth]
		for i < g.to && b.texts[i].text[depth] == label {
			i++
		}
		next = append(next, group{from, i})
		b.child(state, depth, label, b.texts[from])
	}
	return next
}

// child makes the child of a state. first is the first of its entries: when a form ends at it, that is this one.
func (b *builder) child(parent uint32, depth int, label byte, first entry) {
	m := b.m
	fail := uint32(0)
	if parent > 0 {
		fail = m.next(m.fail[parent], label)
	}
	longest, words := m.longest[fail], m.words[fail]
	if len(first.text) == depth+1 {
		if first.free {
			longest = uint32(depth + 1)
		}
		if first.word {
			words |= 1 << depth
		}
	}
	m.label, m.fail = append(m.label, label), append(m.fail, fail)
	m.longest, m.words = append(m.longest, longest), append(m.words, words)
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
		if child >= b.maxRows || m.ends(child) {
			to = child | flagged
		}
		row[m.class[m.label[child]]] = to
	}
	m.withRow = state + 1
}
