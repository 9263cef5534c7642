//go:build linux

package local

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/podrunner/runner/core/internal/job"
)

// asCore names the environment variable that makes this test binary run a job as core does, in the folder it holds, until
// it is killed.
const asCore = "RUNNER_TEST_AS_CORE"

func runAsCore() {
	e, err := New(Options{Helper: os.Getenv(asUser), TempDir: os.Getenv(asCore), Grace: 50 * time.Millisecond})
	if err != nil {
		println(err.Error())
		return
	}
	r, err := e.Start(context.Background(), &job.Job{ID: "1", Image: "x", Commands: []string{
		"mkfifo fifo", "(trap '' TERM; sleep 1000 & setsid sleep 1000 & " + hold + "; cat) ",
	}})
	if err != nil {
		println(err.Error())
		return
	}
	started, ok := r.(*run)
	if !ok {
		return
	}
	println(started.dir)
	for {
		if _, err := r.Next(context.Background()); err != nil {
			select {}
		}
	}
}

// TestCoreIsKilled kills a core with SIGKILL while its job runs.
func TestCoreIsKilled(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	core := exec.CommandContext(deadline(t), "/proc/self/exe")
	core.Env = append(os.Environ(), asCore+"="+temp, asUser+"="+helperPath)
	said, err := core.StderrPipe()
	if err == nil {
		err = core.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	dir, err := bufio.NewReader(said).ReadString('\n')
	if dir = strings.TrimSpace(dir); err != nil || !strings.HasPrefix(dir, temp) {
		t.Fatalf("core says %q, %v", dir, err)
	}
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		err = watcher.Add(filepath.Dir(dir))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watcher.Close() }()
	// Opening a FIFO for reading waits for the job to open it.
	fifo := filepath.Join(dir, "work", "1", "fifo")
	awaitFile(t, filepath.Join(dir, "work"), fifo)
	end, err := os.OpenFile(fifo, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := &holder{t: t, end: end}
	defer func() { _ = end.Close() }()
	if err := core.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = core.Wait()
	h.gone()
	for gone := false; !gone; {
		select {
		case ev := <-watcher.Events:
			gone = ev.Name == dir && ev.Has(fsnotify.Remove)
		case <-deadline(t).Done():
			t.Fatalf("the run's folder is left: %v", tree(t, temp))
		}
	}
	// The executor's folder is empty, and the next executor takes it away.
	e, err := New(Options{Helper: helperPath, TempDir: temp})
	if err != nil {
		t.Fatal(err)
	}
	if left := tree(t, temp); len(left) != 1 || left[0] != e.folder.path {
		t.Errorf("left are %v", left)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// awaitFile waits for a file one directory below dir.
func awaitFile(t *testing.T, dir, path string) {
	t.Helper()
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		err = watcher.Add(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watcher.Close() }()
	ctx := deadline(t)
	for {
		_ = watcher.Add(filepath.Dir(path)) // as soon as it is there
		if _, err := os.Lstat(path); err == nil {
			return
		}
		select {
		case <-watcher.Events:
		case <-ctx.Done():
			t.Fatalf("%s does not come", path)
		}
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	newOne := func() *Executor {
		e, err := New(Options{Helper: helperPath, TempDir: temp})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	alive := newOne()
	dead := newOne()
	if err := os.WriteFile(filepath.Join(dead.folder.path, "output"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := dead.folder.lock.Close(); err != nil { // as when its process ends
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"runner-local-open": 0o755, "other": 0o700} {
		if err := os.Mkdir(filepath.Join(temp, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(alive.folder.path, filepath.Join(temp, "runner-local-link")); err != nil {
		t.Fatal(err)
	}
	e := newOne()
	for path, want := range map[string]bool{
		alive.folder.path: true, dead.folder.path: false, e.folder.path: true,
		filepath.Join(temp, "runner-local-open"): true, filepath.Join(temp, "other"): true,
		filepath.Join(temp, "runner-local-link"): true,
	} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := errors.Join(e.Close(), alive.Close()); err != nil {
		t.Error(err)
	}
}
