package pluginhost

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// socketPrefix is how the names of our directories begin. It is short, because the path of a Unix socket is.
const socketPrefix = "rnr-"

// socketTail is the longest that go-plugin and a plugin put behind the path of our directory: a directory and a socket,
// both with a random number of up to ten digits.
const socketTail = len("/plugin-dir") + 10 + len("/plugin") + 10

// socketLimit is the longest path of a Unix socket, in bytes without the final NUL.
func socketLimit() int {
	if runtime.GOOS == "linux" {
		return 107
	}
	return 103
}

// socketDir is the directory, for this user only, in which the plugins make their sockets. It is locked for as long as
// this process lives; the lock of a core that was killed is gone, and the next core sweeps its directory away.
type socketDir struct {
	path string
	lock *os.File
}

// newSocketDir makes the directory in parent, after it has swept those of cores that are gone.
func newSocketDir(parent string, logger hclog.Logger) (*socketDir, error) {
	const random = 10 // os.MkdirTemp's digits
	if most, limit := len(parent)+1+len(socketPrefix)+random+socketTail, socketLimit(); most > limit {
		return nil, fmt.Errorf("making a directory for plugin sockets in %s: a socket's path would have up to %d bytes, and the system allows %d;"+
			" set TMPDIR to a shorter path", parent, most, limit)
	}
	sweepSocketDirs(parent, logger)
	for {
		path, err := os.MkdirTemp(parent, socketPrefix)
		if err != nil {
			return nil, fmt.Errorf("making a directory for plugin sockets: %w; set TMPDIR to a directory that core may write to", err)
		}
		// Another core that sweeps at this moment may have taken the new directory for a stale one. Then it has the
		// lock, or the directory is gone: make another one.
		if lock := tryLock(path); lock != nil {
			return &socketDir{path: path, lock: lock}, nil
		}
	}
}

func (d *socketDir) remove() error {
	defer func() { _ = d.lock.Close() }()
	if err := os.RemoveAll(d.path); err != nil {
		return fmt.Errorf("removing the directory of plugin sockets: %w", err)
	}
	return nil
}

// sweepSocketDirs removes what cores have left behind that were killed. Those of other users can't be opened and stay.
func sweepSocketDirs(parent string, logger hclog.Logger) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return // making ours in it says why
	}
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), socketPrefix) {
			continue
		}
		path := filepath.Join(parent, entry.Name())
		lock := tryLock(path)
		if lock == nil {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			logger.Debug("a stale directory of plugin sockets could not be removed", "path", path, "error", err)
		}
		_ = lock.Close()
	}
}

// tryLock opens and locks a directory of ours. It returns nil when it is not ours, is gone, or is another process's.
func tryLock(path string) *os.File {
	dir, err := os.Open(path)
	if err != nil {
		return nil
	}
	if private(dir) && flock(dir) == nil && isAt(dir, path) {
		return dir
	}
	_ = dir.Close()
	return nil
}

// private reports whether nobody but the owner may use the directory.
func private(dir *os.File) bool {
	info, err := dir.Stat()
	return err == nil && info.IsDir() && (runtime.GOOS == "windows" || info.Mode().Perm() == 0o700)
}

// isAt reports whether the open directory is still the one at path.
func isAt(dir *os.File, path string) bool {
	open, err := dir.Stat()
	if err != nil {
		return false
	}
	var now fs.FileInfo
	now, err = os.Lstat(path)
	return err == nil && os.SameFile(open, now)
}
