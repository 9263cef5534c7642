package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podrunner/runner/core/internal/jobroot"
	"github.com/podrunner/runner/core/internal/spool"
)

// forwarded are the signals that the step's processes get too.
var forwarded = []os.Signal{
	unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2,
}

// Run runs the step to its end and returns the exit code for the process to end with. An error says why there is no exit
// record, or what is wrong beside it. Run is for a process of its own: it takes over its signals and its children.
func Run(c Config) (int, error) {
	// The shell is to be killed when this thread ends (Pdeathsig), so the thread must last.
	runtime.LockOSThread()
	signals := make(chan os.Signal, 2*len(forwarded))
	signal.Notify(signals, forwarded...)
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)

	input, lifeline, err := receive(c, signals)
	switch {
	case errors.Is(err, errTold):
		return codeTold, nil
	case err != nil:
		return CodeBroken, err
	case input.Skip != "":
		return 0, nil
	}
	remove, err := remover(c.Remove)
	if err != nil {
		return CodeBroken, err
	}
	if err := enter(c.Root); err != nil {
		return CodeBroken, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return CodeBroken, fmt.Errorf("become the parent of the step's orphans: %w", err)
	}
	out, err := spool.NewWriter(c.Spool, spool.Options{Bytes: c.SpoolBytes, Shared: c.Shared})
	if err != nil {
		return CodeBroken, err
	}
	s := &step{grace: c.Grace, out: out, signals: signals, children: children, remove: remove, contained: c.Control != ""}
	if err := s.start(c, input); err != nil {
		return s.refuse(err)
	}
	if lifeline != nil {
		s.lifeline = followLifeline(lifeline)
	}
	s.follow()
	return s.finish()
}

// remover opens the way to a directory that is to be removed when the root may be another.
func remover(dir string) (func() error, error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	parent, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return nil, fmt.Errorf("open what is to be removed at the end: %w", err)
	}
	return func() error { return jobroot.Remove(parent, filepath.Base(dir)) }, nil
}

func enter(rootFile string) error {
	if rootFile == "" {
		return nil
	}
	spec, err := jobroot.Read(rootFile)
	if err != nil {
		return err
	}
	return spec.Enter()
}

// start starts the shell and the pumps.
func (s *step) start(c Config, input Input) error {
	if err := os.MkdirAll(c.Workdir, 0o777); err != nil {
		return fmt.Errorf("make the working directory: %w", err)
	}
	env := environment(os.Environ(), input.Env)
	if err := setPath(env); err != nil {
		return err
	}
	env, err := s.offerOutcome(c.Outcome, env)
	if err != nil {
		return err
	}
	path, err := exec.LookPath(c.Shell)
	if err != nil {
		return fmt.Errorf("find the shell: %w", err)
	}
	how := invoke(c.Shell, input.Commands, c.XTrace)
	files, err := openFiles(how.file)
	if err != nil {
		return err
	}
	defer files.closeChild()
	s.started = time.Now()
	s.shell, err = syscall.ForkExec(path, how.args, &syscall.ProcAttr{
		Dir: c.Workdir, Env: env, Files: files.child(),
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		s.started = time.Time{}
		files.closeParent()
		if errors.Is(err, syscall.E2BIG) {
			err = errTooLong
		}
		return fmt.Errorf("start the shell %q in %s: %w", c.Shell, c.Workdir, err)
	}
	s.pump(files.out, files.err)
	return nil
}

// pump starts to read the shell's output.
func (s *step) pump(stdout, stderr *os.File) {
	s.pipes = []*os.File{stdout, stderr}
	s.pumped, s.failed = make(chan struct{}, len(s.pipes)), make(chan error, len(s.pipes))
	var ctx context.Context
	ctx, s.drop = context.WithCancel(context.Background())
	s.readOutcome = func(done chan<- error) { done <- s.outcome.copy(ctx, s.out) }
	for _, p := range newPumps(stdout, stderr, s.out, func(err error) { s.failed <- err }) {
		go func() {
			p.run(ctx)
			s.pumped <- struct{}{}
		}()
	}
}

// refuse ends a step whose shell could not be started.
func (s *step) refuse(err error) (int, error) {
	code := CodeNotExecutable
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		code = CodeNotFound
	}
	return code, s.out.Finish(spool.Exit{
		Code: code, Finished: time.Now(), Failure: spool.FailureStart, Error: err.Error(),
	})
}

// files are the descriptors of a shell.
type files struct {
	null, out, outChild, err, errChild, script *os.File
}

func openFiles(script string) (*files, error) {
	f := &files{}
	var errs [4]error
	f.null, errs[0] = os.Open(os.DevNull)
	f.out, f.outChild, errs[1] = os.Pipe()
	f.err, f.errChild, errs[2] = os.Pipe()
	if script != "" {
		f.script, errs[3] = memoryFile(script)
	}
	if err := errors.Join(errs[:]...); err != nil {
		f.closeChild()
		f.closeParent()
		return nil, fmt.Errorf("open the shell's files: %w", err)
	}
	return f, nil
}

func (f *files) child() []uintptr {
	fds := []uintptr{f.null.Fd(), f.outChild.Fd(), f.errChild.Fd()}
	if f.script != nil {
		fds = append(fds, f.script.Fd()) // the place of scriptFD
	}
	return fds
}

func (f *files) closeChild() {
	for _, file := range []*os.File{f.null, f.outChild, f.errChild, f.script} {
		if file != nil {
			_ = file.Close()
		}
	}
}

func (f *files) closeParent() {
	for _, file := range []*os.File{f.out, f.err} {
		if file != nil {
			_ = file.Close()
		}
	}
}

// memoryFile returns a file with the text that is on no disk.
func memoryFile(text string) (*os.File, error) {
	fd, err := unix.MemfdCreate("script", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "script")
	if _, err := strings.NewReader(text).WriteTo(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func readNow(fd uintptr, b []byte) (int, error) { return unix.Read(int(fd), b) }
