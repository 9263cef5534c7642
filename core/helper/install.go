package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// runInstall copies this program to a path, for the containers of the steps, whose images do not have it. It appears whole.
func runInstall(args []string, stderr io.Writer) int {
	if len(args) != 1 {
		_, _ = fmt.Fprintln(stderr, "runner-helper install: name the path to copy this program to")
		return codeUsage
	}
	if err := install(args[0]); err != nil {
		_, _ = fmt.Fprintln(stderr, "runner-helper:", err)
		return codeFailed
	}
	return 0
}

func install(path string) error {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("open this program: %w", err)
	}
	defer func() { _ = self.Close() }()
	temporary := path + ".new"
	to, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return fmt.Errorf("install this program: %w", err)
	}
	_, err = io.Copy(to, self)
	err = errors.Join(err, to.Chmod(0o755), to.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("install this program: %w", err), os.Remove(temporary))
	}
	return nil
}
