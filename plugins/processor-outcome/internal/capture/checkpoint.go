package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// checkpointVersion is the first byte of a checkpoint.
const checkpointVersion = 2

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

// Bits of an outcome file in a checkpoint.
const (
	bitLong = 1 << iota
	bitOpen
	bitRefused
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
	if s.isEmpty() {
		return nil
	}
	e := encoder{bytes: make([]byte, 0, 64+s.size+s.held+len(s.head)+len(s.file.head)+len(s.file.value))}
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
			e.number(bit(b.delimited, 1))
			e.text([]byte(b.delimiter))
		}
	}
	e.number(int(s.mode))
	e.text(s.head)
	e.number(len(s.after))
	for _, line := range s.after {
		e.text(line)
	}
	e.text([]byte(s.token))
	s.file.encode(&e)
	return e.bytes
}

// isEmpty reports whether there is nothing to remember.
func (s *State) isEmpty() bool {
	f := &s.file
	return len(s.vars) == 0 && len(s.blocks) == 0 && len(s.ended) == 0 && s.mode == fresh && s.token == "" &&
		f.line == 0 && len(f.head) == 0 && f.untold == 0 && len(f.unended) == 0
}

func (f *file) encode(e *encoder) {
	e.number(f.line)
	e.number(bit(f.long, bitLong) | bit(f.open, bitOpen) | bit(f.refused, bitRefused))
	e.text(f.head)
	e.text([]byte(f.key))
	e.text([]byte(f.delimiter))
	e.text(f.value)
	e.number(f.told)
	e.number(f.untold)
	e.number(len(f.unended))
	for _, key := range f.unended {
		e.text([]byte(key))
	}
}

func (f *file) decode(d *decoder) {
	f.line = d.number()
	bits := d.number()
	f.long, f.open, f.refused = bits&bitLong != 0, bits&bitOpen != 0, bits&bitRefused != 0
	f.head = d.text()
	f.key, f.delimiter = string(d.text()), string(d.text())
	f.value = d.text()
	f.told, f.untold = d.number(), d.number()
	for range d.count() {
		f.unended = append(f.unended, string(d.text()))
	}
	// What is kept of a long line is of a fixed length.
	d.failed = d.failed || f.long && len(f.head) != keptBytes
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
	s.token = string(d.text())
	s.file.decode(&d)
	if d.failed || len(d.rest) > 0 || s.mode >= modes || !s.blocksHaveVariables() {
		return nil, errors.New("restore the outcome variables: the checkpoint is damaged")
	}
	s.saved.bytes = saved
	return s, nil
}

func (s *State) restoreBlocks(d *decoder) []block {
	var blocks []block
	for range d.count() {
		lines := d.text()
		b := block{refused: d.number(), delimited: d.number() > 0, delimiter: string(d.text())}
		b, ok := restoredBlock(lines, b)
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
