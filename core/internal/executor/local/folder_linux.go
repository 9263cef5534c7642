package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podrunner/runner/core/internal/jobroot"
)

// folderPrefix is how the names of the private folders begin.
const folderPrefix = "runner-local-"

// folder is the private folder of one executor. It holds a lock on it for as long as its process lives; a folder that can be
// locked belongs to nobody.
type folder struct {
	path   string
	parent *os.Root
	lock   *os.File
}

// newFolder makes a folder in dir, after it has removed those that dead executors of this user have left there.
func newFolder(dir string) (*folder, error) {
	parent, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder for temporary files: %w; set TMPDIR to a folder that core may write to", err)
	}
	sweep(parent)
	for {
		path, err := os.MkdirTemp(dir, folderPrefix)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make a temporary folder: %w; set TMPDIR to a folder that core may write to", err), parent.Close())
		}
		lock, err := lockFolder(parent, filepath.Base(path))
		if err == nil {
			return &folder{path: path, parent: parent, lock: lock}, nil
		}
		if !errors.Is(err, errTaken) {
			return nil, errors.Join(err, parent.Close())
		}
		// Another executor's sweep was faster than our lock: the folder is gone.
	}
}

// remove removes the folder and gives up the lock.
func (f *folder) remove() error {
	err := jobroot.Remove(f.parent, filepath.Base(f.path))
	return errors.Join(err, f.lock.Close(), f.parent.Close())
}

// sweep removes the folders that belong to nobody. What can't be removed is left to its owner.
func sweep(parent *os.Root) {
	dir, err := parent.Open(".")
	if err != nil {
		return
	}
	names, _ := dir.Readdirnames(-1)
	_ = dir.Close()
	for _, name := range names {
		if !strings.HasPrefix(name, folderPrefix) || !ours(parent, name) {
			continue
		}
		if lock, err := lockFolder(parent, name); err == nil {
			_ = jobroot.Remove(parent, name)
			_ = lock.Close()
		}
	}
}

// ours tells whether name is a folder that an executor of this user made: whatever else bears the name is not touched.
func ours(parent *os.Root, name string) bool {
	info, err := parent.Lstat(name)
	if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// errTaken says that somebody else has the lock on a folder, or has removed it.
var errTaken = errors.New("the folder is taken")

func lockFolder(parent *os.Root, name string) (*os.File, error) {
	f, err := parent.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errTaken
	}
	if err != nil {
		return nil, fmt.Errorf("lock temporary folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errTaken
		}
		return nil, fmt.Errorf("lock temporary folder: %w", err)
	}
	// It may have been removed between the two.
	held, err := f.Stat()
	now, lerr := parent.Lstat(name)
	if err != nil || lerr != nil || !os.SameFile(held, now) {
		_ = f.Close()
		return nil, errTaken
	}
	return f, nil
}
