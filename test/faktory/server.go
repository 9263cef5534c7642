// Package faktory runs a real Faktory server, with the Redis that it brings up itself, for tests and for people who try
// Runner at their desk. It can be killed and started again on what it has stored, and a Proxy in front of it can disturb
// whatever talks to it.
package faktory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// readyTimeout bounds the start of a server: a second or two, on a machine with nothing else to do.
const readyTimeout = 30 * time.Second

// Options say how a server is run.
type Options struct {
	// Program is the path of the server's binary; `make faktory` builds it.
	Program string
	// Dir is where it stores what it has to keep. The path must be short: there is a socket in it.
	Dir string
	// Address is that of the commands, Web that of the page for people; empty: one that is free.
	Address, Web string
	// Log takes what the server says.
	Log io.Writer
}

// Server is a Faktory server.
type Server struct {
	Options
	process *exec.Cmd
	// ended is closed when the process has ended.
	ended chan struct{}
}

// Start starts a server and waits until it is up.
func Start(ctx context.Context, o Options) (*Server, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, fmt.Errorf("a Faktory server needs redis-server: %w; `make redis` installs it on Debian", err)
	}
	// Somebody else may take an address that was free a moment ago.
	for range 3 {
		s := &Server{Options: o}
		err := s.findAddresses()
		if err == nil {
			err = s.Restart(ctx)
		}
		if err == nil {
			return s, nil
		}
		if o.Address != "" && o.Web != "" || !strings.Contains(err.Error(), syscall.EADDRINUSE.Error()) {
			return nil, err
		}
	}
	return nil, errors.New("no address stays free for a Faktory server")
}

// findAddresses finds free addresses where none are given, and sees that those given are free: the server says that its page
// is there before it is, and what answers then may be somebody else.
func (s *Server) findAddresses() (err error) {
	for _, address := range []*string{&s.Address, &s.Web} {
		if *address == "" {
			*address, err = freeAddress()
		} else {
			err = isFree(*address)
		}
		if err != nil {
			return fmt.Errorf("find addresses for the Faktory server: %w", err)
		}
	}
	return nil
}

// URL is what clients connect to.
func (s *Server) URL() string { return "tcp://" + s.Address }

// PID is the server's process; its Redis is a child of it.
func (s *Server) PID() int { return s.process.Process.Pid }

// Restart starts a server that was stopped or killed, at the same addresses, with what it had stored.
func (s *Server) Restart(ctx context.Context) error {
	s.process = exec.Command(s.Program, "-b", s.Address, "-w", s.Web, "-d", filepath.Join(s.Dir, "db"), "-c", s.Dir, "-e", "development")
	says := newBoot(s.Log)
	s.process.Stdout, s.process.Stderr = says, says
	// Whoever has inherited its output does not keep anybody waiting.
	s.process.WaitDelay = time.Second
	// A group of its own: its Redis is found by it when the server itself was killed.
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := s.process.Start(); err != nil {
		s.process = nil
		return fmt.Errorf("start the Faktory server: %w", err)
	}
	process, ended := s.process, make(chan struct{})
	s.ended = ended
	go func() {
		defer close(ended)
		_ = process.Wait() // what it has said tells more
	}()
	err := s.up(ctx, says)
	if err != nil {
		err = errors.Join(fmt.Errorf("start the Faktory server at %s and %s: %w", s.Address, s.Web, err), s.Stop())
	}
	return err
}

// up waits until the server listens, and its page answers.
func (s *Server) up(ctx context.Context, says *boot) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	select {
	case <-says.ready:
	case <-s.ended:
		return errors.Join(errors.New("it has ended"), says.complaints())
	case <-ctx.Done():
		return errors.Join(ctx.Err(), says.complaints())
	}
	for {
		_, err := s.State()
		if err == nil || says.complaints() != nil {
			return says.complaints()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("its page does not answer: %w", err)
		case <-time.After(20 * time.Millisecond): // nothing tells when a port is there
		}
	}
}

// Stop ends the server in order, and its Redis with it.
func (s *Server) Stop() error { return s.end(syscall.SIGTERM) }

// Kill ends the server on the spot. Its Redis, which would stay, is ended so that it keeps what it has: a machine that
// loses its disk is not what is tested.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

func (s *Server) end(signal syscall.Signal) error {
	if s.process == nil {
		return nil
	}
	process := s.process.Process
	s.process = nil
	err := process.Signal(signal)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil // it has ended by itself
	}
	if signal != syscall.SIGKILL {
		<-s.ended // it ends its Redis itself
	}
	for range 500 {
		if syscall.Kill(-process.Pid, syscall.SIGTERM) != nil {
			<-s.ended
			return err
		}
		time.Sleep(20 * time.Millisecond) // nothing tells when somebody else's child is gone
	}
	return errors.Join(err, errors.New("the Redis of the Faktory server does not end"))
}

func isFree(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return listener.Close()
}

// freeAddress finds a port that nobody has, below those that the kernel gives to clients: one of those could be gone by
// the time that the server wants it.
func freeAddress() (string, error) {
	for {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 15_000+rand.N(15_000))) //nolint:gosec // no secret
		if err == nil {
			return listener.Addr().String(), listener.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return "", err
		}
	}
}
