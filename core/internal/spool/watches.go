package spool

import (
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// watched are the directories that this process watches.
var watched watches

// watches are directories that one inotify instance watches: a user has few instances, 128 as a rule, and a runner may have
// a thousand jobs. The instance, and the goroutine that reads it, are there as long as there is a watch. A directory
// always has the same path here, or only the last one gets its events. It is safe for concurrent use.
type watches struct {
	mu sync.Mutex
	// events is nil when nothing is watched; read ends with it.
	events *fsnotify.Watcher
	read   *sync.WaitGroup
	dirs   map[string]map[*watch]bool
	// parents counts the directories that are watched below one. It tells of their end at once; the kernel tells a directory of
	// its own end only when nobody has a file of it open.
	parents map[string]int
}

// add has w told of what happens in its directory; false when that can't be had.
func (s *watches) add(w *watch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.events == nil {
		events, err := fsnotify.NewWatcher()
		if err != nil {
			return false
		}
		s.events, s.read, s.dirs, s.parents = events, &sync.WaitGroup{}, map[string]map[*watch]bool{}, map[string]int{}
		s.read.Go(func() { s.follow(events) })
	}
	dir := filepath.Clean(w.dir)
	// Also when it is watched: it may be another one of the same name.
	if err := s.events.Add(dir); err != nil {
		s.end()
		return false
	}
	if s.dirs[dir] == nil {
		s.dirs[dir] = map[*watch]bool{}
		s.parents[filepath.Dir(dir)]++
		_ = s.events.Add(filepath.Dir(dir)) // as well as may be
	}
	s.dirs[dir][w] = true
	return true
}

// remove forgets w, which may not have been added. When it was the last one, it returns after the instance has gone.
func (s *watches) remove(w *watch) {
	s.mu.Lock()
	read := s.forget(w)
	s.mu.Unlock()
	if read != nil {
		read.Wait() // for one who may wait for the lock
	}
}

func (s *watches) forget(w *watch) (read *sync.WaitGroup) {
	dir := filepath.Clean(w.dir)
	if !s.dirs[dir][w] {
		return nil
	}
	delete(s.dirs[dir], w)
	if len(s.dirs[dir]) == 0 {
		delete(s.dirs, dir)
		parent := filepath.Dir(dir)
		if s.parents[parent]--; s.parents[parent] == 0 {
			delete(s.parents, parent)
		}
		s.unwatch(dir)
		s.unwatch(parent)
	}
	return s.end()
}

// unwatch ends the watch of a directory that nobody needs.
func (s *watches) unwatch(dir string) {
	if s.dirs[dir] == nil && s.parents[dir] == 0 {
		_ = s.events.Remove(dir) // one that is gone is not watched any more
	}
}

// end ends the instance when nothing is watched, and returns what then waits for its reader.
func (s *watches) end() *sync.WaitGroup {
	if len(s.dirs) > 0 {
		return nil
	}
	_ = s.events.Close() // nothing is lost by it
	s.events = nil
	return s.read
}

// follow tells the watches, until there are no more events.
func (s *watches) follow(events *fsnotify.Watcher) {
	for {
		select {
		case event, open := <-events.Events:
			if !open {
				return
			}
			s.tell(filepath.Dir(event.Name))
			if !event.Has(fsnotify.Create) { // that was before it was watched
				s.tell(event.Name) // when it is the directory itself
			}
		case _, open := <-events.Errors: // an overflow: events were lost, so there were some
			if !open {
				return
			}
			s.tellAll()
		}
	}
}

func (s *watches) tell(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.dirs[dir] {
		w.notify()
	}
}

func (s *watches) tellAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, dir := range s.dirs {
		for w := range dir {
			w.notify()
		}
	}
}
