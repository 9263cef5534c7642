// Package sequence follows how a log's lines stand in a row that the lines of some value stand in, too. It is a suffix
// automaton whose letters are lines: one step for a line, whatever the values are.
package sequence

import (
	"bytes"
	"math"

	"github.com/podrunner/runner/sdk/mask/match"
)

// MinBytes is the length of the lines of a row, all together, from which on it is masked.
const MinBytes = 8

// Rows are the rows of lines that are looked for. The zero Rows has none. They are for one goroutine.
type Rows struct {
	// lines gives each distinct line a number.
	lines map[string]uint32
	nodes []node
	edges map[edge]uint32
	// before[i] is how many bytes the lines before line i have, where all rows stand one after the other.
	before []int
	// first and lengths tell most lines that are in no row apart from those that are.
	first   [256]bool
	lengths [maxQuick + 1]bool
}

// maxQuick is the length from which on all lines count as of one length.
const maxQuick = 127

// edge leads from a node by a line.
type edge struct{ node, line uint32 }

// node is a set of rows that end at the same places.
type node struct {
	// length is that of the longest of them, and link the node of the longest that is in none of the same places.
	length int
	link   uint32
	// end is the place after one in which they end.
	end   int
	lines []uint32
}

// noLink is the link of the first node.
const noLink = math.MaxUint32

// State is how far the lines of a log stand in a row: the last Length of them do. The zero State is that before the
// first line.
type State struct {
	Node   uint32
	Length int
}

// Add adds a row. States stay what they are.
func (r *Rows) Add(lines [][]byte) {
	if len(r.nodes) == 0 {
		r.lines, r.edges = map[string]uint32{}, map[edge]uint32{}
		r.nodes, r.before = []node{{link: noLink}}, []int{0}
	}
	last := uint32(0)
	for _, line := range lines {
		number, known := r.lines[string(line)]
		if !known {
			number = uint32(len(r.lines))
			r.lines[string(line)] = number
			r.lengths[min(len(line), maxQuick)] = true
			if len(line) > 0 {
				r.first[line[0]] = true
			}
		}
		r.before = append(r.before, r.before[len(r.before)-1]+len(line))
		last = r.extend(last, number)
	}
}

// extend adds a line behind the row of a node, and returns the node of both.
func (r *Rows) extend(last, line uint32) uint32 {
	end := len(r.before) - 1
	if next, ok := r.edges[edge{last, line}]; ok {
		return r.split(last, line, next)
	}
	added := r.add(node{length: r.nodes[last].length + 1, end: end})
	for p := last; ; p = r.nodes[p].link {
		if p == noLink {
			return added // its link is the first node
		}
		if next, ok := r.edges[edge{p, line}]; ok {
			r.nodes[added].link = r.split(p, line, next)
			return added
		}
		r.put(p, line, added)
	}
}

// split returns the node of the rows that lead from p by a line, which is a part of next, or all of it.
func (r *Rows) split(p, line, next uint32) uint32 {
	length := r.nodes[p].length + 1
	if r.nodes[next].length == length {
		return next
	}
	part := r.add(node{length: length, link: r.nodes[next].link, end: r.nodes[next].end})
	for _, l := range r.nodes[next].lines {
		r.put(part, l, r.edges[edge{next, l}])
	}
	r.nodes[next].link = part
	for ; p != noLink; p = r.nodes[p].link {
		if r.edges[edge{p, line}] != next {
			break
		}
		r.edges[edge{p, line}] = part
	}
	return part
}

func (r *Rows) add(n node) uint32 {
	r.nodes = append(r.nodes, n)
	return uint32(len(r.nodes) - 1)
}

func (r *Rows) put(from, line, to uint32) {
	r.edges[edge{from, line}] = to
	r.nodes[from].lines = append(r.nodes[from].lines, line)
}

// Has reports whether a line, without white space around it, may be in a row. It is a quick look: the answer is wrong for
// some that are not.
func (r *Rows) Has(line []byte) bool {
	if len(line) == 0 {
		return r.lengths[0]
	}
	return r.first[line[0]] && r.lengths[min(len(line), maxQuick)]
}

// Step returns the State after a line, without white space around it: the longest row there is.
func (r *Rows) Step(s State, line []byte) State {
	number, ok := r.lines[string(line)]
	if !ok {
		return State{}
	}
	s = r.settle(s)
	for {
		if next, ok := r.edges[edge{s.Node, number}]; ok {
			return State{next, s.Length + 1}
		}
		if s.Node == 0 {
			return State{}
		}
		s.Node = r.nodes[s.Node].link
		s.Length = r.nodes[s.Node].length
	}
}

// settle returns the State with the node that it has since rows were added.
func (r *Rows) settle(s State) State {
	for s.Length > 0 && s.Length <= r.nodes[r.nodes[s.Node].link].length {
		s.Node = r.nodes[s.Node].link
	}
	return s
}

// Bytes returns the length of all lines of a State together.
func (r *Rows) Bytes(s State) int {
	if s.Length == 0 {
		return 0
	}
	end := r.nodes[r.settle(s).Node].end
	return r.before[end] - r.before[end-s.Length]
}

// Find appends to spans the lines of a text, without white space around them, that stand in rows of MinBytes or more.
func (r *Rows) Find(spans []match.Span, text []byte) []match.Span {
	var s State
	var run []match.Span // of lines; the last of them are those of s
	found := 0           // how many of run are in spans
	for start := 0; start < len(text); {
		end := len(text)
		if n := bytes.IndexByte(text[start:], '\n'); n >= 0 {
			end = start + n
		}
		line := bytes.TrimSpace(text[start:end])
		at := start + bytes.Index(text[start:end], line)
		start = end + 1
		if s = r.Step(s, line); s.Length == 0 {
			run, found = run[:0], 0
			continue
		}
		run = append(run, match.Span{Start: at, End: at + len(line)})
		if size := r.Bytes(s); size < MinBytes || size == len(line) {
			continue // a line of that length is masked by itself, unless it is a common word
		}
		for _, span := range run[max(found, len(run)-s.Length):] {
			if span.Start < span.End {
				spans = append(spans, span)
			}
		}
		found = len(run)
	}
	return spans
}

// Valid reports whether a State may be one of these Rows.
func (r *Rows) Valid(s State) bool {
	if s == (State{}) {
		return true
	}
	return s.Node > 0 && int64(s.Node) < int64(len(r.nodes)) && s.Length > 0 && s.Length <= r.nodes[s.Node].length
}
