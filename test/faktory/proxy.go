package faktory

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"sync"
)

// Verdict is what a Proxy does with a command.
type Verdict int

// The verdicts.
const (
	// Pass sends it to the server.
	Pass Verdict = iota
	// Refuse answers it with an error, and the server never sees it.
	Refuse
	// Hold keeps it until Release, as a server does that has stalled.
	Hold
	// CutBefore and CutAfter break the connection before the server sees the command, and after the server has seen it,
	// before its answer comes back.
	CutBefore
	CutAfter
)

// maxCommand is what is kept of each command.
const maxCommand = 500

// Proxy stands between a runner and a server.
type Proxy struct {
	server   string
	listener net.Listener
	wg       sync.WaitGroup

	mu sync.Mutex
	// judge is asked for each command; nil: all pass.
	judge    func(command string) Verdict
	released chan struct{}
	conns    map[net.Conn]bool
	commands []string
	closed   bool
}

// NewProxy stands before a server, on an address of its own.
func NewProxy(server string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{server: server, listener: listener, conns: map[net.Conn]bool{}, released: make(chan struct{})}
	p.wg.Go(p.accept)
	return p, nil
}

// URL is what clients connect to.
func (p *Proxy) URL() string { return "tcp://" + p.listener.Addr().String() }

// Judge has each command judged, from now on; nil: all pass.
func (p *Proxy) Judge(judge func(command string) Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judge = judge
}

// Release lets commands go on that are held.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.released)
	p.released = make(chan struct{})
}

// Cut breaks all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// Commands are the beginnings of all that have come so far.
func (p *Proxy) Commands() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.commands...)
}

// Close ends the proxy.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Release()
	p.Cut()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// keep notes a connection, so that it can be cut; false when the proxy has ended.
func (p *Proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
	return !p.closed
}

func (p *Proxy) drop(conn net.Conn) {
	p.mu.Lock()
	delete(p.conns, conn)
	p.mu.Unlock()
	_ = conn.Close()
}

// serve carries one connection.
func (p *Proxy) serve(client net.Conn) {
	defer p.drop(client)
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.server)
	if err != nil {
		return
	}
	defer p.drop(server)
	if !p.keep(client) || !p.keep(server) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	defer back.Wait()
	defer server.Close() //nolint:errcheck // ends the copy
	lines := bufio.NewReaderSize(client, 64<<10)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		verdict, released := p.verdict(strings.TrimRight(line, "\r\n"))
		switch verdict {
		case Refuse:
			if _, err := io.WriteString(client, "-ERR refused by the test\r\n"); err != nil {
				return
			}
			continue
		case Hold:
			<-released
		case CutBefore:
			return
		case CutAfter:
			_ = client.Close()
		case Pass:
		}
		if _, err := io.WriteString(server, line); err != nil {
			return
		}
	}
}

func (p *Proxy) verdict(command string) (Verdict, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commands = append(p.commands, strings.Clone(command[:min(len(command), maxCommand)]))
	if p.judge == nil {
		return Pass, nil
	}
	return p.judge(command), p.released
}
