package record

// Limits of a batch; the plugin protocol's MaxBatchBytes and MaxBatchLines (a test compares them).
const (
	// MaxBatchBytes bounds a batch with its columns.
	MaxBatchBytes = 31 << 10
	// MaxBatchLines bounds the records of a batch.
	MaxBatchLines = 512
	// columnBytes is what a record costs in a batch beside its text: at most 3 bytes of end offset, 1 of flags and, for
	// times less than half a minute apart, at most 6 of time.
	columnBytes = 10
)

// Batch is consecutive records of one step, packed: all texts one after the other and a column for each property. A
// batch is never changed after it has been handed on, and its memory is never reused, so stages share it freely.
type Batch struct {
	// Step that wrote the records.
	Step string
	// Data holds the texts.
	Data []byte
	// Ends holds, for each record, the offset in Data at which its text ends.
	Ends []uint32
	// Flags holds each record's flags.
	Flags []byte
	// BaseTime is what the first of Deltas is added to, nanoseconds since the Unix epoch.
	BaseTime int64
	// Deltas holds, for each record, the nanoseconds since the one before. Nil: all zero.
	Deltas []int64
}

// Len returns the number of records.
func (b *Batch) Len() int { return len(b.Ends) }

// Text returns the text of record i. It shares the batch's memory.
func (b *Batch) Text(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = b.Ends[i-1]
	}
	return b.Data[start:b.Ends[i]:b.Ends[i]]
}

// All calls yield with each record in order, until it returns false. The texts share the batch's memory.
func (b *Batch) All(yield func(int, Record) bool) {
	start, now := uint32(0), b.BaseTime
	for i, end := range b.Ends {
		if b.Deltas != nil {
			now += b.Deltas[i]
		}
		if !yield(i, Record{Flags: Flags(b.Flags[i]), Time: now, Text: b.Data[start:end:end]}) {
			return
		}
		start = end
	}
}

// Builder packs records into batches. The zero value is ready. It is not safe for concurrent use.
type Builder struct {
	batch *Batch
	last  int64
}

// Fits reports whether a record of the step with n bytes of text can be added to the batch being built. An empty batch
// takes any record.
func (b *Builder) Fits(step string, n int) bool {
	if b.batch == nil {
		return true
	}
	return b.batch.Step == step &&
		len(b.batch.Ends) < MaxBatchLines &&
		len(b.batch.Data)+n+columnBytes*(len(b.batch.Ends)+1) <= MaxBatchBytes
}

// Len returns the number of records in the batch being built.
func (b *Builder) Len() int {
	if b.batch == nil {
		return 0
	}
	return len(b.batch.Ends)
}

// Add copies a record into the batch being built. Ask Fits first.
func (b *Builder) Add(step string, r Record) {
	b.begin(step, r.Time)
	b.batch.Data = append(b.batch.Data, r.Text...)
	b.end(r.Flags, r.Time)
}

// begin starts a batch when none is being built.
func (b *Builder) begin(step string, now int64) {
	if b.batch != nil {
		return
	}
	b.batch = &Batch{
		Step:     step,
		Data:     make([]byte, 0, MaxBatchBytes),
		Ends:     make([]uint32, 0, 320),
		Flags:    make([]byte, 0, 320),
		BaseTime: now,
		Deltas:   make([]int64, 0, 320),
	}
	b.last = now
}

// end closes the record whose text has been appended to Data.
func (b *Builder) end(flags Flags, now int64) {
	b.batch.Ends = append(b.batch.Ends, uint32(len(b.batch.Data)))
	b.batch.Flags = append(b.batch.Flags, byte(flags))
	b.batch.Deltas = append(b.batch.Deltas, now-b.last)
	b.last = now
}

// Take returns the batch being built and starts anew; nil when there is none. The batch belongs to the caller.
func (b *Builder) Take() *Batch {
	batch := b.batch
	b.batch = nil
	return batch
}
