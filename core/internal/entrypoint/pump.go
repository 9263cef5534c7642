package entrypoint

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/podrunner/runner/core/internal/record"
	"github.com/podrunner/runner/core/internal/spool"
)

const (
	// pumpBytes is what is read from a pipe at a time: all that a pipe holds as a rule.
	pumpBytes = 64 << 10
	// leftBytes bounds what is read from a pipe that somebody beyond reach keeps open: more than any pipe holds.
	leftBytes = 2 << 20
)

// pump moves one stream from its pipe to the spool.
//
// Two pipes do not tell in which order they were written to. What is read together is put in the order that is right most
// often: first what is on stderr, for with `set -x` the shell announces there what a command then prints on stdout. So a
// read, and the append of what was read, are one step that only one pump is in at a time, and the one of stdout takes along
// what its sibling has.
type pump struct {
	from  *os.File
	conn  syscall.RawConn
	to    *spool.Writer
	lines record.Splitter
	buf   []byte
	// turn is held from a read to the append; both pumps have the same.
	turn *sync.Mutex
	// before is the pump whose stream comes first; nil for that one.
	before *pump
	// failed is called once when the spool does not take any more.
	failed func(error)
}

// newPumps returns the pumps of both streams, stdout first.
func newPumps(stdout, stderr *os.File, to *spool.Writer, failed func(error)) []*pump {
	turn := &sync.Mutex{}
	err := &pump{
		from: stderr, to: to, turn: turn, failed: failed,
		buf: make([]byte, pumpBytes), lines: record.Splitter{Flags: record.Stderr},
	}
	out := &pump{from: stdout, to: to, turn: turn, failed: failed, buf: make([]byte, pumpBytes), before: err}
	return []*pump{out, err}
}

// run reads until the end of the pipe, or until its read deadline has passed and it is empty. When the spool fails, or ctx
// ends while it is full, the rest is read and dropped, so that nobody waits at the pipe.
func (p *pump) run(ctx context.Context) {
	var err error
	if p.conn, err = p.from.SyscallConn(); err != nil {
		p.failed(err)
		return
	}
	for err == nil {
		err = p.next(ctx)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.rest(ctx)
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	p.keep(ctx, p.lines.End(time.Now().UnixNano()))
}

// next waits for something to read, and moves it. It returns io.EOF at the end of the pipe.
func (p *pump) next(ctx context.Context) error {
	var n int
	var err error
	waitErr := p.conn.Read(func(fd uintptr) bool {
		p.turn.Lock()
		if n, err = readNow(fd, p.buf); errors.Is(err, syscall.EAGAIN) {
			p.turn.Unlock()
			return false
		}
		return true
	})
	if waitErr != nil {
		return waitErr
	}
	defer p.turn.Unlock()
	if p.before != nil {
		p.before.takeAlong(ctx)
	}
	return p.move(ctx, n, err)
}

// takeAlong moves what is in the pipe now; its own pump sees to its end. The caller has the turn.
func (p *pump) takeAlong(ctx context.Context) {
	conn, err := p.from.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		if n, err := readNow(fd, p.buf); n > 0 {
			_ = p.move(ctx, n, err)
		}
	})
}

// rest moves what is in the pipe and does not wait for more. It asks no deadline: that of the pipe has passed, and may be
// set again at any moment.
func (p *pump) rest(ctx context.Context) {
	var err error
	for left := leftBytes; err == nil && left > 0; left -= pumpBytes {
		controlErr := p.conn.Control(func(fd uintptr) {
			p.turn.Lock()
			defer p.turn.Unlock()
			n, readErr := readNow(fd, p.buf)
			err = p.move(ctx, n, readErr)
		})
		err = errors.Join(err, controlErr)
	}
}

// move puts what was read into the spool. The caller has the turn.
func (p *pump) move(ctx context.Context, n int, err error) error {
	if n > 0 {
		p.keep(ctx, p.lines.Split(p.buf[:n], time.Now().UnixNano()))
	}
	if err == nil && n <= 0 {
		return io.EOF
	}
	return err
}

// keep appends records to the spool. The caller has the turn.
func (p *pump) keep(ctx context.Context, records []record.Record) {
	if p.to == nil || len(records) == 0 {
		return
	}
	if err := p.to.Append(ctx, records); err != nil {
		p.to = nil
		p.failed(err)
	}
}
