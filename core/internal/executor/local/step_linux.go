package local

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/podrunner/runner/core/internal/entrypoint"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/jobroot"
	"github.com/podrunner/runner/core/internal/spool"
)

// step is one step of a run. Its fields below begun are written by the supervisor: ran before begun is closed, the others
// before the run is done.
type step struct {
	name   string
	args   []string
	env    []string
	spool  string
	reader *spool.Reader
	// begun is closed when the step runs, or never will.
	begun chan struct{}
	ran   bool
	// exit is the evidence; nil when there is none, then err says why. Both are nil when the step was not to run.
	exit *spool.Exit
	err  error
}

// addStep writes the files of a step and adds it to the run.
func (r *run) addStep(name string, j *job.Job, commands []string, scope job.Scope) error {
	s := &step{
		name:  name,
		env:   environment(j.Variables, scope),
		spool: filepath.Join(r.dir, "spool-"+name),
		begun: make(chan struct{}),
	}
	script := filepath.Join(r.dir, "script-"+name+".json")
	root := filepath.Join(r.dir, "root-"+name+".json")
	if err := os.Mkdir(s.spool, 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(r.outcome(s), 0o777); err != nil {
		return err
	}
	if err := entrypoint.WriteScript(script, commands); err != nil {
		return err
	}
	if err := r.tree(s).Write(root); err != nil {
		return err
	}
	s.args = []string{
		"entrypoint", "-script", script, "-root-file", root,
		"-shell", r.opts.Shell, "-xtrace=" + strconv.FormatBool(r.opts.XTrace),
		"-workdir", path.Join(r.opts.Workdir, j.ID),
		"-outcome", path.Join(outcomeDir, outcomeName), "-spool", spoolDir, "-spool-size", strconv.FormatInt(r.opts.SpoolBytes, 10),
		"-grace", r.opts.Grace.String(), "-lifeline", "stdin", "-remove", r.dir,
	}
	var err error
	if s.reader, err = spool.NewReader(s.spool, name, 1); err != nil {
		return err
	}
	r.steps = append(r.steps, s)
	return nil
}

// tree is what the step sees of the machine.
func (r *run) tree(s *step) jobroot.Spec {
	spec := jobroot.Spec{
		Root: filepath.Join(r.dir, "root"),
		Proc: r.space.pid,
		Hide: []string{r.hidden},
		Mounts: []jobroot.Mount{
			{Target: toolsDir, ReadOnly: true},
			{Source: r.opts.Helper, Target: path.Join(toolsDir, "runner-helper"), ReadOnly: true},
			{Source: s.spool, Target: spoolDir},
			{Source: r.outcome(s), Target: outcomeDir},
			{Source: filepath.Join(r.dir, "files"), Target: filesDir, Copy: true, ReadOnly: true},
			{Source: filepath.Join(r.dir, "tmp"), Target: tempDir},
			{Source: filepath.Join(r.dir, "work"), Target: r.opts.Workdir},
		},
	}
	for _, name := range slices.Sorted(maps.Keys(r.opts.Tools)) {
		spec.Mounts = append(spec.Mounts, jobroot.Mount{Source: r.opts.Tools[name], Target: path.Join(toolsDir, name), ReadOnly: true})
	}
	return spec
}

// outcome is the directory of the step's outcome file.
func (r *run) outcome(s *step) string { return filepath.Join(r.dir, "outcome-"+s.name) }

// succeeded tells whether there is evidence that the step ended well.
func (s *step) succeeded() bool { return s.exit != nil && s.exit.Code == 0 && s.exit.Failure == "" }

// takeEvidence reads the exit record that a helper has left. ended says how the helper ended.
func (s *step) takeEvidence(ended string) {
	exit, err := spool.ReadExit(s.spool)
	switch {
	case err == nil:
		s.exit = &exit
	case errors.Is(err, spool.ErrNoExit):
		s.err = fmt.Errorf("there is no evidence of how step %q ended: runner-helper left no exit record (%s)", s.name, ended)
	default:
		s.err = fmt.Errorf("there is no evidence of how step %q ended: %w (%s)", s.name, err, ended)
	}
}
