//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestInstall installs twice, the second time over a program that runs, with a umask that lets nobody else in.
func TestInstall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "helper")
	want, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	install := []string{"sh", "-c", `umask 077; exec "$0" install "$1"`, binary, path}
	for range 2 {
		if out, err := exec.CommandContext(t.Context(), install[0], install[1:]...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%v: %s", err, out)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o755 {
			t.Errorf("its mode is %v, %v", info.Mode(), err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("it has %d bytes, not the %d of the program; %v", len(got), len(want), err)
		}
		install[3] = path // it installs itself
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("the folder has %v, %v", left, err)
	}
}
