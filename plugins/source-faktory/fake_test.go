package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is a server of Faktory's protocol that answers as a test says, and writes down what it is sent.
type fake struct {
	listener net.Listener
	// answer returns what is sent for a command, without its line end; "" closes the connection.
	answer func(verb, payload string) string

	mu       sync.Mutex
	commands []command
	conns    map[net.Conn]bool
	wg       sync.WaitGroup
}

// command is one command as it came.
type command struct {
	verb, payload string
	at            time.Time
}

// noJob is the answer to a FETCH that finds nothing.
const noJob = "$-1"

// bulk is the answer that brings a text.
func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s", len(text), text) }

// newFake starts a server. Commands for which answer returns "-" are answered with OK, a FETCH with no job, after a moment.
func newFake(t *testing.T, answer func(verb, payload string) string) *fake {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f := &fake{listener: listener, answer: answer, conns: map[net.Conn]bool{}}
	f.wg.Go(f.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		f.cut()
		f.wg.Wait()
	})
	return f
}

func (f *fake) url() string { return "tcp://" + f.listener.Addr().String() }

// cut closes all connections.
func (f *fake) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for conn := range f.conns {
		_ = conn.Close()
	}
}

func (f *fake) accept() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns[conn] = true
		f.mu.Unlock()
		f.wg.Go(func() {
			defer func() { _ = conn.Close() }()
			f.serve(conn)
		})
	}
}

func (f *fake) serve(conn net.Conn) {
	if _, err := conn.Write([]byte("+HI {\"v\":2}\r\n")); err != nil {
		return
	}
	reader := bufio.NewReader(conn)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		verb, payload, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		f.mu.Lock()
		f.commands = append(f.commands, command{verb, payload, time.Now()})
		f.mu.Unlock()
		answer := f.answer(verb, payload)
		if answer == "-" {
			answer = "+OK"
			if verb == "FETCH" {
				time.Sleep(20 * time.Millisecond)
				answer = noJob
			}
		}
		if answer == "" || verb == "END" {
			return
		}
		if _, err := conn.Write([]byte(answer + "\r\n")); err != nil {
			return
		}
	}
}

// sent are the payloads of a verb so far.
func (f *fake) sent(verb string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []string
	for _, c := range f.commands {
		if c.verb == verb {
			list = append(list, c.payload)
		}
	}
	return list
}

// all are all commands so far.
func (f *fake) all() []command {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]command(nil), f.commands...)
}

// jobs answers FETCHes with the jobs, once each, and all else as usual.
func jobs(list ...string) func(verb, payload string) string {
	var mu sync.Mutex
	return func(verb, _ string) string {
		mu.Lock()
		defer mu.Unlock()
		if verb != "FETCH" || len(list) == 0 {
			return "-"
		}
		job := list[0]
		list = list[1:]
		return bulk(job)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !met() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
