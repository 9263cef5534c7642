// Package jobroot has the file tree of a job that runs on this machine: the machine's own tree, with the job's absolute
// paths put in by mounts that only the job sees. Core says what the tree is like, the helper makes it and enters it.
package jobroot

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Spec says what the tree is like.
type Spec struct {
	// Root is an empty directory over which the tree is mounted.
	Root string `json:"root"`
	// Proc asks for a /proc of the process's own namespace; else it sees the machine's.
	Proc bool `json:"proc"`
	// Mounts are made in order, on top of the machine's tree. They hide what the machine has at their targets.
	Mounts []Mount `json:"mounts"`
	// Hide are directories of the machine that are empty in the tree.
	Hide []string `json:"hide"`
}

// Mount is one part of the tree.
type Mount struct {
	// Source is a file or a directory of the machine; empty for a directory in memory.
	Source string `json:"source,omitempty"`
	// Target is an absolute path in the tree. What it takes to get there is made in memory, never on the machine's disk.
	Target string `json:"target"`
	// Copy asks for a directory in memory with copies of the files in Source, mode 0777: they can be run even where
	// Source is mounted noexec.
	Copy     bool `json:"copy,omitempty"`
	ReadOnly bool `json:"read_only,omitempty"`
}

// Write writes the spec to a file that only its owner can read.
func (s Spec) Write(path string) error {
	data, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write root file: %w", err)
	}
	return nil
}

// Read reads what Write wrote.
func Read(path string) (Spec, error) {
	var s Spec
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return Spec{}, fmt.Errorf("read root file: %w", err)
	}
	return s, nil
}

// Remove removes name in dir with all that is in it, also from directories that may not be written to, as a Go module
// cache has them. What is not there is no error.
func Remove(dir *os.Root, name string) error {
	err := dir.RemoveAll(name)
	if err == nil {
		return nil
	}
	_ = fs.WalkDir(dir.FS(), filepath.ToSlash(name), func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && err == nil {
			err = dir.Chmod(path, 0o700)
		}
		// What can't be opened up shows when it can't be removed.
		if err != nil {
			return fs.SkipDir
		}
		return nil
	})
	if again := dir.RemoveAll(name); again != nil {
		return fmt.Errorf("remove %s: %w", filepath.Join(dir.Name(), name), again)
	}
	return nil
}
