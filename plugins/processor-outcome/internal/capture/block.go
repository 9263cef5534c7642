package capture

import (
	"bytes"

	"github.com/podrunner/runner/plugins/processor-outcome/internal/directive"
)

// block is a block that has been opened and not yet closed.
type block struct {
	key string
	// lines are those that the block has taken out of the log, its opening line first, each with a newline.
	lines []byte
	// refused, unless 0, is a number of blocks, one in the other, that are open but whose lines stay in the log. Then key
	// and lines are empty.
	refused int
	// delimited says that a line equal to delimiter ends the block, and nothing else; what is in it has no meaning.
	delimited bool
	delimiter string
}

// noDelimiter is in place of a delimiter that is too long: no line is equal to it.
const noDelimiter = "\n"

// delimiterOf returns the delimiter that a block has because of the line that opens it.
func delimiterOf(delimiter []byte) string {
	if len(delimiter) > directive.MaxDelimiterBytes {
		return noDelimiter
	}
	return string(delimiter)
}

// appendLine appends text and a newline to lines.
func appendLine(lines, text []byte) []byte { return append(append(lines, text...), '\n') }

// split returns the block's lines without their newlines.
func (b block) split() [][]byte {
	if len(b.lines) == 0 {
		return nil
	}
	return bytes.Split(b.lines[:len(b.lines)-1], []byte{'\n'})
}

// restoredBlock makes a block out of its lines; they begin with its opening line, which has the key. A block that is refused
// has none.
func restoredBlock(lines []byte, b block) (_ block, ok bool) {
	if b.refused > 0 {
		return b, len(lines) == 0 && (!b.delimited || b.refused == 1)
	}
	first, _, whole := bytes.Cut(lines, []byte{'\n'})
	d := directive.Parse(first, false)
	b.key, b.lines = string(d.Key), lines
	same := d.Delimited == b.delimited && delimiterOf(d.Delimiter) == b.delimiter
	return b, whole && d.Kind == directive.Start && same && lines[len(lines)-1] == '\n'
}

// open opens the block of a line. One with a delimiter gives its variable a new value, others add to the one there is.
func (s *State) open(d directive.Line, text []byte) {
	b := block{key: string(d.Key), lines: appendLine(nil, text), delimited: d.Delimited, delimiter: delimiterOf(d.Delimiter)}
	s.declare(b.key)
	if b.delimited {
		s.clear(b.key)
	}
	s.blocks = append(s.blocks, b)
	s.held += len(text) + 1
}

// openRefused opens the block of a line, whose lines stay in the log. Only a count grows when a job opens many of them.
func (s *State) openRefused(d directive.Line) {
	if d.Delimited {
		s.blocks = append(s.blocks, block{refused: 1, delimited: true, delimiter: delimiterOf(d.Delimiter)})
		return
	}
	if n := len(s.blocks); n > 0 && s.blocks[n-1].refused > 0 {
		s.blocks[n-1].refused++
		return
	}
	s.blocks = append(s.blocks, block{refused: 1})
}

// closeBlock closes the innermost block and returns its key, or says that its lines stay in the log.
func (s *State) closeBlock() (key string, refused bool) {
	n := len(s.blocks) - 1
	b := &s.blocks[n]
	if b.refused > 1 {
		b.refused--
		return "", true
	}
	key, refused = b.key, b.refused > 0
	s.held -= len(b.lines)
	s.blocks[n] = block{}
	s.blocks = s.blocks[:n]
	return key, refused
}

// releaseBlocks gives up the lines of all open blocks with a key and returns them. The blocks stay open, refused.
func (s *State) releaseBlocks(key string) [][]byte {
	var lines [][]byte
	for i, b := range s.blocks {
		if b.refused > 0 || b.key != key {
			continue
		}
		lines = append(lines, b.split()...)
		s.held -= len(b.lines)
		s.blocks[i] = block{refused: 1, delimited: b.delimited, delimiter: b.delimiter}
	}
	return lines
}

// endBlocks ends the blocks that are open; their lines are kept for the end of the log. What a delimiter was to end is not
// set: who uses one wants the whole value.
func (s *State) endBlocks() {
	if len(s.blocks) == 0 {
		return
	}
	s.saved.stale = true
	for _, b := range s.blocks {
		if b.refused == 0 {
			if b.delimited {
				s.forget(b.key)
			}
			s.ended = append(s.ended, b)
		}
	}
	s.blocks = nil
}

// refuseStart says why a block with an opening line of n bytes or more can not be opened.
func (s *State) refuseStart(d directive.Line, n int) (reason string) {
	key := string(d.Key)
	if reason := s.refuseName(key); reason != "" {
		return reason
	}
	x := s.find(key)
	switch {
	case d.Delimited && len(d.Delimiter) == 0:
		return reasonNoDelimiter
	case len(d.Delimiter) > directive.MaxDelimiterBytes:
		return reasonDelimiter
	case x != nil && x.dropped && !d.Delimited:
		return reasonBefore
	case n > MaxValueBytes:
		return reasonLine
	case s.held+n+1 > MaxHeldBytes:
		return reasonHeld
	default:
		return ""
	}
}

// refuseContent says why a line of n bytes or more can not be added to a block.
func (s *State) refuseContent(key string, n int) (reason string) {
	if reason := s.refuseAppend(key, n); reason != "" {
		return reason
	}
	if s.held+n+1 > MaxHeldBytes {
		return reasonHeld
	}
	return ""
}
