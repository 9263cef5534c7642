package sequence_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/podrunner/runner/plugins/processor-sanitize/internal/sequence"
)

// rows makes rows whose lines are the letters of texts; a dot is an empty line, and a capital one of three bytes.
func rows(texts ...string) (*sequence.Rows, [][][]byte) {
	r := &sequence.Rows{}
	var list [][][]byte
	for _, text := range texts {
		var row [][]byte
		for _, c := range text {
			row = append(row, lineOf(c))
		}
		r.Add(row)
		list = append(list, row)
	}
	return r, list
}

func lineOf(c rune) []byte {
	switch {
	case c == '.':
		return nil
	case 'A' <= c && c <= 'Z':
		return bytes.Repeat([]byte(string(c)), 3)
	}
	return []byte(string(c))
}

// oracle returns the length of the longest end of log that is in a row, and how many bytes it has.
func oracle(list [][][]byte, log [][]byte) (length, size int) {
	for n := len(log); n > 0; n-- {
		for _, row := range list {
			for i := 0; i+n <= len(row); i++ {
				if joined := bytes.Join(row[i:i+n], []byte("\n")); bytes.Equal(joined, bytes.Join(log[len(log)-n:], []byte("\n"))) {
					return n, len(joined) - (n - 1)
				}
			}
		}
	}
	return 0, 0
}

func TestAgainstTheOracle(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 9))
		text := func(n int) string {
			var b []byte
			for range n {
				b = append(b, "abAB."[r.IntN(5)])
			}
			return string(b)
		}
		var texts []string
		for range 1 + r.IntN(4) {
			texts = append(texts, text(r.IntN(9)))
		}
		x, list := rows(texts...)
		var log [][]byte
		var s sequence.State
		for _, c := range text(20) + "x" + text(4) {
			log = append(log, lineOf(c))
			s = x.Step(s, lineOf(c))
			length, size := oracle(list, log)
			if s.Length != length || x.Bytes(s) != size {
				t.Fatalf("rows %q, log %q: %d lines of %d bytes, want %d of %d", texts, log, s.Length, x.Bytes(s), length, size)
			}
			if !x.Valid(s) || length > 0 && !x.Has(lineOf(c)) {
				t.Fatalf("rows %q, log %q: state %+v is not valid, or the line is not there", texts, log, s)
			}
			if length > 0 && x.Valid(sequence.State{Node: s.Node, Length: 100}) || x.Valid(sequence.State{Node: 1000, Length: 1}) {
				t.Fatalf("rows %q: a wrong state is valid", texts)
			}
		}
	}
}

// TestFindAgainstTheOracle: of a text those lines are found that stand in a row of enough bytes.
func TestFindAgainstTheOracle(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 13))
		text := func(n int) (s string) {
			for range n {
				s += string("abAB."[r.IntN(5)])
			}
			return s
		}
		x, list := rows(text(r.IntN(9)), text(r.IntN(9)))
		var log [][]byte
		var want []bool
		for _, c := range text(20) {
			log, want = append(log, lineOf(c)), append(want, false)
			if length, size := oracle(list, log); size >= sequence.MinBytes {
				for i := len(log) - length; i < len(log); i++ {
					want[i] = len(log[i]) > 0
				}
			}
		}
		joined := bytes.Join(log, []byte(" \r\n "))
		got := make([]bool, len(log))
		for _, s := range x.Find(nil, joined) {
			i := bytes.Count(joined[:s.Start], []byte("\n"))
			if got[i] || !bytes.Equal(joined[s.Start:s.End], log[i]) {
				t.Fatalf("rows %q, log %q: span %+v of line %d", list, log, s, i)
			}
			got[i] = true
		}
		if !slices.Equal(got, want) {
			t.Fatalf("rows %q, log %q: got %v, want %v", list, log, got, want)
		}
	}
}

func TestStatesStay(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 10))
		text := func() string {
			var b []byte
			for range 1 + r.IntN(8) {
				b = append(b, "ab"[r.IntN(2)])
			}
			return string(b)
		}
		first, second := text(), text()
		x, _ := rows(first)
		var s sequence.State
		var log [][]byte
		for _, c := range text() {
			s, log = x.Step(s, lineOf(c)), append(log, lineOf(c))
		}
		// What is in the second row only is not known of the lines before it was added.
		known := s.Length
		_, list := rows(first, second)
		x.Add(list[1])
		s, log = x.Step(s, lineOf('a')), append(log, lineOf('a'))
		length, _ := oracle(list, log[len(log)-1-known:])
		if s.Length != length || x.Bytes(s) != length {
			t.Fatalf("rows %q and then %q, log %q: %+v, want %d lines", first, second, log, s, length)
		}
	}
}

func TestNoRows(t *testing.T) {
	var x sequence.Rows
	if s := x.Step(sequence.State{}, []byte("a")); s != (sequence.State{}) || x.Has(nil) || x.Bytes(s) != 0 {
		t.Errorf("got %+v", s)
	}
}
