// Package directive is the grammar of the lines with which a job sets outcome variables. It looks at one line and knows
// nothing of the lines before it.
//
//	::set-outcome-var KEY=VALUE
//	::start-multiline-outcome-var KEY
//	::end-multiline-outcome-var
//	::start-multiline-outcome-var KEY<<DELIMITER
//	DELIMITER
//	::stop-commands::TOKEN
//	::TOKEN::
//
// A directive begins in the first column. One white-space character stands before the key, which is made of ASCII
// letters, digits, "_" and "-". What else follows the key of a start, or an end, has no meaning. A delimiter and a token
// reach to the end of the line, but for one CR.
//
// It also has the grammar of the lines of an outcome file; see Assign.
package directive

import "bytes"

const (
	// MaxKeyBytes is the length of the longest key. With the next two it bounds how much of a line it takes to know its kind.
	MaxKeyBytes = 128
	// MaxDelimiterBytes is the length of the longest delimiter.
	MaxDelimiterBytes = 256
)

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
	// Stop has lines be ordinary ones until one has its token.
	Stop
)

// Line is a line that has been parsed. Key and Value share its memory.
type Line struct {
	Kind Kind
	// Key is that of a Set or Start. It is cut after MaxKeyBytes+1 bytes, where parsing ends: such a line counts as a
	// directive, with a key that is too long, whatever follows.
	Key []byte
	// Value is that of a Set, or as much of it as has been seen.
	Value []byte
	// Delimited says that a Start opens a block which ends with a line equal to Delimiter, and which nothing else ends.
	// The delimiter is cut after MaxDelimiterBytes+1 bytes, as it is then too long.
	Delimited bool
	Delimiter []byte
	// Token is that of a Stop, cut after MaxTokenBytes+1 bytes.
	Token []byte
}

var (
	setWord   = []byte("::set-outcome-var")
	startWord = []byte("::start-multiline-outcome-var")
	endWord   = []byte("::end-multiline-outcome-var")
	stopWord  = []byte("::stop-commands::")

	delimiterMark = []byte("<<")
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
	case bytes.HasPrefix(text, stopWord):
		return parseStop(text[len(stopWord):], more)
	default:
		return undecided(more && mayBecome(text))
	}
}

func mayBecome(text []byte) bool {
	return bytes.HasPrefix(setWord, text) || bytes.HasPrefix(startWord, text) ||
		bytes.HasPrefix(endWord, text) || bytes.HasPrefix(stopWord, text)
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
	key, rest, ended := parseKey(rest)
	switch {
	case len(key) > MaxKeyBytes:
		return Line{Kind: Start, Key: key}
	case ended && more:
		return Line{Kind: Undecided}
	case len(key) == 0:
		return Line{}
	case more && bytes.HasPrefix(delimiterMark, rest):
		return Line{Kind: Undecided}
	case !bytes.HasPrefix(rest, delimiterMark):
		return Line{Kind: Start, Key: key}
	}
	delimiter, whole := parseWord(rest[len(delimiterMark):], MaxDelimiterBytes, more)
	if !whole {
		return Line{Kind: Undecided}
	}
	return Line{Kind: Start, Key: key, Delimited: true, Delimiter: delimiter}
}

func parseStop(rest []byte, more bool) Line {
	token, whole := parseWord(rest, MaxTokenBytes, more)
	if !whole {
		return Line{Kind: Undecided}
	}
	return Line{Kind: Stop, Token: token}
}

// parseWord parses what reaches to the end of the line, but for one CR. It returns at most one byte more than longest, and
// whether that is all that matters.
func parseWord(text []byte, longest int, more bool) (word []byte, whole bool) {
	switch {
	case !more:
		text = TrimReturn(text)
	case len(text) <= longest+1: // the last byte may be the CR
		return nil, false
	}
	return text[:min(len(text), longest+1)], true
}

// TrimReturn takes one CR off the end of a line.
func TrimReturn(line []byte) []byte { return bytes.TrimSuffix(line, []byte{'\r'}) }

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
