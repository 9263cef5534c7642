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
	"os/exec"
	"path/filepath"
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
}

// Start starts a server and waits until it answers.
func Start(ctx context.Context, o Options) (*Server, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, fmt.Errorf("a Faktory server needs redis-server: %w; `make redis` installs it on Debian", err)
	}
	var err error
	for _, address := range []*string{&o.Address, &o.Web} {
		if *address == "" {
			if *address, err = freeAddress(); err != nil {
				return nil, err
			}
		}
	}
	s := &Server{Options: o}
	return s, s.Restart(ctx)
}

// URL is what clients connect to.
func (s *Server) URL() string { return "tcp://" + s.Address }

// PID is the server's process; its Redis is a child of it.
func (s *Server) PID() int { return s.process.Process.Pid }

// Restart starts a server that was stopped or killed, at the same addresses, with what it had stored.
func (s *Server) Restart(ctx context.Context) error {
	s.process = exec.Command(s.Program, "-b", s.Address, "-w", s.Web, "-d", filepath.Join(s.Dir, "db"), "-c", s.Dir, "-e", "development")
	s.process.Stdout, s.process.Stderr = s.Log, s.Log
	// A group of its own: its Redis is found by it when the server itself was killed.
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := s.process.Start(); err != nil {
		return fmt.Errorf("start the Faktory server: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the Faktory server at %s does not answer: %w", s.Address, err), s.Stop())
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
	group := s.process.Process.Pid
	err := s.process.Process.Signal(signal)
	_ = s.process.Wait() // it was told to end
	s.process = nil
	for range 500 {
		if syscall.Kill(-group, syscall.SIGTERM) != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond) // nothing tells when somebody else's child is gone
	}
	return errors.Join(err, errors.New("the Redis of the Faktory server does not end"))
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
