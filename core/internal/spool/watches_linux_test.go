package spool

import (
	"os"
	"strings"
	"testing"
	"time"
)

// instances counts the inotify instances of this process.
func instances(t *testing.T) (n int) {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if target, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.Contains(target, "inotify") {
			n++
		}
	}
	return n
}

// TestManyWatches: more directories than a user has inotify instances are watched by one, each is told of its own events
// and of no other's, and the last one to go takes the instance along.
func TestManyWatches(t *testing.T) {
	const many = 300
	before := instances(t)
	dirs, all := make([]string, many), make([]*watch, many)
	for i := range all {
		dirs[i] = t.TempDir()
		all[i] = newWatch(dirs[i])
	}
	second := newWatch(dirs[0])
	if got := instances(t) - before; got != 1 {
		t.Errorf("%d directories take %d inotify instances", many, got)
	}
	wait := func(w *watch) {
		t.Helper()
		select {
		case <-w.C:
		case <-time.After(10 * time.Second):
			t.Fatalf("nothing is told of %s", w.dir)
		}
	}
	for i, w := range all {
		if i == 1 {
			continue
		}
		if err := os.WriteFile(dirs[i]+"/file", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		wait(w)
	}
	wait(second)
	select {
	case <-all[1].C:
		t.Error("a watch is told of what happens elsewhere")
	default:
	}
	second.close()
	drain(all[0])
	if err := os.Remove(dirs[0] + "/file"); err != nil {
		t.Fatal(err)
	}
	wait(all[0])
	for _, w := range all {
		w.close()
	}
	if got := instances(t); got != before {
		t.Errorf("%d inotify instances are left", got-before)
	}
}

// drain takes away what has been told.
func drain(w *watch) {
	for quiet := false; !quiet; {
		select {
		case <-w.C:
		case <-time.After(50 * time.Millisecond): // a file that is made and closed gives several events
			quiet = true
		}
	}
}

// TestWatchOfAnotherOfTheSameName: a directory that is removed and made again is watched again.
func TestWatchOfAnotherOfTheSameName(t *testing.T) {
	dir := t.TempDir() + "/spool"
	var old *watch
	for range 2 {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w := newWatch(dir)
		defer w.close()
		if old != nil {
			drain(w)
		}
		if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		select {
		case <-w.C:
		case <-time.After(10 * time.Second):
			t.Fatal("nothing is told")
		}
		old = w
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}
