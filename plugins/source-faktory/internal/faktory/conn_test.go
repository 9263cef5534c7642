package faktory

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// talk starts a server that says hi, and then answers each line with the next of answers, as it is. It returns the server.
func talk(t *testing.T, hi string, answers ...string) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = conn.Write([]byte(hi))
		lines := bufio.NewScanner(conn)
		for _, answer := range answers {
			if !lines.Scan() {
				return
			}
			_, _ = conn.Write([]byte(answer))
		}
		lines.Scan()
	})
	t.Cleanup(func() {
		_ = listener.Close()
		wg.Wait()
	})
	return &Server{Address: listener.Addr().String(), DialTimeout: 10 * time.Second, CommandTimeout: 10 * time.Second}
}

const hi = "+HI {\"v\":2}\r\n"

// TestWhatIsNoFaktory: whatever answers at the port, it is an error and nothing worse.
func TestWhatIsNoFaktory(t *testing.T) {
	for name, greeting := range map[string]string{
		"short lines": "x\nx\n", "an empty line": "\n\n", "a length of nothing": "$\r\n", "a length beyond memory": "$9223372036854775807\r\n",
		"SSH": "SSH-2.0-OpenSSH_9.2\r\n", "nothing": "", "bad JSON": "+HI {\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			server := talk(t, greeting)
			server.DialTimeout = time.Second
			conn, err := Dial(t.Context(), server, Worker{})
			if err == nil {
				_ = conn.Close()
				t.Fatal("it is taken for Faktory")
			}
			if !strings.Contains(err.Error(), server.Address) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// TestBrokenAnswers: an answer that is none ends the connection, and not the process.
func TestBrokenAnswers(t *testing.T) {
	for _, answer := range []string{"+\n", "$9223372036854775807\r\n", "$x\r\n", "$-5\r\n\r\n", "*1\r\n"} {
		conn, err := Dial(t.Context(), talk(t, hi, "+OK\r\n", answer), Worker{WID: "w"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := conn.Ack(ctx, "j"); err == nil || !conn.broken {
			t.Errorf("%q: %v, broken: %v", answer, err, conn.broken)
		}
		cancel()
		_ = conn.Close()
	}
}
