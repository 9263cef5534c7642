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
	// typicalLines is what a Builder makes room for: a full batch of lines of about 90 bytes.
	typicalLines = 320
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
func (b *Batch) Text(i int) []byte { return b.Data[b.start(i):b.Ends[i]:b.Ends[i]] }

// start returns the offset in Data at which record i begins.
func (b *Batch) start(i int) uint32 {
	if i == 0 {
		return 0
	}
	return b.Ends[i-1]
}

// Elapsed returns the nanoseconds from the record before from, or from BaseTime when from is 0, to the record before to.
func (b *Batch) Elapsed(from, to int) int64 {
	if b.Deltas == nil {
		return 0
	}
	elapsed := int64(0)
	for _, delta := range b.Deltas[from:to] {
		elapsed += delta
	}
	return elapsed
}

// LastTime returns the time of the last record.
func (b *Batch) LastTime() int64 { return b.BaseTime + b.Elapsed(0, b.Len()) }

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
	// last is the time of the last record, open that of the one that Begin has started.
	last, open int64
}

// Fits reports whether a record of the step with n bytes of text can be added to the batch being built. An empty batch
// takes any record.
func (b *Builder) Fits(step string, n int) bool {
	if b.Len() == 0 {
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
	b.Begin(step, r.Time)
	b.Append(r.Text)
	b.End(r.Flags)
}

// AddRun copies records of a batch, from from up to, and not including, to, as far as they fit, and returns how many it
// has copied: at least one when the batch being built is empty. It is Add for many at once: their texts are one copy.
// before is the time of the record before from, or the batch's BaseTime when from is 0.
func (b *Builder) AddRun(batch *Batch, from, to int, before int64) int {
	if b.Len() > 0 && b.batch.Step != batch.Step {
		return 0
	}
	b.start(batch.Step, before+batch.Elapsed(from, from+1))
	out, start, first := b.batch, batch.start(from), uint32(len(b.batch.Data))
	i := from
	for now := before; i < to && len(out.Ends) < MaxBatchLines; i++ {
		end := first + batch.Ends[i] - start
		if len(out.Ends) > 0 && int(end)+columnBytes*(len(out.Ends)+1) > MaxBatchBytes {
			break
		}
		out.Ends = append(out.Ends, end)
		now += batch.Elapsed(i, i+1)
		b.delta(now - b.last)
		b.last = now
	}
	out.Data = append(out.Data, batch.Data[start:batch.start(i)]...)
	out.Flags = append(out.Flags, batch.Flags[from:i]...)
	return i - from
}

// Begin starts a record that is put together from parts: calls of Append, then End or Abort. The batch being built must
// be of the same step and have room for one more record; its text may make it Overfull, which the caller looks at after
// End.
func (b *Builder) Begin(step string, now int64) {
	b.start(step, now)
	b.open = now
}

// start makes a batch, if there is none, that begins at a time.
func (b *Builder) start(step string, now int64) {
	if b.batch == nil {
		b.batch = &Batch{
			Data:  make([]byte, 0, MaxBatchBytes),
			Ends:  make([]uint32, 0, typicalLines),
			Flags: make([]byte, 0, typicalLines),
		}
	}
	if len(b.batch.Ends) == 0 {
		b.batch.Step, b.batch.BaseTime, b.last = step, now, now
	}
}

// Append copies bytes into the record that Begin has started.
func (b *Builder) Append(text []byte) { b.batch.Data = append(b.batch.Data, text...) }

// End closes the record that Begin has started.
func (b *Builder) End(flags Flags) {
	b.batch.Ends = append(b.batch.Ends, uint32(len(b.batch.Data)))
	b.batch.Flags = append(b.batch.Flags, byte(flags))
	b.delta(b.open - b.last)
	b.last = b.open
}

// delta adds the time of the record that has been added last. There is no column of times before it has something to
// say: lines that were read at once have the same time.
func (b *Builder) delta(delta int64) {
	if b.batch.Deltas == nil {
		if delta == 0 {
			return
		}
		b.batch.Deltas = make([]int64, len(b.batch.Ends)-1, cap(b.batch.Ends))
	}
	b.batch.Deltas = append(b.batch.Deltas, delta)
}

// Abort forgets the record that Begin has started, and returns its bytes, valid until the next call.
func (b *Builder) Abort() []byte {
	start := 0
	if n := len(b.batch.Ends); n > 0 {
		start = int(b.batch.Ends[n-1])
	}
	text := b.batch.Data[start:]
	b.batch.Data = b.batch.Data[:start]
	return text
}

// Overfull reports whether the record that Begin has started, with the bytes it has so far, makes the batch larger than
// it may be; a batch of one record never is.
func (b *Builder) Overfull() bool {
	n := len(b.batch.Ends)
	return n > 0 && len(b.batch.Data)+columnBytes*(n+1) > MaxBatchBytes
}

// OpenLen returns the number of bytes of the record that Begin has started.
func (b *Builder) OpenLen() int {
	if n := len(b.batch.Ends); n > 0 {
		return len(b.batch.Data) - int(b.batch.Ends[n-1])
	}
	return len(b.batch.Data)
}

// Take returns the batch being built and starts anew; nil when there are no records. The batch belongs to the caller.
func (b *Builder) Take() *Batch {
	if b.Len() == 0 {
		return nil
	}
	batch := b.batch
	b.batch = nil
	return batch
}
