package faktory

import (
	"context"
	"errors"
	"sync"
)

// Pool is a bounded set of connections, opened when they are needed. Its methods are safe for concurrent use.
type Pool struct {
	server *Server
	worker Worker

	mu sync.Mutex
	// idle are those not in use, the one used last at the end; open counts all.
	idle        []*Conn
	open, limit int
	// generation goes up with Renew; connections of earlier ones are closed when they come back.
	generation int
	closed     bool
	// changed is closed and made anew when a connection may have become free.
	changed chan struct{}
}

// NewPool makes a pool of at most limit connections. It opens none.
func NewPool(server *Server, worker Worker, limit int) *Pool {
	return &Pool{server: server, worker: worker, limit: limit, changed: make(chan struct{})}
}

// errClosed says that the pool has been closed.
var errClosed = errors.New("the connections to Faktory have been closed")

// Worker is what the pool's connections say of this process.
func (p *Pool) Worker() Worker { return p.worker }

// Limit changes the number of connections that there may be.
func (p *Pool) Limit(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = n
	p.wake()
}

// Renew closes all connections: each is opened anew, with a HELLO, when it is needed.
func (p *Pool) Renew() {
	p.mu.Lock()
	p.generation++
	idle := p.drop()
	p.mu.Unlock()
	closeAll(idle)
}

// Close closes the connections that are not in use, and each of the others when it comes back.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	idle := p.drop()
	p.mu.Unlock()
	closeAll(idle)
	return nil
}

// With runs f with a connection, for which it waits when all are in use.
func (p *Pool) With(ctx context.Context, f func(*Conn) error) error {
	conn, err := p.get(ctx)
	if err != nil {
		return err
	}
	defer p.put(conn)
	return f(conn)
}

func (p *Pool) get(ctx context.Context) (*Conn, error) {
	for {
		conn, generation, changed, err := p.next()
		switch {
		case err != nil:
			return nil, err
		case conn != nil && !conn.stale():
			return conn, nil
		case conn != nil:
			conn.broken = true
			p.put(conn)
		case changed == nil:
			return p.dial(ctx, generation)
		default:
			select {
			case <-changed:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
}

// next is an idle connection, or room for a new one when changed is nil, or something to wait for.
func (p *Pool) next() (conn *Conn, generation int, changed <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch n := len(p.idle); {
	case p.closed:
		return nil, 0, nil, errClosed
	case n > 0:
		conn = p.idle[n-1]
		p.idle = p.idle[:n-1]
		return conn, 0, nil, nil
	case p.open < p.limit:
		p.open++
		return nil, p.generation, nil, nil
	default:
		return nil, 0, p.changed, nil
	}
}

// dial opens a connection for which next has made room.
func (p *Pool) dial(ctx context.Context, generation int) (*Conn, error) {
	conn, err := Dial(ctx, p.server, p.worker)
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open--
		p.wake()
		return nil, err
	}
	conn.generation = generation
	return conn, nil
}

func (p *Pool) put(conn *Conn) {
	p.mu.Lock()
	keep := !conn.broken && !p.closed && conn.generation == p.generation && p.open <= p.limit
	if keep {
		p.idle = append(p.idle, conn)
	} else {
		p.open--
	}
	p.wake()
	p.mu.Unlock()
	if !keep {
		_ = conn.Close()
	}
}

// drop takes the idle connections out. Callers hold mu, and close what is returned without it.
func (p *Pool) drop() []*Conn {
	idle := p.idle
	p.idle, p.open = nil, p.open-len(idle)
	p.wake()
	return idle
}

// wake lets those who wait for a connection look again. Callers hold mu.
func (p *Pool) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func closeAll(conns []*Conn) {
	for _, conn := range conns {
		_ = conn.Close()
	}
}
