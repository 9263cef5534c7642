package pluginhost

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// The output of a process that is gone is read to its end. Only a descendant that has left the process group and holds
// the pipes open keeps that end from coming; then reading stops when nothing has come for drainTime, or when more has
// come than a pipe holds.
const (
	drainTime  = 100 * time.Millisecond
	drainBytes = 128 << 10
)

// program is what a child runs.
type program struct {
	path string   // what is shown, and executed unless file is set
	file *os.File // the program that was verified; the child's start closes it
	env  []string
	// scratch is a private directory, for a copy of file where an open file can't be executed.
	scratch string
}

// child is a process that leads a process group of its own. It dies with core: its standard input ends then, which the
// SDK heeds on every system, and on Linux the kernel kills it.
type child struct {
	cmd *exec.Cmd
	// lifeline is our end of its standard input. Nothing is ever written to it.
	lifeline *os.File

	// gone is closed when the process is reaped, its group is killed, and its output is read to the end.
	gone chan struct{}

	mu     sync.Mutex
	reaped bool // the process id and the group's may be another's by now
}

// startChild starts a process and copies what it writes to stdout and stderr, which are closed at the end.
func startChild(prog program, stdout, stderr io.WriteCloser) (*child, error) {
	if prog.file != nil {
		defer func() { _ = prog.file.Close() }()
	}
	var pipes pipes
	defer pipes.close()
	in, lifeline := pipes.open()
	outR, out := pipes.open()
	errR, errW := pipes.open()
	if pipes.err != nil {
		return nil, fmt.Errorf("making pipes: %w", pipes.err)
	}
	cmd := &exec.Cmd{Path: prog.path, Args: []string{prog.path}, Env: prog.env, Stdin: in, Stdout: out, Stderr: errW}
	setGroup(cmd)
	if prog.file != nil {
		if err := executeFile(cmd, prog); err != nil {
			return nil, err
		}
	}
	c := &child{cmd: cmd, lifeline: lifeline, gone: make(chan struct{})}

	var readers sync.WaitGroup
	readers.Add(1) // held until both outputs have a reader
	started := make(chan error)
	go c.keep(started, &readers, outR, errR)
	if err := <-started; err != nil {
		return nil, err
	}
	pipes.give(lifeline, outR, errR)
	copyOutput(&readers, stdout, outR)
	copyOutput(&readers, stderr, errR)
	readers.Done()
	return c, nil
}

// keep starts the process and stays until it has ended. The thread is locked because Pdeathsig acts when the thread
// ends that started the process, not when core does; an unlocked thread may end at any time.
func (c *child) keep(started chan<- error, readers *sync.WaitGroup, outputs ...*os.File) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := c.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	// As long as the process is not reaped, its id and its group's are no one else's, so the group is killed before.
	early := awaitEnd(c.cmd.Process.Pid)
	if early {
		c.signal(syscall.SIGKILL)
	}
	c.mu.Lock()
	c.reaped = early
	c.mu.Unlock()
	_ = c.cmd.Wait() // how it ended is in cmd.ProcessState
	if !early {
		killGroup(c.cmd.Process)
		c.mu.Lock()
		c.reaped = true
		c.mu.Unlock()
	}
	for _, output := range outputs {
		_ = output.SetReadDeadline(time.Now())
	}
	readers.Wait()
	_ = c.lifeline.Close()
	close(c.gone)
}

func copyOutput(readers *sync.WaitGroup, to io.WriteCloser, from *os.File) {
	readers.Go(func() {
		copyToEnd(to, from)
		_ = from.Close()
		_ = to.Close()
	})
}

// copyToEnd copies until the end. The first deadline that is met says that the process is gone.
func copyToEnd(to io.Writer, from *os.File) {
	buf := make([]byte, 32<<10)
	gone, came := false, 0
	for left := drainBytes; left > 0; {
		n, err := from.Read(buf)
		_, _ = to.Write(buf[:n]) // a lineWriter's, which never fails
		came += n
		if gone {
			left -= n
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || (gone && came == 0) {
			return
		}
		gone, came = true, 0
		_ = from.SetReadDeadline(time.Now().Add(drainTime))
	}
}

// signal sends a signal to the whole group, if the process is still ours.
func (c *child) signal(sig syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		signalGroup(c.cmd.Process, sig)
	}
}

// end makes the process go: its input ends, TERM, and after grace KILL. It returns when the process is gone.
func (c *child) end(grace time.Duration) {
	_ = c.lifeline.Close()
	c.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.gone:
	case <-timer.C:
		c.kill()
		<-c.gone
	}
}

// kill makes the process and its group go at once.
func (c *child) kill() { c.signal(syscall.SIGKILL) }

// pid is the id of the process, for log lines.
func (c *child) pid() int { return c.cmd.Process.Pid }

// how says how the process ended; it must be gone.
func (c *child) how() string {
	state := c.cmd.ProcessState
	if state == nil {
		return "ended in an unknown way"
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		text := fmt.Sprintf("was killed by signal %d (%s)", status.Signal(), status.Signal())
		if status.Signal() == syscall.SIGKILL {
			text += ", by someone else than core; perhaps it had used too much memory"
		}
		return text
	}
	return fmt.Sprintf("exited with code %d", state.ExitCode())
}

// exitCode returns the exit code, -1 after a signal; the process must be gone.
func (c *child) exitCode() int { return c.cmd.ProcessState.ExitCode() }

// pipes opens pipes and closes all ends that nobody has taken.
type pipes struct {
	ends []*os.File
	err  error
}

func (p *pipes) open() (r, w *os.File) {
	if p.err != nil {
		return nil, nil
	}
	r, w, p.err = os.Pipe()
	if p.err == nil {
		p.ends = append(p.ends, r, w)
	}
	return r, w
}

// give says that ends are now someone else's to close.
func (p *pipes) give(taken ...*os.File) {
	for _, file := range taken {
		for i, end := range p.ends {
			if end == file {
				p.ends[i] = nil
			}
		}
	}
}

func (p *pipes) close() {
	for _, end := range p.ends {
		if end != nil {
			_ = end.Close()
		}
	}
}
