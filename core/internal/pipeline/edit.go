package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/podrunner/runner/core/internal/record"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// edit is one decoded edit. Its text is in the columns that it came in, from from up to to: with a pointer to it, each edit
// would be the garbage collector's business.
type edit struct {
	seq      uint64
	offset   uint32
	removed  uint32
	from, to uint32
	op       pluginv1.Op
	flags    record.Flags
}

// cursor walks the columns of a Result's edits. A processor is a program that we did not write: whatever its columns
// hold, the cursor reads nothing outside them, and says what is wrong.
type cursor struct {
	columns *pluginv1.Edits
	current edit
	valid   bool

	index, splice, insert, text, flag int
	seq                               uint64
}

// newCursor returns a cursor at the first edit.
func newCursor(edits *pluginv1.Edits) (*cursor, error) {
	c := &cursor{columns: edits, seq: edits.GetFirstSeq()}
	if n, m := len(edits.GetOps()), len(edits.GetLines()); n != m {
		return nil, fmt.Errorf("edits are malformed: %d ops and %d lines", n, m)
	}
	return c, c.next()
}

// next moves to the next edit; valid is false after the last.
func (c *cursor) next() error {
	if c.index == len(c.columns.GetOps()) {
		c.valid = false
		return c.leftovers()
	}
	step := uint64(c.columns.Lines[c.index])
	if c.seq > math.MaxUint64-step {
		return fmt.Errorf("edit %d is malformed: its record number overflows", c.index)
	}
	c.seq += step
	e := edit{seq: c.seq, op: pluginv1.Op(c.columns.Ops[c.index])}
	var err error
	switch e.op {
	case pluginv1.Op_OP_SPLICE:
		err = c.readSplice(&e)
	case pluginv1.Op_OP_INSERT_AFTER:
		err = c.readInsert(&e)
	case pluginv1.Op_OP_DROP:
	default:
		err = fmt.Errorf("unknown op %d", e.op)
	}
	if err != nil {
		return fmt.Errorf("edit %d is malformed: %w", c.index, err)
	}
	c.index++
	c.current, c.valid = e, true
	return nil
}

func (c *cursor) readSplice(e *edit) error {
	if c.splice >= len(c.columns.Offsets) || c.splice >= len(c.columns.Removed) {
		return fmt.Errorf("there are only %d offsets and %d removed", len(c.columns.Offsets), len(c.columns.Removed))
	}
	e.offset, e.removed = c.columns.Offsets[c.splice], c.columns.Removed[c.splice]
	c.splice++
	return c.readText(e)
}

func (c *cursor) readInsert(e *edit) error {
	if c.flag >= len(c.columns.InsertFlags) {
		return fmt.Errorf("there are only %d insert_flags", len(c.columns.InsertFlags))
	}
	e.flags = record.Flags(c.columns.InsertFlags[c.flag])
	c.flag++
	switch {
	case e.flags&record.Partial != 0:
		return fmt.Errorf("a new line is marked as partial")
	case e.flags&record.Outcome != 0:
		return fmt.Errorf("a new line is marked as one of the outcome file")
	}
	return c.readText(e)
}

func (c *cursor) readText(e *edit) error {
	if c.insert >= len(c.columns.Inserted) {
		return fmt.Errorf("there are only %d inserted", len(c.columns.Inserted))
	}
	n := uint64(c.columns.Inserted[c.insert])
	c.insert++
	if uint64(c.text)+n > uint64(len(c.columns.Data)) {
		return fmt.Errorf("its text ends outside of data")
	}
	e.from, e.to = uint32(c.text), uint32(c.text+int(n)) //nolint:gosec // a message is far smaller
	c.text += int(n)
	return nil
}

// inserted is the text of the current edit. Its bytes belong to the message that it came in.
func (c *cursor) inserted() []byte { return c.columns.Data[c.current.from:c.current.to] }

// leftovers finds columns that no edit has used: a sign that both sides count differently.
func (c *cursor) leftovers() error {
	if c.splice != len(c.columns.GetOffsets()) || c.splice != len(c.columns.GetRemoved()) ||
		c.insert != len(c.columns.GetInserted()) || c.text != len(c.columns.GetData()) ||
		c.flag != len(c.columns.GetInsertFlags()) {
		return fmt.Errorf("edits are malformed: their columns hold more than their ops use")
	}
	return nil
}

// check finds edits that do not fit the records first to last, whose lengths length tells. After it, apply fails only
// when its output does, so a malformed Result leaves nothing behind.
func check(edits *pluginv1.Edits, first, last uint64, length func(seq uint64) int) error {
	if err := checkPrefixes(edits, first, last); err != nil {
		return err
	}
	c, err := newCursor(edits)
	if err != nil {
		return err
	}
	if bytes.IndexByte(edits.GetData(), '\n') >= 0 {
		return errors.New("an edit puts a line end into a line")
	}
	var before edit
	position, end := uint64(0), uint64(0)
	for c.valid {
		e := c.current
		switch {
		case e.seq < first || e.seq > last:
			return fmt.Errorf("an edit is for record %d, but records %d to %d are acknowledged", e.seq, first, last)
		case e.seq == before.seq && e.op < before.op, e.seq == before.seq && e.op == pluginv1.Op_OP_DROP && before.op == e.op:
			return fmt.Errorf("edits of record %d are out of order: %v after %v", e.seq, e.op, before.op)
		}
		if e.seq != before.seq {
			position, end = 0, uint64(length(e.seq))
		}
		if e.op == pluginv1.Op_OP_SPLICE {
			if uint64(e.offset) < position || uint64(e.offset)+uint64(e.removed) > end {
				return fmt.Errorf("a splice of record %d removes %d bytes at %d; the record has %d bytes and the splice before ends at %d",
					e.seq, e.removed, e.offset, end, position)
			}
			position = uint64(e.offset) + uint64(e.removed)
		}
		before = e
		if err := c.next(); err != nil {
			return err
		}
	}
	return nil
}

// apply writes a batch with its edits to out. first is the batch's first sequence number; the cursor is at the first
// edit of this batch or of a later one, and is left at the first edit of a later one. So are the prefixes.
func apply(out *output, batch *record.Batch, first uint64, c *cursor, p *prefixes) error {
	if p.left() {
		return applyPrefixed(out, batch, first, c, p)
	}
	if !c.valid || c.current.seq >= first+uint64(batch.Len()) {
		return out.pass(batch)
	}
	now := batch.BaseTime // of the record before i
	for i := 0; i < batch.Len(); {
		edited := batch.Len()
		if c.valid {
			edited = int(min(c.current.seq-first, uint64(edited)))
		}
		if err := out.run(batch, i, edited, now); err != nil {
			return err
		}
		now += batch.Elapsed(i, edited)
		if i = edited; i == batch.Len() {
			break
		}
		now += batch.Elapsed(i, i+1)
		r := record.Record{Flags: record.Flags(batch.Flags[i]), Time: now, Text: batch.Text(i)}
		if err := applyRecord(out, batch.Step, r, nil, c); err != nil {
			return err
		}
		i++
	}
	return nil
}

// applyPrefixed is apply while there are prefixes: most records get one.
func applyPrefixed(out *output, batch *record.Batch, first uint64, c *cursor, p *prefixes) error {
	for i, r := range batch.All {
		prefix := p.next()
		if c.valid && c.current.seq == first+uint64(i) {
			if err := applyRecord(out, batch.Step, r, prefix, c); err != nil {
				return err
			}
			continue
		}
		if err := out.begin(batch.Step, r.Flags, r.Time); err != nil {
			return err
		}
		out.append(prefix)
		out.append(r.Text)
		if err := out.end(r.Flags); err != nil {
			return err
		}
	}
	return nil
}

// applyRecord writes the record of the current edit with all its edits, in the order that the protocol fixes: its prefix,
// splices, a drop, inserts. Its bytes go straight to the batch being built.
func applyRecord(out *output, step string, r record.Record, prefix []byte, c *cursor) error {
	seq := c.current.seq
	if err := out.begin(step, r.Flags, r.Time); err != nil {
		return err
	}
	out.append(prefix)
	position := uint32(0)
	for ; c.atOp(seq, pluginv1.Op_OP_SPLICE); c.advance() {
		out.append(r.Text[position:c.current.offset])
		out.append(c.inserted())
		position = c.current.offset + c.current.removed
	}
	out.append(r.Text[position:])
	var err error
	if c.atOp(seq, pluginv1.Op_OP_DROP) {
		c.advance()
		err = out.drop(r.Flags)
	} else {
		err = out.end(r.Flags)
	}
	if err != nil {
		return err
	}
	for ; c.atOp(seq, pluginv1.Op_OP_INSERT_AFTER); c.advance() {
		inserted := record.Record{Flags: c.current.flags, Time: r.Time, Text: c.inserted()}
		if err := out.insert(step, inserted); err != nil {
			return err
		}
	}
	return nil
}

// atOp reports whether the current edit is one of record seq and of kind op.
func (c *cursor) atOp(seq uint64, op pluginv1.Op) bool {
	return c.valid && c.current.seq == seq && c.current.op == op
}

// advance is next for edits that check has passed.
func (c *cursor) advance() {
	if err := c.next(); err != nil {
		c.valid = false
	}
}
