package agent

import (
	"fmt"

	"github.com/podrunner/runner/core/internal/agent/agentv1"
	"github.com/podrunner/runner/core/internal/record"
)

// pack puts a batch, whose first record has a number, into a message, which shares its memory.
func pack(batch *record.Batch, first uint64) *agentv1.Records {
	return &agentv1.Records{
		First: first, Data: batch.Data, Ends: batch.Ends, Flags: batch.Flags, BaseTime: batch.BaseTime, Deltas: batch.Deltas,
	}
}

// unpack makes a batch of a step of a message, whose memory it shares. The error says that it is none.
func unpack(step string, m *agentv1.Records) (*record.Batch, error) {
	n := len(m.GetEnds())
	switch {
	case n == 0 || n > record.MaxBatchLines:
		return nil, fmt.Errorf("a message has %d records", n)
	case len(m.GetFlags()) != n:
		return nil, fmt.Errorf("a message has %d records and flags for %d", n, len(m.GetFlags()))
	case len(m.GetDeltas()) != 0 && len(m.GetDeltas()) != n:
		return nil, fmt.Errorf("a message has %d records and times for %d", n, len(m.GetDeltas()))
	case len(m.GetData()) > record.MaxBatchBytes:
		return nil, fmt.Errorf("a message has %d bytes of text", len(m.GetData()))
	case int(m.GetEnds()[n-1]) != len(m.GetData()):
		return nil, fmt.Errorf("the last record of a message does not end with its data")
	}
	before := uint32(0)
	for _, end := range m.GetEnds() {
		if end < before || end-before > record.MaxBytes {
			return nil, fmt.Errorf("the records of a message are not in order, or too long")
		}
		before = end
	}
	for _, flags := range m.GetFlags() {
		if record.Flags(flags)&^record.KnownFlags != 0 {
			return nil, fmt.Errorf("a record of a message has the flags %#x, which are not known", flags)
		}
	}
	b := &record.Batch{
		Step: step, Data: m.GetData(), Ends: m.GetEnds(), Flags: m.GetFlags(), BaseTime: m.GetBaseTime(),
	}
	if len(m.GetDeltas()) > 0 {
		b.Deltas = m.GetDeltas()
	}
	return b, nil
}
