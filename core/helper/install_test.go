//go:build linux

package main

import (
	"bytes"
	"errors"
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

// TestInstallTool: what is no whole program is never seen under the name of one, and a mode that is too narrow is mended.
func TestInstallTool(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, path := filepath.Join(dir, "program"), filepath.Join(dir, "mount", "opslevel-runner")
	if err := errors.Join(os.WriteFile(program, []byte("#!/bin/sh\necho here\n"), 0o600), os.Mkdir(filepath.Dir(path), 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := install(program, path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o755 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", path).Output(); err != nil || string(out) != "here\n" {
		t.Errorf("it says %q, %v", out, err)
	}
	if err := install(dir, path); err == nil {
		t.Error("a folder was installed")
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("the folder has %v, %v", left, err)
	}
}
