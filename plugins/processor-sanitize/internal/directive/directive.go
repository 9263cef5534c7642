// Package directive knows the lines by which a job speaks to the runner, as far as they matter for what is masked.
package directive

import "bytes"

// MaxPrefixBytes bounds what Exempt returns, and how much of a line has to be seen for it.
const MaxPrefixBytes = 256

var (
	setWord   = []byte("::set-outcome-var")
	startWord = []byte("::start-multiline-outcome-var")
	endWord   = []byte("::end-multiline-outcome-var")
	stopWord  = []byte("::stop-commands::")
	maskWord  = []byte("::add-mask::")
)

// Exempt returns how many bytes at the beginning of a line of standard output are the keyword and the key of a directive of
// the processor outcome, with what separates them from the value. A mask over one of them would break the directive.
func Exempt(line []byte) int {
	n := 0
	switch {
	case !bytes.HasPrefix(line, []byte("::")):
	case bytes.HasPrefix(line, setWord):
		n = afterKey(line, len(setWord), "=")
		if n > 0 && line[n-1] != '=' {
			n = 0
		}
	case bytes.HasPrefix(line, startWord):
		n = afterKey(line, len(startWord), "<<")
	case bytes.HasPrefix(line, endWord):
		n = len(endWord)
	case bytes.HasPrefix(line, stopWord):
		n = len(stopWord)
	}
	if n > MaxPrefixBytes {
		return 0
	}
	return n
}

// afterKey returns where one white-space character, a key and perhaps a separator end that begin at place n; 0: there is
// none.
func afterKey(line []byte, n int, separator string) int {
	if n == len(line) || !isSpace(line[n]) {
		return 0
	}
	key := n + 1
	for n = key; n < len(line) && isKeyByte(line[n]); n++ {
	}
	if n == key {
		return 0
	}
	if bytes.HasPrefix(line[n:], []byte(separator)) {
		n += len(separator)
	}
	return n
}

func isSpace(c byte) bool {
	return c == ' ' || '\t' <= c && c <= '\r' && c != '\v'
}

func isKeyByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// Lengths of the token of a stop.
const (
	minTokenBytes = 8
	maxTokenBytes = 128
)

// Stops returns the token of a line of standard output after which no line is a directive, until one has the token.
func Stops(line []byte) (token string, stops bool) {
	rest, ok := bytes.CutPrefix(line, stopWord)
	rest = trimReturn(rest)
	if !ok || len(rest) < minTokenBytes || len(rest) > maxTokenBytes {
		return "", false
	}
	for _, c := range rest {
		if c <= ' ' || c > '~' {
			return "", false
		}
	}
	return string(rest), true
}

// Resumes reports whether a line ends what a stop with a token began.
func Resumes(line []byte, token string) bool { return string(trimReturn(line)) == "::"+token+"::" }

// File is Exempt for a line of an outcome file, KEY=VALUE or KEY<<DELIMITER: the key is exempt, and a delimiter in either
// place. delimiter is that of the block that the line stands in, or empty, and next that of the line after it.
func File(line []byte, delimiter string) (exempt int, next string) {
	switch {
	case delimiter != "" && string(trimReturn(line)) == delimiter:
		return len(delimiter), ""
	case delimiter != "":
		return 0, delimiter
	}
	n := 0
	for n < len(line) && n < MaxPrefixBytes && isKeyByte(line[n]) {
		n++
	}
	switch {
	case n == 0:
		return 0, ""
	case bytes.HasPrefix(line[n:], []byte("=")):
		return n + 1, ""
	case bytes.HasPrefix(line[n:], []byte("<<")):
		next = string(trimReturn(line[n+2:]))
		return n + 2 + len(next), next
	}
	return 0, ""
}

func trimReturn(line []byte) []byte { return bytes.TrimSuffix(line, []byte{'\r'}) }

// AddsMask reports whether a line, or the beginning of one, asks to mask a value.
func AddsMask(line []byte) bool { return bytes.HasPrefix(line, maskWord) }

// unescape is what a program writes in place of characters that would end the line, and of the one it does that with.
var unescape = map[string]byte{"%0A": '\n', "%0a": '\n', "%0D": '\r', "%0d": '\r', "%25": '%'}

// Mask returns the value that a line for which AddsMask is true asks to mask.
func Mask(line []byte) []byte {
	line = trimReturn(line[len(maskWord):])
	var value []byte
	for i := 0; i < len(line); i++ {
		if i+3 <= len(line) {
			if c, ok := unescape[string(line[i:i+3])]; ok {
				value = append(value, c)
				i += 2
				continue
			}
		}
		value = append(value, line[i])
	}
	return value
}
