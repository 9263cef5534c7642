package spool

import (
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// pollInterval is how often a directory is looked at where its events can't be had.
const pollInterval = 100 * time.Millisecond

// watch tells when something has happened in a directory.
type watch struct {
	// C gets a value after one event or many.
	C    chan struct{}
	quit chan struct{}
	done sync.WaitGroup
}

// newWatch watches dir until close. Look at the directory once after it: what happened before gives no event.
func newWatch(dir string) *watch {
	w := &watch{C: make(chan struct{}, 1), quit: make(chan struct{})}
	events, err := fsnotify.NewWatcher()
	if err == nil {
		if err = events.Add(dir); err != nil {
			_ = events.Close()
		}
	}
	if err != nil {
		w.done.Go(w.poll)
		return w
	}
	w.done.Go(func() { w.follow(events) })
	return w
}

func (w *watch) follow(events *fsnotify.Watcher) {
	defer func() { _ = events.Close() }()
	for {
		select {
		case _, open := <-events.Events:
			if !open {
				return
			}
		case _, open := <-events.Errors: // an overflow: events were lost, so there were some
			if !open {
				return
			}
		case <-w.quit:
			return
		}
		w.notify()
	}
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
	close(w.quit)
	w.done.Wait()
}
