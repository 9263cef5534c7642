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

// restoredBlock makes a block out of its lines; they begin with its opening line, which has the key.
func restoredBlock(lines []byte, refused int) (b block, ok bool) {
	if refused > 0 {
		return block{refused: refused}, len(lines) == 0
	}
	first, _, whole := bytes.Cut(lines, []byte{'\n'})
	d := directive.Parse(first, false)
	return block{key: string(d.Key), lines: lines}, whole && d.Kind == directive.Start && lines[len(lines)-1] == '\n'
}

func (s *State) open(key string, text []byte) {
	s.blocks = append(s.blocks, block{key: key, lines: appendLine(nil, text)})
	s.held += len(text) + 1
}

// openRefused opens a block whose lines stay in the log. Only a count grows when a job opens many of them.
func (s *State) openRefused() {
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
		s.blocks[i] = block{refused: 1}
	}
	return lines
}

// endBlocks ends the blocks that are open; their lines are kept for the end of the log.
func (s *State) endBlocks() {
	if len(s.blocks) == 0 {
		return
	}
	s.saved.stale = true
	for _, b := range s.blocks {
		if b.refused == 0 {
			s.ended = append(s.ended, b)
		}
	}
	s.blocks = nil
}

// refuseStart says why a block with an opening line of n bytes or more can not be opened.
func (s *State) refuseStart(key string, n int) (reason string) {
	if reason := s.refuseName(key); reason != "" {
		return reason
	}
	x := s.find(key)
	switch {
	case x != nil && x.dropped:
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
