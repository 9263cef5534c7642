//go:build !linux

package pluginhost

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// dieWithCore does nothing: the end of a plugin's input is what it has to go by.
func dieWithCore(*syscall.SysProcAttr) {}

// awaitEnd reports that a process can't be awaited without reaping it.
func awaitEnd(int) bool { return false }

// executeFile has cmd execute a copy of the open file, in a directory that only this user can write to.
func executeFile(cmd *exec.Cmd, prog program) error {
	if _, err := prog.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the program again: %w", err)
	}
	path := filepath.Join(prog.scratch, filepath.Base(prog.path))
	copied, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return fmt.Errorf("copying the program: %w", err)
	}
	_, err = io.Copy(copied, prog.file)
	if closed := copied.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("copying the program: %w", err)
	}
	cmd.Path = path
	return nil
}
