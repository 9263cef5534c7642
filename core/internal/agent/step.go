package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/podrunner/runner/core/internal/entrypoint"
	"github.com/podrunner/runner/core/internal/spool"
)

// Names in the folder of a step.
const (
	controlName = "control"
	spoolName   = "spool"
)

const (
	// handTime bounds the handing over of what a step runs. An entrypoint reads as soon as it has connected.
	handTime = 30 * time.Second
	// cancelTime bounds the writing of a line to an entrypoint. There is room for thousands of them.
	cancelTime = time.Second
	// acceptTries is how often a connection that can't be taken is tried again: for about a minute.
	acceptTries = 36
)

// step is a step as the helper knows it. What is not said to be guarded otherwise belongs to the lock of its job.
type step struct {
	name   string
	inputs string
	spool  string
	// listener takes one connection, that of the step's entrypoint; whoever else comes to the socket finds nothing.
	listener net.Listener
	socket   string
	// connected is closed when conn is there and may be used, over when the step is.
	connected, over chan struct{}
	conn            net.Conn
	// accepting guards conn until connected is closed, closed, and skipped, which says why the step is not run.
	accepting sync.Mutex
	closed    bool
	skipped   string

	phase Phase
	exit  *spool.Exit
	// written is the number of records of a step that is gone, as far as it is known.
	written uint64
	// acked is the number of records that core needs no more; taken says that it knows how the step ended.
	acked uint64
	taken bool
	// tail is the Tail that is served; nil when none is.
	tail *tail
}

// newStep makes what the step's container finds in its folder.
func newStep(c Config, name string) (*step, error) {
	dir := filepath.Join(c.Steps, name)
	s := &step{
		name: name, inputs: c.Inputs, spool: filepath.Join(dir, spoolName), socket: filepath.Join(dir, controlName),
		phase: Waiting, connected: make(chan struct{}), over: make(chan struct{}),
	}
	// The step's user is another one. Nobody else mounts the folder.
	err := os.Mkdir(s.spool, 0o777)
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = os.Chmod(s.spool, 0o777)
	}
	if err != nil {
		return nil, fmt.Errorf("make the spool of step %q: %w", name, err)
	}
	if err := s.listen(); err != nil {
		return nil, fmt.Errorf("make the socket of step %q: %w", name, err)
	}
	return s, nil
}

// listen makes the socket. It has another name until it can be connected to, for an entrypoint waits for the name.
func (s *step) listen() error {
	temporary := s.socket + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return err
	}
	listener.SetUnlinkOnClose(false)
	if err = os.Chmod(temporary, 0o777); err == nil {
		err = os.Rename(temporary, s.socket)
	}
	if err != nil {
		return errors.Join(err, listener.Close(), os.Remove(temporary))
	}
	s.listener = listener
	return nil
}

// accept takes the connection of the step's entrypoint, until life ends.
func (s *step) accept(life context.Context, log *log.Logger) {
	conn, err := s.listener.Accept()
	for wait, tries := firstWait, 1; err != nil && tries < acceptTries; wait, tries = min(2*wait, lastWait), tries+1 {
		if errors.Is(err, net.ErrClosed) || sleep(life, wait) != nil {
			break // the job is closed
		}
		conn, err = s.listener.Accept() // what was wrong, as too many open files, may have passed
	}
	s.unlisten()
	if err != nil {
		if life.Err() == nil && !errors.Is(err, net.ErrClosed) {
			log.Printf("step %q is not run, for its connection can't be taken: %v", s.name, err)
		}
		return
	}
	s.accepting.Lock()
	defer s.accepting.Unlock()
	s.conn = conn
	switch {
	case s.closed:
		_ = conn.Close()
	case s.skipped != "":
		s.sendSkip()
	default:
		close(s.connected)
	}
}

// unlisten removes the socket. Whoever is in its queue is cut off.
func (s *step) unlisten() {
	_ = os.Remove(s.socket)
	_ = s.listener.Close()
}

// hand gives the step's entrypoint what it is to run. When it can't, the entrypoint gets no word.
func (s *step) hand() error {
	line, err := s.input()
	if err == nil {
		err = s.conn.SetWriteDeadline(time.Now().Add(handTime))
	}
	if err == nil {
		_, err = s.conn.Write(line)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("hand the step its commands: %w", err), s.conn.Close())
	}
	return nil
}

// wait waits for the end of the entrypoint. It says nothing; it closes the connection by ending.
func (s *step) wait() error {
	_, err := io.Copy(io.Discard, s.conn)
	return err
}

func (s *step) input() ([]byte, error) {
	var in entrypoint.Input
	if err := readJSON(filepath.Join(s.inputs, ScriptFile(s.name)), &in.Commands); err != nil {
		return nil, err
	}
	if err := readJSON(filepath.Join(s.inputs, VariablesFile(s.name)), &in.Env); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return in.Line()
}

func readJSON(path string, into *[]string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read what the step runs: %w", err)
	}
	if json.Unmarshal(data, into) != nil { // what is wrong would be told with a piece of it
		return fmt.Errorf("read what the step runs: %s is not a JSON array of strings", path)
	}
	return nil
}

// skip tells the step's entrypoint, when it comes, that there is nothing to do.
func (s *step) skip(why string) {
	s.accepting.Lock()
	defer s.accepting.Unlock()
	s.skipped = why
	if s.conn != nil {
		s.sendSkip()
	}
}

// sendSkip lets the entrypoint go. The caller holds the lock.
func (s *step) sendSkip() {
	if line, err := (entrypoint.Input{Skip: s.skipped}).Line(); err == nil {
		_, _ = s.conn.Write(line) // one that is gone needs no word
	}
	_ = s.conn.Close()
}

// cancel has the entrypoint end the step. The step has been handed its input.
func (s *step) cancel(grace time.Duration) {
	if s.conn.SetWriteDeadline(time.Now().Add(cancelTime)) == nil {
		_, _ = io.WriteString(s.conn, entrypoint.CancelLine(grace)) // one that is gone has ended
	}
}

// close lets go of the step. One that runs ends when it sees that.
func (s *step) close() {
	s.unlisten()
	s.accepting.Lock()
	defer s.accepting.Unlock()
	s.closed = true
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// fetched tells whether core has all there is of the step, as far as there is a core: one that reads a step that was not
// run is told so, but not waited for.
func (s *step) fetched() bool {
	switch s.phase {
	case Ended:
		return s.taken && s.acked >= s.exit.Records
	case Gone:
		return s.taken && s.acked >= s.written || s.nothingWritten()
	case Skipped:
		return s.taken || s.tail == nil
	}
	return false
}

// nothingWritten tells whether the step ended before it made a spool, or has removed it.
func (s *step) nothingWritten() bool {
	files, err := os.ReadDir(s.spool)
	return len(files) == 0 && (err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR))
}
