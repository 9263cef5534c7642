package faktory

import (
	"bufio"
	"context"
	"fmt"
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

// TestLongAnswers: no room is made for what a server merely says that it will send, and a text may hold what looks like a length.
func TestLongAnswers(t *testing.T) {
	for answer, says := range map[string]string{
		"$1073741824\r\n":                         "the answer has 1073741824 bytes",
		"$9223372036854775808\r\n":                "the answer has 9223372036854775808 bytes",
		"+" + strings.Repeat("x", 100<<10) + "\r": "a line of more than",
	} {
		conn, err := Dial(t.Context(), talk(t, hi, "+OK\r\n", answer), Worker{WID: "w"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Fetch(t.Context(), []string{"q"}); err == nil || !strings.Contains(err.Error(), says) || !conn.broken {
			t.Errorf("%.30q: %v", answer, err)
		}
		_ = conn.Close()
	}
	texts := []string{"$1073741824\r\n$1073741824\r\n", "", "a\r\n", strings.Repeat("x", 1<<20)}
	answers := []string{"+OK\r\n"}
	for _, text := range texts {
		answers = append(answers, fmt.Sprintf("$%d\r\n%s\r\n", len(text), text), "$-1\r\n")
	}
	conn, err := Dial(t.Context(), talk(t, hi, answers...), Worker{WID: "w"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, text := range texts {
		for _, want := range []string{text, ""} {
			if got, err := conn.Fetch(t.Context(), []string{"q"}); err != nil || string(got) != want {
				t.Errorf("%.30q: %.30q, %v", want, got, err)
			}
		}
	}
}
