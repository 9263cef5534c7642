package sdktest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/podrunner/runner/sdk"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// change is one edit of one record, taken out of the columns.
type change struct {
	seq             uint64
	op              pluginv1.Op
	offset, removed int
	text            string
	flags           byte
}

// changes takes the edits out of their columns. Its errors say how the columns do not fit.
func changes(e *pluginv1.Edits) ([]change, error) {
	if len(e.GetLines()) != len(e.GetOps()) {
		return nil, fmt.Errorf("edits: %d ops and %d lines; each op has one", len(e.GetOps()), len(e.GetLines()))
	}
	var list []change
	c := columns{e: e}
	seq := e.GetFirstSeq()
	for i, op := range e.GetOps() {
		seq += uint64(e.Lines[i])
		x, err := c.next(pluginv1.Op(op))
		if err != nil {
			return nil, fmt.Errorf("edits: edit %d, of record %d: %w", i, seq, err)
		}
		x.seq = seq
		list = append(list, x)
	}
	if err := c.rest(); err != nil {
		return nil, fmt.Errorf("edits: %w", err)
	}
	return list, nil
}

// columns reads the columns of edits from left to right.
type columns struct {
	e                                   *pluginv1.Edits
	splices, texts, inserts, dataOffset int
}

func (c *columns) next(op pluginv1.Op) (change, error) {
	x := change{op: op}
	switch op {
	case pluginv1.Op_OP_DROP:
		return x, nil
	case pluginv1.Op_OP_SPLICE:
		if c.splices >= len(c.e.Offsets) || c.splices >= len(c.e.Removed) {
			return x, errors.New("a splice has no entry in offsets or in removed")
		}
		x.offset, x.removed = int(c.e.Offsets[c.splices]), int(c.e.Removed[c.splices])
		c.splices++
	case pluginv1.Op_OP_INSERT_AFTER:
		if c.inserts >= len(c.e.InsertFlags) {
			return x, errors.New("an insert has no entry in insert_flags")
		}
		x.flags = c.e.InsertFlags[c.inserts]
		c.inserts++
	default:
		return x, fmt.Errorf("op %d is unknown", op)
	}
	if c.texts >= len(c.e.Inserted) {
		return x, errors.New("it has no entry in inserted")
	}
	n := int(c.e.Inserted[c.texts])
	c.texts++
	if n > len(c.e.Data)-c.dataOffset {
		return x, fmt.Errorf("it puts in %d bytes, and data holds only %d more", n, len(c.e.Data)-c.dataOffset)
	}
	x.text = string(c.e.Data[c.dataOffset : c.dataOffset+n])
	c.dataOffset += n
	return x, nil
}

// rest makes sure that nothing is left in the columns.
func (c *columns) rest() error {
	e := c.e
	for _, column := range []struct {
		name       string
		used, have int
	}{
		{"offsets", c.splices, len(e.GetOffsets())},
		{"removed", c.splices, len(e.GetRemoved())},
		{"inserted", c.texts, len(e.GetInserted())},
		{"insert_flags", c.inserts, len(e.GetInsertFlags())},
		{"data", c.dataOffset, len(e.GetData())},
	} {
		if column.used != column.have {
			return fmt.Errorf("%s holds %d, and the ops use %d", column.name, column.have, column.used)
		}
	}
	return nil
}

// prefixes returns the text that is put before each of n records, numbered from first. Its errors say what is wrong with the
// runs.
func prefixes(e *pluginv1.Edits, first uint64, n int) ([]string, error) {
	counts, lengths, data := e.GetPrefixCounts(), e.GetPrefixLengths(), string(e.GetPrefixData())
	switch {
	case len(counts) != len(lengths):
		return nil, fmt.Errorf("edits: %d prefix_counts and %d prefix_lengths; each run has both", len(counts), len(lengths))
	case len(counts) > 0 && e.GetFirstSeq() != first:
		return nil, fmt.Errorf("edits: first_seq is %d; with prefix_counts it is the first record that is acknowledged, %d", e.GetFirstSeq(), first)
	case strings.Contains(data, "\n"):
		return nil, errors.New("edits: prefix_data holds a line end; a record is one line")
	}
	out, done, whole := make([]string, n), 0, uint64(0)
	for i, count := range counts {
		length := uint64(lengths[i])
		switch {
		case count == 0:
			return nil, fmt.Errorf("edits: run %d of prefix_counts is of no record; a run has at least one", i)
		case uint64(count) > uint64(n-done):
			return nil, fmt.Errorf("edits: prefix_counts are for more than the %d records that are acknowledged", n)
		case length > uint64(len(data)):
			return nil, fmt.Errorf("edits: run %d has a prefix of %d bytes, and prefix_data holds only %d more", i, length, len(data))
		}
		if whole += uint64(count) * length; whole > protocol.MaxMessageBytes {
			return nil, fmt.Errorf("edits: prefixes make the records more than %d bytes longer", protocol.MaxMessageBytes)
		}
		for range count {
			out[done] = data[:length]
			done++
		}
		data = data[length:]
	}
	if data != "" {
		return nil, fmt.Errorf("edits: prefix_data holds %d bytes more than prefix_lengths use", len(data))
	}
	return out, nil
}

// apply returns what becomes of records, numbered from first, with the edits. It is written to be plainly right, not to
// be fast; its errors say what is wrong with the edits.
func apply(records []Line, first uint64, e *pluginv1.Edits) ([]edited, error) {
	list, err := changes(e)
	if err != nil {
		return nil, err
	}
	before, err := prefixes(e, first, len(records))
	if err != nil {
		return nil, err
	}
	for i, x := range list {
		if x.seq < first || x.seq >= first+uint64(len(records)) {
			return nil, fmt.Errorf("edit of record %d in a Result that acknowledges records %d to %d",
				x.seq, first, first+uint64(len(records))-1)
		}
		if strings.Contains(x.text, "\n") {
			return nil, fmt.Errorf("edit of record %d: the new text holds a line end; a record is one line", x.seq)
		}
		if i > 0 && list[i-1].seq == x.seq && list[i-1].op > x.op {
			return nil, fmt.Errorf("edits of record %d: splices come first, then a drop, then inserts", x.seq)
		}
	}
	var out []edited
	for i, record := range records {
		var mine []change
		for len(list) > 0 && list[0].seq == first+uint64(i) {
			mine, list = append(mine, list[0]), list[1:]
		}
		became, err := applyToOne(record, before[i], mine)
		if err != nil {
			return nil, fmt.Errorf("edits of record %d: %w", first+uint64(i), err)
		}
		out = append(out, became)
	}
	return out, nil
}

// applyToOne returns what a record becomes with the text put before it and its own edits.
func applyToOne(record Line, before string, list []change) (edited, error) {
	var text strings.Builder
	text.WriteString(before)
	out := edited{Line: record}
	at := 0
	for _, x := range list {
		switch x.op {
		case pluginv1.Op_OP_SPLICE:
			if x.offset < at {
				return out, fmt.Errorf("a splice at offset %d, and the one before it reaches to %d", x.offset, at)
			}
			if x.offset+x.removed > len(record.Text) {
				return out, fmt.Errorf("a splice of %d bytes at offset %d, and the record has %d bytes",
					x.removed, x.offset, len(record.Text))
			}
			text.WriteString(record.Text[at:x.offset])
			text.WriteString(x.text)
			at = x.offset + x.removed
		case pluginv1.Op_OP_DROP:
			if out.dropped {
				return out, errors.New("it is dropped twice")
			}
			out.dropped = true
		case pluginv1.Op_OP_INSERT_AFTER:
			if x.flags&byte(pluginv1.Flag_FLAG_PARTIAL) != 0 {
				return out, errors.New("an insert with FLAG_PARTIAL; a new record is a whole line")
			}
			if x.flags&byte(pluginv1.Flag_FLAG_OUTCOME) != 0 {
				return out, errors.New("an insert with FLAG_OUTCOME; a new record is one of the log")
			}
			out.inserts = append(out.inserts, Line{
				Text:   x.text,
				Stream: sdk.Stream(x.flags & byte(pluginv1.Flag_FLAG_STDERR)),
				Step:   record.Step,
				Time:   record.Time,
			})
		}
	}
	text.WriteString(record.Text[at:])
	out.Text = text.String()
	return out, nil
}
