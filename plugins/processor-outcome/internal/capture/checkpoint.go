package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// checkpointVersion is the first byte of a checkpoint.
const checkpointVersion = 1

// checkpoint is the last one that was encoded.
type checkpoint struct {
	// stale says that the State has changed since.
	stale bool
	bytes []byte
}

// Bits of a variable in a checkpoint.
const (
	bitSet = 1 << iota
	bitDropped
)

// Checkpoint encodes the State; nil is that of a State with nothing to remember. The bytes are not changed afterwards,
// and are the same ones as last time when the State has not changed. Equal States have equal checkpoints.
func (s *State) Checkpoint() []byte {
	if s.saved.stale {
		s.saved = checkpoint{bytes: s.encode()}
	}
	return s.saved.bytes
}

func (s *State) encode() []byte {
	if len(s.vars) == 0 && len(s.blocks) == 0 && len(s.ended) == 0 && s.mode == fresh {
		return nil
	}
	e := encoder{bytes: make([]byte, 0, 64+s.size+s.held+len(s.head))}
	e.number(checkpointVersion)
	e.text([]byte(s.step))
	e.number(len(s.vars))
	for _, x := range s.vars {
		e.text([]byte(x.key))
		e.number(bit(x.set, bitSet) | bit(x.dropped, bitDropped))
		e.text(x.value)
	}
	for _, blocks := range [][]block{s.blocks, s.ended} {
		e.number(len(blocks))
		for _, b := range blocks {
			e.text(b.lines)
			e.number(b.refused)
		}
	}
	e.number(int(s.mode))
	e.text(s.head)
	e.number(len(s.after))
	for _, line := range s.after {
		e.text(line)
	}
	return e.bytes
}

// Restore makes a State out of what Checkpoint returned.
func Restore(saved []byte) (*State, error) {
	s := &State{}
	if len(saved) == 0 {
		return s, nil
	}
	d := decoder{rest: saved}
	if v := d.number(); v != checkpointVersion {
		return nil, fmt.Errorf("restore the outcome variables: the checkpoint has version %d, this plugin knows %d",
			v, checkpointVersion)
	}
	s.step = string(d.text())
	for range d.count() {
		x := variable{key: string(d.text())}
		bits := d.number()
		x.set, x.dropped = bits&bitSet != 0, bits&bitDropped != 0
		x.value = d.text()
		s.vars = append(s.vars, x)
		s.size += len(x.key) + len(x.value)
	}
	s.blocks, s.ended = s.restoreBlocks(&d), s.restoreBlocks(&d)
	s.mode = mode(d.number())
	s.head = d.text()
	for range d.count() {
		s.after = append(s.after, d.text())
	}
	if d.failed || len(d.rest) > 0 || s.mode >= modes || !s.blocksHaveVariables() {
		return nil, errors.New("restore the outcome variables: the checkpoint is damaged")
	}
	s.saved.bytes = saved
	return s, nil
}

func (s *State) restoreBlocks(d *decoder) []block {
	var blocks []block
	for range d.count() {
		b, ok := restoredBlock(d.text(), d.number())
		d.failed = d.failed || !ok
		s.held += len(b.lines)
		blocks = append(blocks, b)
	}
	return blocks
}

// blocksHaveVariables reports whether each open block has a variable to add to.
func (s *State) blocksHaveVariables() bool {
	for _, b := range s.blocks {
		if b.refused == 0 && s.find(b.key) == nil {
			return false
		}
	}
	return true
}

func bit(on bool, b int) int {
	if on {
		return b
	}
	return 0
}

// encoder writes numbers as uvarints and texts with their length before them.
type encoder struct{ bytes []byte }

func (e *encoder) number(n int)     { e.bytes = binary.AppendUvarint(e.bytes, uint64(n)) }
func (e *encoder) text(text []byte) { e.number(len(text)); e.bytes = append(e.bytes, text...) }

// decoder reads what an encoder wrote. After a mistake it returns zero values.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) number() int {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || v > 1<<31 {
		d.failed, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return int(v)
}

// count reads the number of things that follow, each of one byte or more.
func (d *decoder) count() int {
	n := d.number()
	if n > len(d.rest) {
		d.failed, d.rest = true, nil
		return 0
	}
	return n
}

// text reads a text into memory of its own; nil when it is empty.
func (d *decoder) text() []byte {
	n := d.count()
	if n == 0 {
		return nil
	}
	text := append([]byte(nil), d.rest[:n]...)
	d.rest = d.rest[n:]
	return text
}
