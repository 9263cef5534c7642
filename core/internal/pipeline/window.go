package pipeline

import (
	"sync"
	"time"

	"github.com/podrunner/runner/core/internal/record"
	"github.com/podrunner/runner/sdk/protocol"
)

// sent is a batch that has gone to a processor and has not come back as acknowledged.
type sent struct {
	item
	// first is the batch's first sequence number in this stage; for one that passes around the processor, that of the next
	// batch.
	first uint64
	// around: the processor is not to see the batch. It waits here for those before it.
	around bool
}

// last returns the batch's last sequence number in this stage.
func (s sent) last() uint64 { return s.first + uint64(s.batch.Len()) - 1 }

// window is the batches of a stage that are not acknowledged, oldest first. It is what is sent again when a processor
// dies, and its bound is what holds a stage up. It is safe for concurrent use.
type window struct {
	// slots has one token for each batch that may still be sent.
	slots chan struct{}
	// busy says, at most once at a time, that the window was empty and is not any more.
	busy chan struct{}

	mu      sync.Mutex
	batches []sent
	// finish is the item at the end, once it has been added.
	finish *item
	// skipped is the through of items without a batch that came while the window was empty; 0: none.
	skipped uint64
	// since is when the oldest item became the oldest.
	since time.Time
}

func newWindow() *window {
	w := &window{slots: make(chan struct{}, protocol.WindowBatches), busy: make(chan struct{}, 1)}
	w.free(cap(w.slots))
	return w
}

// free gives back slots.
func (w *window) free(n int) {
	for range n {
		w.slots <- struct{}{}
	}
}

// add puts an item at the end. A batch needs a slot, which the caller has taken; other items need none.
func (w *window) add(it item, first uint64, around bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.batches) == 0 {
		w.since = time.Now()
		select {
		case w.busy <- struct{}{}:
		default:
		}
	}
	switch {
	case it.result != nil:
		w.finish = &it
	case it.batch != nil:
		w.batches = append(w.batches, sent{item: it, first: first, around: around})
	case len(w.batches) > 0:
		// Nothing of this item is left to process: it is dealt with when the batch before it is.
		w.batches[len(w.batches)-1].through = it.through
	default:
		w.skipped = it.through
	}
}

// find appends to found the batches up to sequence number through; ok is false when that is not the last record of one
// of them.
func (w *window) find(through uint64, found []sent) (_ []sent, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, s := range w.batches {
		if !s.around && s.last() == through {
			return append(found, w.batches[:i+1]...), true
		}
	}
	return nil, false
}

// around returns the oldest batch if it passes around the processor; else nil.
func (w *window) around() *record.Batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.batches) == 0 || !w.batches[0].around {
		return nil
	}
	return w.batches[0].batch
}

// remove takes the oldest n batches out and frees their slots. It returns the through of the last of them.
func (w *window) remove(n int) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	through := w.batches[n-1].through
	w.batches = w.batches[n:]
	w.since = time.Now()
	w.free(n)
	return through
}

// takeSkipped returns the through of items without a batch that nothing stands before any more; 0: there are none.
func (w *window) takeSkipped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	through := w.skipped
	w.skipped = 0
	return through
}

// all returns what is in the window, and the finishing item if that has been added.
func (w *window) all() ([]sent, *item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]sent(nil), w.batches...), w.finish
}

// waiting returns how long the oldest item has waited for its answer; ok is false when there is none.
func (w *window) waiting() (waited time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.batches) == 0 && w.finish == nil {
		return 0, false
	}
	return time.Since(w.since), true
}

// restart begins to count waiting anew: the items go to another process.
func (w *window) restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = time.Now()
}
