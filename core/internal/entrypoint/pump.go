package entrypoint

import (
	"context"
	"errors"
	"io"
	"os"
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
type pump struct {
	from  *os.File
	to    *spool.Writer
	lines splitter
}

// run reads until the end of the pipe, or until its read deadline has passed and it is empty. When the spool fails, or ctx
// ends while it is full, the rest is read and dropped, so that nobody waits at the pipe; failed is then called once.
func (p *pump) run(ctx context.Context, failed func(error)) {
	buf := make([]byte, pumpBytes)
	keep := func(records []record.Record) {
		if p.to == nil || len(records) == 0 {
			return
		}
		if err := p.to.Append(ctx, records); err != nil {
			p.to = nil
			failed(err)
		}
	}
	err := p.copy(buf, p.from.Read, func(b []byte) { keep(p.lines.split(b, time.Now().UnixNano())) })
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.copyLeft(buf, func(b []byte) { keep(p.lines.split(b, time.Now().UnixNano())) })
	}
	keep(p.lines.end(time.Now().UnixNano()))
}

func (p *pump) copy(buf []byte, read func([]byte) (int, error), use func([]byte)) error {
	for {
		n, err := read(buf)
		if n > 0 {
			use(buf[:n])
		}
		if err != nil {
			return err
		}
	}
}

// copyLeft reads what is in the pipe now, and does not wait for more.
func (p *pump) copyLeft(buf []byte, use func([]byte)) {
	conn, err := p.from.SyscallConn()
	if err == nil {
		err = p.from.SetReadDeadline(time.Time{})
	}
	if err != nil {
		return
	}
	left := leftBytes
	_ = p.copy(buf, func(b []byte) (n int, err error) {
		cerr := conn.Read(func(fd uintptr) bool {
			n, err = readNow(fd, b)
			return true
		})
		if left -= n; n <= 0 || left <= 0 {
			return max(n, 0), io.EOF
		}
		return n, errors.Join(err, cerr)
	}, use)
}
