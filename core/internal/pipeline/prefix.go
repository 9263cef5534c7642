package pipeline

import (
	"bytes"
	"errors"
	"fmt"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// prefixes walks the runs of texts that a Result puts before its records, record by record.
type prefixes struct {
	columns *pluginv1.Edits
	// run is the run after the one that the record before was in; rest is how many records of that one are left.
	run  int
	rest uint32
	// from and to are the text's place in the data.
	from, to uint32
}

// left reports whether there are runs for records that are still to come.
func (p *prefixes) left() bool { return p.rest > 0 || p.run < len(p.columns.GetPrefixCounts()) }

// next returns what is put before the next record. Its bytes belong to the message. checkPrefixes has passed the runs.
func (p *prefixes) next() []byte {
	if p.rest == 0 {
		if p.run == len(p.columns.GetPrefixCounts()) {
			return nil
		}
		p.rest = p.columns.PrefixCounts[p.run]
		p.from, p.to = p.to, p.to+p.columns.PrefixLengths[p.run]
		p.run++
	}
	p.rest--
	return p.columns.PrefixData[p.from:p.to]
}

// checkPrefixes finds runs that do not fit the records first to last, or that make too much of little.
func checkPrefixes(edits *pluginv1.Edits, first, last uint64) error {
	counts, lengths, data := edits.GetPrefixCounts(), edits.GetPrefixLengths(), edits.GetPrefixData()
	switch {
	case len(counts) != len(lengths):
		return fmt.Errorf("edits are malformed: %d prefix_counts and %d prefix_lengths", len(counts), len(lengths))
	case len(counts) > 0 && edits.GetFirstSeq() != first:
		return fmt.Errorf("prefixes begin with record %d, but records %d to %d are acknowledged", edits.GetFirstSeq(), first, last)
	case bytes.IndexByte(data, '\n') >= 0:
		return errors.New("a prefix puts a line end into a line")
	}
	records, length, whole := uint64(0), uint64(0), uint64(0)
	for i, n := range counts {
		if n == 0 {
			return fmt.Errorf("edits are malformed: run %d of prefixes has no records", i)
		}
		records += uint64(n)
		length += uint64(lengths[i])
		if records > last-first+1 || length > uint64(len(data)) {
			break // each is bounded here, so nothing overflows
		}
		whole += uint64(n) * uint64(lengths[i])
	}
	switch {
	case records > last-first+1:
		return fmt.Errorf("there are prefixes for %d records, but records %d to %d are acknowledged", records, first, last)
	case length != uint64(len(data)):
		return fmt.Errorf("edits are malformed: prefixes of %d bytes in %d bytes of prefix_data", length, len(data))
	case whole > protocol.MaxMessageBytes:
		return fmt.Errorf("prefixes make the records %d bytes longer, more than %d", whole, protocol.MaxMessageBytes)
	}
	return nil
}
