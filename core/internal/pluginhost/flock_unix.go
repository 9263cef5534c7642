//go:build unix

package pluginhost

import (
	"os"

	"golang.org/x/sys/unix"
)

// flock takes the lock of an open file for this process, or fails at once.
func flock(file *os.File) error {
	return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}
