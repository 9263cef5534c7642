package sdk

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// Kinds of edits. For one line they are sent in the order of these numbers.
const (
	opSplice = byte(pluginv1.Op_OP_SPLICE)
	opDrop   = byte(pluginv1.Op_OP_DROP)
	opInsert = byte(pluginv1.Op_OP_INSERT_AFTER)
)

const (
	// maxEditBytes bounds the edits of one batch, encoded; what a message may hold beyond them is for the checkpoint.
	maxEditBytes = protocol.MaxMessageBytes * 3 / 4
	// editColumnBytes is the most that an edit costs beside its text: its kind, its flags, and four numbers.
	editColumnBytes = 2 + 4*5
)

// edit is one change of one line. Its text is texts[from:from+length] of the editLog.
type edit struct {
	line            uint32
	offset, removed uint32
	from, length    uint32
	op, flags       byte
}

// compare gives the order in which edits are sent. Those that it finds equal keep the order in which they were made.
func (e edit) compare(o edit) int {
	if c := cmp.Compare(e.line, o.line); c != 0 {
		return c
	}
	if c := cmp.Compare(e.op, o.op); c != 0 {
		return c
	}
	return cmp.Compare(e.offset, o.offset)
}

// editLog collects the edits of a batch and encodes them. All its memory is used again for the next batch.
type editLog struct {
	list  []edit
	texts []byte
	// unordered is set when the edits have to be sorted before they are sent.
	unordered bool
	// size is an upper bound of the encoded size.
	size int
	// err is the author's first mistake.
	err error
	// prefixes are the texts put before lines, when core takes them as runs.
	prefixes prefixRuns

	wire pluginv1.Edits
	// sorted is where texts are put in order.
	sorted []byte
}

func (l *editLog) reset() {
	l.list, l.texts = l.list[:0], l.texts[:0]
	l.unordered, l.size, l.err = false, 0, nil
	l.prefixes.reset()
}

// fail keeps the first mistake. It ends the job in this processor after the call in which it was made, so that methods
// which edit need not return errors.
func (l *editLog) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

func (l *editLog) add(e edit, b *Batch, text []byte) {
	if bytes.IndexByte(text, '\n') >= 0 {
		l.fail("edit of line %d: the new text holds a line end; use InsertAfter to add a line", b.seq(int(e.line)))
		return
	}
	l.size += editColumnBytes + len(text)
	if l.size > maxEditBytes {
		l.fail("edit of line %d: the edits of one batch are more than %d MiB", b.seq(int(e.line)), maxEditBytes>>20)
		return
	}
	if e.op == opSplice && e.offset == 0 && e.removed == 0 && l.first(e.line) && l.prefixes.add(e.line, text) {
		return
	}
	e.from, e.length = uint32(len(l.texts)), uint32(len(text))
	l.texts = append(l.texts, text...)
	if n := len(l.list); n > 0 && l.list[n-1].compare(e) > 0 {
		l.unordered = true
	}
	l.list = append(l.list, e)
}

// first reports whether an edit of a line is the first of that line, as far as is plain to see.
func (l *editLog) first(line uint32) bool {
	n := len(l.list)
	return n == 0 || !l.unordered && l.list[n-1].line < line
}

// encode returns the edits as they are sent, nil when there are none. They are valid until the next reset.
func (l *editLog) encode(firstSeq uint64) (*pluginv1.Edits, error) {
	if l.err != nil {
		return nil, l.err
	}
	if len(l.list) == 0 && l.prefixes.lines == 0 {
		return nil, nil
	}
	l.sort()
	w := &l.wire
	w.FirstSeq = firstSeq
	w.PrefixCounts, w.PrefixLengths, w.PrefixData = l.prefixes.counts, l.prefixes.lengths, l.prefixes.data
	w.Ops, w.Lines, w.InsertFlags = w.Ops[:0], w.Lines[:0], w.InsertFlags[:0]
	w.Offsets, w.Removed, w.Inserted = w.Offsets[:0], w.Removed[:0], w.Inserted[:0]
	w.Data = l.texts
	var last edit
	for _, e := range l.list {
		same := e.line == last.line && e.op == last.op
		switch e.op {
		case opSplice:
			if same && e.offset < last.offset+last.removed {
				return nil, fmt.Errorf("splices of line %d overlap: %d bytes at offset %d, and more at offset %d",
					firstSeq+uint64(e.line), last.removed, last.offset, e.offset)
			}
			w.Offsets = append(w.Offsets, e.offset)
			w.Removed = append(w.Removed, e.removed)
			w.Inserted = append(w.Inserted, e.length)
		case opDrop:
			if same {
				continue
			}
		case opInsert:
			w.Inserted = append(w.Inserted, e.length)
			w.InsertFlags = append(w.InsertFlags, e.flags)
		}
		w.Ops = append(w.Ops, e.op)
		w.Lines = append(w.Lines, e.line-last.line)
		last = e
	}
	return w, nil
}

// sort puts edits, and with them their texts, into the order in which they are sent.
func (l *editLog) sort() {
	if !l.unordered {
		return
	}
	slices.SortStableFunc(l.list, edit.compare)
	l.sorted = l.sorted[:0]
	for _, e := range l.list {
		l.sorted = append(l.sorted, l.texts[e.from:e.from+e.length]...)
	}
	l.texts, l.sorted = l.sorted, l.texts
	l.unordered = false
}
