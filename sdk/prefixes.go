package sdk

import "bytes"

// prefixRuns collects the texts that a processor puts before lines, as runs of lines in a row with the same text. Its
// memory is used again for the next batch.
type prefixRuns struct {
	// taken says that core takes them; else nothing is collected.
	taken bool
	// lines is the number of lines that the runs are for, those without a text among them.
	lines uint32

	counts, lengths []uint32
	data            []byte
}

func (r *prefixRuns) reset() {
	r.lines = 0
	r.counts, r.lengths, r.data = r.counts[:0], r.lengths[:0], r.data[:0]
}

// add puts text before a line; false when that is to be an edit like others: lines come in order, each once.
func (r *prefixRuns) add(line uint32, text []byte) bool {
	if !r.taken || line < r.lines || len(text) == 0 {
		return false
	}
	if gap := line - r.lines; gap > 0 {
		r.counts, r.lengths = append(r.counts, gap), append(r.lengths, 0)
	} else if n := len(r.counts); n > 0 && bytes.Equal(r.data[len(r.data)-int(r.lengths[n-1]):], text) {
		r.counts[n-1]++
		r.lines++
		return true
	}
	r.counts, r.lengths = append(r.counts, 1), append(r.lengths, uint32(len(text))) //nolint:gosec // add of editLog bounds it
	r.data = append(r.data, text...)
	r.lines = line + 1
	return true
}
