package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/contribsys/faktory/client"

	"github.com/podrunner/runner/plugins/source-faktory/internal/faktory"
)

// scratch is a folder for what is built once for all tests.
var scratch = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "source-faktory-")
	if err != nil {
		panic(err)
	}
	return dir
})

// removeServer removes what scratch holds.
func removeServer() { _ = os.RemoveAll(scratch()) }

// serverProgram is the real server, built once, of the version that go.mod has.
var serverProgram = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch(), "faktory")
	out, err := exec.Command("go", "build", "-o", path, "github.com/contribsys/faktory/cmd/faktory").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build the Faktory server: %w\n%s", err, out)
	}
	return path, err
})

// realServer is a Faktory server that a test has started.
type realServer struct {
	t        *testing.T
	path     string
	dir      string
	address  string
	web      string
	scheme   string
	password string
	process  *exec.Cmd
	log      *os.File
}

// startServer starts a real server. What it stores survives kill and start.
func startServer(t *testing.T, prepare ...func(*realServer)) *realServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("a Faktory server needs redis-server, which is not on PATH; `make redis` installs it")
		}
		t.Skip("a Faktory server needs redis-server, which is not on PATH (apt-get install redis-server)")
	}
	path, err := serverProgram()
	must(t, err)
	s := &realServer{t: t, path: path, dir: t.TempDir(), address: freeAddress(t), web: freeAddress(t), scheme: "tcp"}
	s.log, err = os.Create(filepath.Join(s.dir, "log"))
	must(t, err)
	for _, p := range prepare {
		p(s)
	}
	s.start()
	t.Cleanup(func() {
		s.stop(syscall.SIGTERM)
		_ = s.log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			t.Logf("the server's log:\n%s", text)
		}
	})
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close() //nolint:errcheck // it was only to find a port
	return listener.Addr().String()
}

func (s *realServer) start() {
	s.t.Helper()
	s.process = exec.Command(s.path, "-b", s.address, "-w", s.web, "-d", filepath.Join(s.dir, "db"), "-c", s.dir, "-e", "development", "-l", "debug")
	s.process.Env = append(os.Environ(), "FAKTORY_PASSWORD="+s.password)
	s.process.Stdout, s.process.Stderr = s.log, s.log
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(s.t, s.process.Start())
	eventually(s.t, "the server answers", func() bool {
		return s.do(func(*faktory.Conn) error { return nil }) == nil
	})
}

// stop ends the server with a signal; its Redis ends with it, or, after a SIGKILL, by a signal of its own.
func (s *realServer) stop(signal syscall.Signal) {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Signal(signal)
	if signal == syscall.SIGKILL {
		_ = syscall.Kill(-s.process.Process.Pid, syscall.SIGTERM)
	}
	_ = s.process.Wait()
	s.process = nil
	socket := filepath.Join(s.dir, "db", "redis.sock")
	eventually(s.t, "Redis ends", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	_ = os.Remove(socket)
}

func (s *realServer) url() string {
	user := ""
	if s.password != "" {
		user = ":" + url.QueryEscape(s.password) + "@"
	}
	return s.scheme + "://" + user + s.address
}

// config is a configuration for the server as the source's is.
func (s *realServer) config() *config {
	c := &config{DialTimeout: 5 * time.Second, CommandTimeout: 5 * time.Second, url: s.url()}
	var err error
	c.server, err = faktory.ParseURL(c.url)
	must(s.t, err)
	c.server.DialTimeout, c.server.CommandTimeout = c.DialTimeout, c.CommandTimeout
	if s.scheme == "tcp+tls" {
		c.CAFile = filepath.Join(s.dir, "public.cert.pem")
		must(s.t, c.trust())
	}
	return c
}

// do runs commands as another client.
func (s *realServer) do(f func(*faktory.Conn) error) error {
	conn, err := faktory.Dial(context.Background(), s.config().server, faktory.Worker{})
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // a test's
	return f(conn)
}

// push pushes a job and returns its jid.
func (s *realServer) push(change func(*client.Job), args ...any) string {
	s.t.Helper()
	job := client.NewJob("legacy", args...)
	if job.Args == nil {
		job.Args = []any{}
	}
	retry := 25
	job.Retry = &retry
	if change != nil {
		change(job)
	}
	must(s.t, s.do(func(conn *faktory.Conn) error { return conn.Push(context.Background(), job) }))
	return job.Jid
}

// followUps takes n jobs from the queue of follow-ups.
func (s *realServer) followUps(n int) []*client.Job {
	s.t.Helper()
	var list []*client.Job
	must(s.t, s.do(func(conn *faktory.Conn) error {
		for len(list) < n {
			raw, err := conn.Fetch(context.Background(), []string{"app"})
			if err != nil {
				return err
			}
			if raw == nil {
				return fmt.Errorf("there are %d follow-up jobs, not %d", len(list), n)
			}
			var job client.Job
			if err := json.Unmarshal(raw, &job); err != nil {
				return err
			}
			list = append(list, &job)
			if err := conn.Ack(context.Background(), job.Jid); err != nil {
				return err
			}
		}
		return nil
	}))
	return list
}

// state is what the server says of its sets and queues.
func (s *realServer) state() client.DataSnapshot {
	s.t.Helper()
	var state client.FaktoryState
	must(s.t, json.Unmarshal(s.get("/stats"), &state))
	return state.Data
}

// get reads a page of the server's.
func (s *realServer) get(path string) []byte {
	s.t.Helper()
	response, err := s.http().Get(s.webURL() + path)
	must(s.t, err)
	defer response.Body.Close() //nolint:errcheck // a test's
	data, err := io.ReadAll(response.Body)
	must(s.t, err)
	return data
}

// retriesSay waits until the page of jobs that are to be tried again shows a text.
func (s *realServer) retriesSay(text string) {
	s.t.Helper()
	eventually(s.t, "the page of retries says: "+text, func() bool {
		return strings.Contains(html.UnescapeString(string(s.get("/retries"))), text)
	})
}

// signal says to a worker "quiet" or "terminate", by the server's web page, as an operator does.
func (s *realServer) signal(wid, signal string) {
	s.t.Helper()
	response, err := s.http().Post(s.webURL()+"/busy", "application/x-www-form-urlencoded",
		bytes.NewBufferString(url.Values{"wid": {wid}, "signal": {signal}}.Encode()))
	must(s.t, err)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusFound {
		s.t.Fatalf("the server answers %s", response.Status)
	}
}

func (s *realServer) http() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *realServer) webURL() string { return "http://" + s.web }
