// Package process starts programs that outlive their starter, finds them again by what it wrote down, and ends them.
//
// A process is never signalled by its number alone: numbers are used again. What is written down is the number, the
// moment of its start, and the boot that this moment counts from; all three have to fit.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Spec is a program to start.
type Spec struct {
	Name    string   // what people call it, used in errors
	Command []string // the program and its arguments
	Log     string   // where its output is appended
	PIDFile string   // where it is written down
}

// Process is a running process that was started by this package. It holds the process itself, not its number, so that
// a signal never reaches another process. Close releases it.
type Process struct {
	PID int

	fd   int
	exit chan struct{}
}

// Start starts the program in a session of its own, with no standard input and a bare environment. It does not wait until it is ready.
func Start(s Spec) (*Process, error) {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: open its log: %w", s.Name, err)
	}
	defer log.Close() //nolint:errcheck // the child has its own copy
	cmd := exec.Command(s.Command[0], s.Command[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	// Not the environment of who happens to start it: a proxy there would be asked for the way to the node itself.
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	// Reaped here, so that one that dies while its starter waits for it does not stay behind as a zombie.
	go cmd.Wait() //nolint:errcheck // how it ended is in its log
	id, err := identify(cmd.Process.Pid)
	if err != nil {
		return nil, fmt.Errorf("start %s: it ended at once, see %s: %w", s.Name, s.Log, err)
	}
	if err := os.WriteFile(s.PIDFile, []byte(id.String()), 0o644); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: write its pid: %w", s.Name, err), cmd.Process.Kill())
	}
	p, err := open(id)
	if err == nil && p == nil {
		err = fmt.Errorf("start %s: it ended at once, see %s", s.Name, s.Log)
	}
	return p, err
}

// Find returns the process that the file tells of, or nil when it does not run any more.
func Find(pidFile string) (*Process, error) {
	b, err := os.ReadFile(pidFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	id, err := parse(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w; if no such process runs, remove the file", pidFile, err)
	}
	return open(id)
}

// open takes hold of the process and only then looks whether it is the one: in this order no other can slip in.
func open(want identity) (*Process, error) {
	fd, err := unix.PidfdOpen(want.pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take hold of process %d: %w", want.pid, err)
	}
	if got, err := identify(want.pid); err != nil || got != want {
		return nil, unix.Close(fd)
	}
	p := &Process{PID: want.pid, fd: fd, exit: make(chan struct{})}
	go p.watch()
	return p, nil
}

// watch ends when the process does, or when this program does.
func (p *Process) watch() {
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, -1)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	close(p.exit)
}

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exit }

// Stop asks the process to end, ends it by force when it has not done so after grace, and returns when it has gone.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	if err := p.signal(unix.SIGTERM); err != nil {
		return err
	}
	polite := time.NewTimer(grace)
	defer polite.Stop()
	select {
	case <-p.exit:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-polite.C:
	}
	if err := p.signal(unix.SIGKILL); err != nil {
		return err
	}
	select {
	case <-p.exit:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill ends a process of which no more is known than that it runs now, and returns when it has gone.
func Kill(pid int) error {
	id, err := identify(pid)
	if err != nil {
		return nil //nolint:nilerr // it has ended
	}
	p, err := open(id)
	if err != nil || p == nil {
		return err
	}
	if err := p.signal(unix.SIGKILL); err != nil {
		return err
	}
	<-p.exit
	return nil
}

func (p *Process) signal(s unix.Signal) error {
	if err := unix.PidfdSendSignal(p.fd, s, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", p.PID, err)
	}
	return nil
}

// identity is what tells one process from all others that had or will have its number.
type identity struct {
	pid   int
	start uint64 // in clock ticks since the boot
	boot  string
}

func (i identity) String() string { return fmt.Sprintf("%d %d %s\n", i.pid, i.start, i.boot) }

func parse(s string) (identity, error) {
	var i identity
	if _, err := fmt.Sscan(s, &i.pid, &i.start, &i.boot); err != nil {
		return i, fmt.Errorf("not a pid file of this program: %w", err)
	}
	return i, nil
}

// identify reads the identity of a process. One that has ended has none, even while it is a zombie.
func identify(pid int) (identity, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return identity{}, err
	}
	stat, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "stat"))
	if err != nil {
		return identity{}, err
	}
	// The second field, the name, may hold anything, blanks and brackets too; the last bracket ends it.
	rest := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const state, start = 0, 19 // fields 3 and 22 of proc_pid_stat(5)
	if len(rest) <= start {
		return identity{}, fmt.Errorf("process %d: short stat line", pid)
	}
	if rest[state] == "Z" || rest[state] == "X" {
		return identity{}, fmt.Errorf("process %d has ended", pid)
	}
	i := identity{pid: pid, boot: strings.TrimSpace(string(boot))}
	if _, err := fmt.Sscan(rest[start], &i.start); err != nil {
		return identity{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return i, nil
}
