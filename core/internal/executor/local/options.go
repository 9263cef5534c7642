// Package local runs a job's steps as processes of this machine. They see the machine's own files and programs, and the job's
// absolute paths beside them, by mounts that nobody else sees; the job's image is not used. It is for a desk, and no
// sandbox: a job can do what its user can.
//
// All that a run puts on the disk is in a private folder, which Close removes, or the helper when core is killed, or the
// next executor when the helper is killed too.
package local

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/podrunner/runner/core/internal/tool"
)

// Options say how jobs are run.
type Options struct {
	// Helper is the path of the runner-helper binary. Required.
	Helper string
	// Shell runs the commands; empty means /bin/sh.
	Shell string
	// Workdir is where jobs see their working directories, one each, named after the job's id; empty means /jobs.
	Workdir string
	// Tools are programs that jobs find at /mount: their paths, by the names that they have there.
	Tools map[string]string
	// TempDir is where the private folder is made; empty means os.TempDir().
	TempDir string
	// SpoolBytes bounds a step's output that is not acknowledged; 0 means the spool's default.
	SpoolBytes int64
	// Lifetime bounds the time that the steps of a job run, both together; 0 means no bound.
	Lifetime time.Duration
	// Grace is what a job has between TERM and KILL when its lifetime is over or core is gone; 0 means 3 s. A Cancel
	// brings its own.
	Grace time.Duration
	// XTrace has the shell print what it does.
	XTrace bool
}

const defaultGrace = 3 * time.Second

// Where a job finds things, beside its working directory.
const (
	filesDir = "/opslevel"
	toolsDir = "/mount"
	// spoolDir is where the helper finds the step's spool. The spools of the other step and of other jobs are hidden.
	spoolDir = toolsDir + "/spool"
	// outcomeDir is where the step has its outcome file, of the name outcomeName.
	outcomeDir  = toolsDir + "/outcome"
	outcomeName = "variables"
	tempDir     = "/tmp"
)

func (o Options) withDefaults() (Options, error) {
	if o.Helper == "" {
		return o, errors.New("the path of runner-helper is missing")
	}
	helper, err := filepath.Abs(o.Helper)
	if err == nil {
		_, err = os.Stat(helper)
	}
	if err != nil {
		return o, fmt.Errorf("find runner-helper: %w; it is built beside core by `make build`", err)
	}
	o.Helper = helper
	if o.Shell == "" {
		o.Shell = "/bin/sh"
	}
	if o.Workdir == "" {
		o.Workdir = "/jobs"
	}
	if o.TempDir == "" {
		o.TempDir = os.TempDir()
	}
	if o.TempDir, err = filepath.Abs(o.TempDir); err != nil {
		return o, fmt.Errorf("find the folder for temporary files: %w", err)
	}
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	o.Workdir = path.Clean(o.Workdir)
	if o.Tools, err = findTools(o.Tools); err != nil {
		return o, err
	}
	return o, checkWorkdir(o.Workdir)
}

// findTools returns the tools with absolute paths, if all of them can be run.
func findTools(tools map[string]string) (map[string]string, error) {
	found := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(tools)) {
		program, err := filepath.Abs(tools[name])
		if wrong := tool.WrongName(name); err == nil && wrong != "" {
			err = errors.New(wrong)
		}
		if err == nil {
			err = canRun(program)
		}
		if err != nil {
			return nil, fmt.Errorf("find the tool %q, which jobs are to have at %s/%s: %w", name, toolsDir, name, err)
		}
		found[name] = program
	}
	return found, nil
}

// canRun says what is wrong with a program, and what to do.
func canRun(program string) error {
	info, err := os.Stat(program)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no program at %s; put it there, or take the tool out of tools in the block local of runner.hcl", program)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no program but a %s; put the program there", program, kindOf(info.Mode()))
	case info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s is not executable; try: chmod +x %s", program, program)
	}
	return nil
}

func kindOf(mode fs.FileMode) string {
	if mode.IsDir() {
		return "folder"
	}
	return "special file"
}

// checkWorkdir refuses places where the working directories would hide what a job needs.
func checkWorkdir(dir string) error {
	if !path.IsAbs(dir) || dir == "/" {
		return fmt.Errorf("the working directory %q must be an absolute path below /", dir)
	}
	for _, taken := range []string{filesDir, toolsDir, "/proc", "/sys", "/dev"} {
		if dir == taken || strings.HasPrefix(dir, taken+"/") {
			return fmt.Errorf("the working directory %q is in %s, which is used for something else", dir, taken)
		}
	}
	return nil
}
