package entrypoint

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podrunner/runner/core/internal/spool"
)

// step is a shell that has been started. One goroutine follows it, and it alone waits for processes, so that none is taken
// away from another waiter.
type step struct {
	grace    time.Duration
	out      *spool.Writer
	signals  <-chan os.Signal
	children <-chan os.Signal
	lifeline lifeline
	remove   func() error
	// contained says that the step is alone in a container, so that what its cgroup says is said of the step.
	contained bool

	shell  int
	pipes  []*os.File
	pumped chan struct{}
	failed chan error
	// drop makes the pumps drop what the spool does not take.
	drop func()

	// outcome is the step's outcome file; nil when it has none. readOutcome moves it to the spool and says so to done;
	// collected is that channel once it has been started. complete: there is nothing more to move.
	outcome     *outcomeFile
	readOutcome func(done chan<- error)
	collected   chan error
	complete    bool

	// started and ended bound the life of the shell; ended is zero while it lives.
	started, ended time.Time
	status         unix.WaitStatus
	// asked is when the step was asked to end while the shell lived; zero when it was not.
	asked time.Time
	// open is the number of pipes whose end has not been seen.
	open int
	// clear: no process of the step is left, or none that can be got rid of.
	clear bool
	// lost: nobody wants the step any more. spoolErr: its output can't be kept.
	lost     bool
	spoolErr error
	// killing: all processes are being killed, and so is what turns up.
	killing bool
	// leftover is what processes have that outlive the shell and hold its pipes, kill what all have that were told to end,
	// giveUp what killed ones have to go.
	leftover, kill, giveUp timer
}

// follow returns when the step is over.
func (s *step) follow() {
	s.open = len(s.pipes)
	for s.reap(); !s.over(); s.settle() {
		select {
		case sig := <-s.signals:
			s.forward(sig)
		case <-s.children:
			s.reap()
		case <-s.pumped:
			s.open--
		case err := <-s.failed:
			s.spoolFailed(err)
		case grace, ok := <-s.lifeline.cancel:
			if !ok {
				s.lose()
			} else {
				s.ask(grace)
			}
		case err := <-s.collected:
			s.complete = true
			if err != nil {
				s.spoolFailed(err)
			}
		case <-s.leftover.C:
			s.stop(min(s.grace, leftoverGrace))
		case <-s.kill.C:
			s.killAll()
		case <-s.giveUp.C:
			s.clear = true
		}
	}
	for _, t := range []*timer{&s.leftover, &s.kill, &s.giveUp} {
		t.stop()
	}
}

func (s *step) over() bool { return !s.ended.IsZero() && s.clear && s.open == 0 && s.complete }

// settle does what is due once the shell has ended.
func (s *step) settle() {
	switch {
	case s.ended.IsZero():
	case s.clear && s.open == 0:
		s.collect()
	case s.clear:
		// Nobody can write any more, or it is nobody of ours: what is in the pipes now is all.
		for _, p := range s.pipes {
			_ = p.SetReadDeadline(time.Now())
		}
	case s.open == 0:
		s.leftover.within(0)
	default:
		s.leftover.within(drainTime)
	}
}

// reap takes note of all processes that have ended: the shell, and orphans that became ours.
func (s *step) reap() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil: // ECHILD
			s.clear = true
			return
		case pid == 0:
			if s.killing {
				s.signalAll(unix.SIGKILL)
			}
			return
		case pid == s.shell:
			s.ended, s.status = time.Now(), status
		}
	}
}

func (s *step) forward(sig os.Signal) {
	if sig == unix.SIGTERM {
		s.ask(s.grace)
		return
	}
	if number, ok := sig.(syscall.Signal); ok && s.ended.IsZero() {
		s.signalGroup(number)
	}
}

// ask stops the step because somebody wants it to end.
func (s *step) ask(grace time.Duration) {
	if s.ended.IsZero() && s.asked.IsZero() {
		s.asked = time.Now()
	}
	s.stop(grace)
}

// stop tells the step to end, and kills it when it has not after grace.
func (s *step) stop(grace time.Duration) {
	if s.clear {
		return
	}
	if s.ended.IsZero() {
		s.signalGroup(unix.SIGTERM)
	} else {
		s.signalAll(unix.SIGTERM)
	}
	s.kill.within(grace)
}

func (s *step) killAll() {
	s.kill.C = nil
	s.killing = true
	s.signalAll(unix.SIGKILL)
	s.giveUp.within(killTime)
}

// lose ends the step because nobody waits for it: nobody will make room in the spool either.
func (s *step) lose() {
	s.lifeline.cancel = nil
	s.lost = true
	s.drop()
	s.stop(s.grace)
}

func (s *step) spoolFailed(err error) {
	if s.lost {
		return
	}
	if s.spoolErr == nil { // the other stream fails with the same
		s.spoolErr = err
	}
	s.stop(s.grace)
}

// finish leaves the evidence and returns the exit code.
func (s *step) finish() (int, error) {
	s.drop()
	code, signal := s.status.ExitStatus(), 0
	if s.status.Signaled() {
		signal = int(s.status.Signal())
		code = 128 + signal
	}
	if s.lost {
		if code == 0 { // the command has taken TERM for a reason to end well; nobody knows what it ended
			code = CodeBroken
		}
		return code, errors.Join(s.out.Close(), s.remove())
	}
	exit := spool.Exit{Code: code, Signal: signal, Started: s.started, Finished: s.ended, Asked: s.asked}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &usage); err == nil {
		exit.UserTime = time.Duration(usage.Utime.Nano())
		exit.SystemTime = time.Duration(usage.Stime.Nano())
		exit.PeakRSS = usage.Maxrss << 10
	}
	if s.contained {
		readMemory(os.DirFS(cgroupRoot), &exit)
	}
	if s.spoolErr != nil {
		exit.Failure, exit.Error = spool.FailureSpool, s.spoolErr.Error()
		code = CodeBroken
	}
	if err := s.out.Finish(exit); err != nil {
		return CodeBroken, fmt.Errorf("%w; the command ended with code %d", err, exit.Code)
	}
	return code, nil
}
