package spool

import (
	"sync"
	"time"
)

// pollInterval is how often a directory is looked at where its events can't be had.
const pollInterval = 100 * time.Millisecond

// watch tells when something has happened in a directory.
type watch struct {
	// C gets a value after one event or many.
	C    chan struct{}
	dir  string
	quit chan struct{}
	done sync.WaitGroup
}

// newWatch watches dir until close. Look at the directory once after it: what happened before gives no event.
func newWatch(dir string) *watch {
	w := &watch{C: make(chan struct{}, 1), dir: dir, quit: make(chan struct{})}
	if !watched.add(w) {
		w.done.Go(w.poll)
	}
	return w
}

func (w *watch) poll() {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.notify()
		case <-w.quit:
			return
		}
	}
}

func (w *watch) notify() {
	select {
	case w.C <- struct{}{}:
	default:
	}
}

func (w *watch) close() {
	watched.remove(w)
	close(w.quit)
	w.done.Wait()
}
