// Package directive is the grammar of the lines with which a job sets outcome variables. It looks at one line and knows
// nothing of the lines before it.
//
//	::set-outcome-var KEY=VALUE
//	::start-multiline-outcome-var KEY
//	::end-multiline-outcome-var
//
// A directive begins in the first column. One white-space character stands before the key, which is made of ASCII
// letters, digits, "_" and "-". What follows the key of a start, or an end, has no meaning.
package directive

import "bytes"

// MaxKeyBytes is the length of the longest key. It also bounds how much of a line it takes to know its kind.
const MaxKeyBytes = 128

// Kind is what a line is.
type Kind int

// The kinds.
const (
	// Text: an ordinary line.
	Text Kind = iota
	// Undecided: the beginning of a line that may turn out to be anything else.
	Undecided
	// Trace: a command printed by `set -x`. It is ordinary even inside a block.
	Trace
	// Set gives a variable a value.
	Set
	// Start opens a block, whose lines become the value of a variable.
	Start
	// End closes the innermost block.
	End
)

// Line is a line that has been parsed. Key and Value share its memory.
type Line struct {
	Kind Kind
	// Key is that of a Set or Start. It is cut after MaxKeyBytes+1 bytes, where parsing ends: such a line counts as a
	// directive, with a key that is too long, whatever follows.
	Key []byte
	// Value is that of a Set, or as much of it as has been seen.
	Value []byte
}

var (
	setWord   = []byte("::set-outcome-var")
	startWord = []byte("::start-multiline-outcome-var")
	endWord   = []byte("::end-multiline-outcome-var")
)

// Parse tells what text is: a whole line, or with more set the beginning of one. More of a line never changes its kind
// once that is not Undecided.
func Parse(text []byte, more bool) Line {
	switch {
	case len(text) == 0:
		return undecided(more)
	case text[0] == '+':
		return parseTrace(text, more)
	case text[0] != ':':
		return Line{}
	case bytes.HasPrefix(text, setWord):
		return parseSet(text[len(setWord):], more)
	case bytes.HasPrefix(text, startWord):
		return parseStart(text[len(startWord):], more)
	case bytes.HasPrefix(text, endWord):
		return Line{Kind: End}
	default:
		return undecided(more && mayBecome(text))
	}
}

func mayBecome(text []byte) bool {
	return bytes.HasPrefix(setWord, text) || bytes.HasPrefix(startWord, text) || bytes.HasPrefix(endWord, text)
}

func undecided(more bool) Line {
	if more {
		return Line{Kind: Undecided}
	}
	return Line{}
}

func parseTrace(text []byte, more bool) Line {
	switch {
	case len(text) == 1:
		return undecided(more)
	case isSpace(text[1]):
		return Line{Kind: Trace}
	default:
		return Line{}
	}
}

func parseSet(rest []byte, more bool) Line {
	key, rest, ended := parseKey(rest)
	switch {
	case len(key) > MaxKeyBytes:
		return Line{Kind: Set, Key: key}
	case ended:
		return undecided(more)
	case len(key) == 0 || rest[0] != '=':
		return Line{}
	default:
		return Line{Kind: Set, Key: key, Value: rest[1:]}
	}
}

func parseStart(rest []byte, more bool) Line {
	key, _, ended := parseKey(rest)
	switch {
	case len(key) > MaxKeyBytes:
		return Line{Kind: Start, Key: key}
	case ended && more:
		return Line{Kind: Undecided}
	case len(key) == 0:
		return Line{}
	default:
		return Line{Kind: Start, Key: key}
	}
}

// parseKey parses white space and a key. ended says that the text was over before the key was.
func parseKey(text []byte) (key, rest []byte, ended bool) {
	if len(text) == 0 {
		return nil, nil, true
	}
	if !isSpace(text[0]) {
		return nil, text, false
	}
	text = text[1:]
	n := 0
	for n < len(text) && n <= MaxKeyBytes && isKeyByte(text[n]) {
		n++
	}
	return text[:n], text[n:], n == len(text)
}

func isSpace(c byte) bool {
	return c == ' ' || '\t' <= c && c <= '\r' && c != '\v'
}

func isKeyByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}
