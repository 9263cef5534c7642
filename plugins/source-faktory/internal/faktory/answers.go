package faktory

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// maxAnswerBytes bounds an answer. It is several times what a job may have that core can take, for there are six
	// characters of JSON for some bytes.
	maxAnswerBytes = 64 << 20
	// maxLineBytes bounds what is not told its length. Errors are the longest.
	maxLineBytes = 64 << 10
)

// answers follows what a server sends, as far as it has to be known how long it is.
type answers struct {
	// rest is how much is still to come of a text whose length was told.
	rest int
	// line has the beginning of a line, length says how long it is.
	line   []byte
	length int
}

// lengthBytes is more than a length has.
const lengthBytes = 32

// pass takes over what has come. An error says that the bytes from n on are not to be passed on.
func (a *answers) pass(data []byte) (n int, err error) {
	for n < len(data) {
		if a.rest > 0 {
			k := min(a.rest, len(data)-n)
			a.rest -= k
			n += k
			continue
		}
		if data[n] == '\n' {
			if err := a.begin(); err != nil {
				return n, err
			}
			a.line, a.length = a.line[:0], 0
		} else {
			if a.length++; a.length > maxLineBytes {
				return n, fmt.Errorf("the answer has a line of more than %d bytes", maxLineBytes)
			}
			if len(a.line) < lengthBytes {
				a.line = append(a.line, data[n])
			}
		}
		n++
	}
	return n, nil
}

// begin looks at a line that is whole.
func (a *answers) begin() error {
	told, is := strings.CutPrefix(string(a.line), "$")
	if !is {
		return nil
	}
	length, err := strconv.Atoi(strings.TrimSuffix(told, "\r"))
	if length > maxAnswerBytes || errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("the answer has %s bytes, and may have %d", strings.TrimSuffix(told, "\r"), maxAnswerBytes)
	}
	if err == nil {
		a.rest = max(length, 0)
	}
	return nil // what is no length is an error of the client's
}
