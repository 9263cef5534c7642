package faktory_test

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/contribsys/faktory/client"

	"github.com/podrunner/runner/test/faktory"
)

// program is the server; `make faktory` builds it.
var program, _ = filepath.Abs("../../build/tools/faktory")

// options are those of a server in a folder whose path is short.
func options(t *testing.T) faktory.Options {
	t.Helper()
	dir, err := os.MkdirTemp("", "fk-") //nolint:usetesting // a socket's path is short
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return faktory.Options{Program: program, Dir: dir}
}

func start(t *testing.T) *faktory.Server {
	t.Helper()
	s, err := faktory.Start(t.Context(), options(t))
	must(t, err)
	t.Cleanup(func() { must(t, s.Stop()) })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestKilledServerKeepsJobs: jobs that wait and jobs that are reserved are there again after a kill, at the same address.
func TestKilledServerKeepsJobs(t *testing.T) {
	s := start(t)
	waiting, err := s.Push("legacy", nil, "waits")
	must(t, err)
	var reserved string
	must(t, s.Do(func(c *client.Client) error {
		j := client.NewJob("legacy", "is reserved")
		j.Queue, reserved = "other", j.Jid
		if err := c.Push(j); err != nil {
			return err
		}
		_, err := c.Fetch("other")
		return err
	}))
	for range 3 {
		must(t, s.Kill())
		if conn, err := net.Dial("tcp", s.Address); err == nil {
			_ = conn.Close()
			t.Fatal("a server that was killed answers")
		}
		must(t, s.Restart(t.Context()))
	}
	state, err := s.State()
	must(t, err)
	if state.Queues["runner"] != 1 || state.Sets["working"] != 1 {
		t.Errorf("the state is %+v", state)
	}
	must(t, s.Do(func(c *client.Client) error {
		j, err := c.Fetch("runner")
		if err == nil && (j == nil || j.Jid != waiting) {
			t.Errorf("the job that waits is %v", j)
		}
		return err
	}))
	must(t, s.Do(func(c *client.Client) error { return c.Ack(reserved) }))
	if state, err = s.State(); err != nil || state.Processed != 1 {
		t.Errorf("the state is %+v, %v", state, err)
	}
}

// TestTakenAddress: an address that somebody else has is named, and what answers there is not taken for the server.
func TestTakenAddress(t *testing.T) {
	other := start(t)
	for name, taken := range map[string]func(*faktory.Options){
		"of the commands": func(o *faktory.Options) { o.Address = other.Address },
		"of the page":     func(o *faktory.Options) { o.Web = other.Web },
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			o.Address, o.Web = "127.0.0.1:14998", "127.0.0.1:14999"
			taken(&o)
			s, err := faktory.Start(t.Context(), o)
			if err == nil {
				must(t, s.Stop())
			}
			if err == nil || !strings.Contains(err.Error(), "address already in use") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// TestProxy: commands come through, and are known; a refused one and a held one never reach the server, and a cut
// connection is of no use any more.
func TestProxy(t *testing.T) {
	s := start(t)
	p, err := faktory.NewProxy(s.Address)
	must(t, err)
	t.Cleanup(p.Close)
	through := &faktory.Server{Options: faktory.Options{Address: strings.TrimPrefix(p.URL(), "tcp://"), Web: s.Web}}
	wantJobs := func(n uint64) {
		t.Helper()
		if got, err := s.Waiting("runner"); err != nil || got != n {
			t.Errorf("%d jobs wait, %v; want %d", got, err, n)
		}
	}

	_, err = through.Push("legacy", nil, strings.Repeat("x", 1<<20))
	must(t, err)
	wantJobs(1)
	if commands := strings.Join(p.Commands(), "\n"); !strings.Contains(commands, "PUSH {") || !strings.Contains(commands, "HELLO ") {
		t.Errorf("the commands are %q", commands)
	}

	pushes := func(verdict faktory.Verdict) func(string) faktory.Verdict {
		return func(command string) faktory.Verdict {
			if strings.HasPrefix(command, "PUSH ") {
				return verdict
			}
			return faktory.Pass
		}
	}
	for _, verdict := range []faktory.Verdict{faktory.Refuse, faktory.CutBefore} {
		p.Judge(pushes(verdict))
		if _, err := through.Push("legacy", nil, 1); err == nil {
			t.Errorf("verdict %d: the push has worked", verdict)
		}
		wantJobs(1)
	}
	p.Judge(pushes(faktory.CutAfter))
	if _, err := through.Push("legacy", nil, 2); err == nil {
		t.Error("the answer has come")
	}

	p.Judge(pushes(faktory.Hold))
	pushed := make(chan error)
	go func() {
		_, err := through.Push("legacy", nil, 3)
		pushed <- err
	}()
	select {
	case err := <-pushed:
		t.Errorf("a held push has ended: %v", err)
	default:
	}
	p.Judge(nil)
	for held := true; held; {
		p.Release() // as often as it takes: the push may come a moment later
		select {
		case err := <-pushed:
			must(t, err)
			held = false
		default:
		}
	}
	wantJobs(3)
}

// TestHeardOnce: a follow-up job that comes twice counts once.
func TestHeardOnce(t *testing.T) {
	h := faktory.Heard{}
	f := faktory.FollowUp{JID: "a", JobID: "1", Lines: []string{"x"}}
	h.Add([]faktory.FollowUp{f, f, {JID: "b", JobID: "1", Outcome: "success"}})
	if got := h["1"]; len(got.All) != 2 || len(got.Lines) != 1 || h.Outcomes() != 1 {
		t.Errorf("heard: %+v", got)
	}
}

// TestLog: what the server says goes where it is asked to go.
func TestLog(t *testing.T) {
	o := options(t)
	var log bytes.Buffer
	o.Log = &log
	s, err := faktory.Start(t.Context(), o)
	must(t, err)
	must(t, s.Stop())
	if !strings.Contains(log.String(), "Faktory shutting down") {
		t.Errorf("the log is %q", log.String())
	}
}
