package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/podrunner/runner/core/internal/entrypoint"
	"github.com/podrunner/runner/core/internal/spool"
)

// Names in the folder of a step.
const (
	controlName = "control"
	spoolName   = "spool"
)

// step is a step as the helper knows it. What is not said to be its own belongs to the lock of its job.
type step struct {
	name   string
	inputs string
	spool  string
	// listener takes one connection, that of the step's entrypoint; whoever else comes finds nothing. The socket has
	// another name until it listens.
	listener net.Listener
	// connected is closed when conn is there, over when the step is.
	connected, over chan struct{}
	conn            net.Conn
	// once guards conn, between whoever brings it and whoever closes it.
	once    sync.Mutex
	closed  bool
	skipped bool

	phase Phase
	exit  *spool.Exit
	acked uint64
	told  bool
	// tail ends the Tail that is served; nil when none is.
	tail func()
}

func newStep(c Config, name string) (*step, error) {
	dir := filepath.Join(c.Steps, name)
	s := &step{
		name: name, inputs: c.Inputs, spool: filepath.Join(dir, spoolName), phase: Waiting,
		connected: make(chan struct{}), over: make(chan struct{}),
	}
	// The step's user is another one. Nobody else mounts the folder.
	if err := os.Mkdir(s.spool, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the spool of step %q: %w", name, err)
	}
	if err := os.Chmod(s.spool, 0o777); err != nil {
		return nil, fmt.Errorf("make the spool of step %q: %w", name, err)
	}
	path := filepath.Join(dir, controlName)
	listener, err := net.Listen("unix", path+".new")
	if err != nil {
		return nil, fmt.Errorf("make the socket of step %q: %w", name, err)
	}
	s.listener = listener
	if err = os.Chmod(path+".new", 0o777); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the socket of step %q: %w", name, err), listener.Close())
	}
	return s, nil
}

// accept takes the connection of the step's entrypoint.
func (s *step) accept() {
	conn, err := s.listener.Accept()
	_ = s.listener.Close()
	if err != nil {
		return // the job is closed
	}
	s.once.Lock()
	defer s.once.Unlock()
	s.conn = conn
	switch {
	case s.closed:
		_ = conn.Close()
	case s.skipped:
		s.sendSkip()
	default:
		close(s.connected)
	}
}

// run hands the step its input and waits for it to end. The error says why it was not handed.
func (s *step) run() error {
	input, err := s.input()
	if err == nil {
		_, err = s.conn.Write(input)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("hand the step its commands: %w", err), s.conn.Close())
	}
	// It says nothing; it closes the connection by ending.
	_, err = io.Copy(io.Discard, s.conn)
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
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return fmt.Errorf("read what the step runs: %w", err)
	}
	return nil
}

// skip tells the step's entrypoint, when it comes, that there is nothing to do.
func (s *step) skip() {
	s.once.Lock()
	defer s.once.Unlock()
	s.skipped = true
	if s.conn != nil {
		s.sendSkip()
	}
}

func (s *step) sendSkip() {
	if line, err := (entrypoint.Input{Skip: true}).Line(); err == nil {
		_, _ = s.conn.Write(line) // one that is gone needs no word
	}
	_ = s.conn.Close()
}

// cancel has the entrypoint end the step.
func (s *step) cancel(grace time.Duration) {
	_, _ = io.WriteString(s.conn, entrypoint.CancelLine(grace)) // one that is gone has ended
}

func (s *step) close() {
	_ = s.listener.Close()
	s.once.Lock()
	defer s.once.Unlock()
	s.closed = true
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// fetched tells whether core has all there is of the step.
func (s *step) fetched() bool {
	switch s.phase {
	case Ended:
		return s.acked >= s.exit.Records && (s.told || s.exit.Records > 0)
	case Gone:
		return s.told
	}
	return s.phase == Skipped
}
