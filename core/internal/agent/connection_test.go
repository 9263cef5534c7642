//go:build linux

package agent_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/spool"
)

// cutConn is a connection that is lost after so many bytes have come.
type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Read(b []byte) (int, error) {
	if c.left <= 0 {
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

func TestNoRecordIsLostWithAConnection(t *testing.T) {
	t.Parallel()
	const cuts, lines = 20, 300000
	p := newPod(t, sh("exec seq "+strconv.Itoa(lines))).serve()
	var conns atomic.Int64
	c := p.client(func(conn net.Conn) net.Conn {
		if n := int(conns.Add(1)); n <= cuts {
			return &cutConn{conn, 10000 + 4321*n}
		}
		return conn
	})
	p.start("job")
	f := c.Follow("job")
	next := 1
	for {
		b, err := f.Next(limit(t))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range b.All {
			if string(r.Text) != strconv.Itoa(next) {
				t.Fatalf("line %d is %q", next, r.Text)
			}
			next++
		}
		c.Ack("job", f.Tally().Records)
	}
	e, _ := f.Exit()
	if e.Tally != f.Tally() || f.Tally().Records != lines {
		t.Errorf("read %+v, the exit record has %+v", f.Tally(), e.Tally)
	}
	if n := conns.Load(); n <= cuts {
		t.Errorf("%d connections were used", n)
	}
}

// TestFullSpool reads without acknowledging until the job waits, which the size of the spool tells.
func TestFullSpool(t *testing.T) {
	t.Parallel()
	const bound, lines = 1000000, 300000
	p := newPod(t, sh("exec seq -f 'a line with the number %.0f' "+strconv.Itoa(lines))).serve()
	c := p.client(nil)
	p.start("job", "-spool-size", strconv.Itoa(bound))
	f := c.Follow("job")
	acked := uint64(0)
	for {
		b, err := f.Next(limit(t))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if size := dirBytes(t, p.spool("job")); size > bound+64<<10 {
			t.Fatalf("the spool has %d bytes", size)
		}
		// Half of the spool stays unacknowledged, so that the job waits again and again.
		if read := f.Tally().Records; read > acked+8000 {
			acked = read - 4000
			c.Ack("job", acked)
		}
		_ = b
	}
	if e, _ := f.Exit(); e.Tally != f.Tally() || e.Records != lines {
		t.Errorf("read %+v, the exit record has %+v", f.Tally(), e.Tally)
	}
	_, err := c.Follow("job").Next(limit(t))
	var released *spool.ReleasedError
	if !errors.As(err, &released) || released.Wanted != 1 || released.First <= 1 {
		t.Errorf("reading what was released: %v", err)
	}
}

func dirBytes(t *testing.T, dir string) int64 {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // else just released
			sum += info.Size()
		}
	}
	return sum
}

func TestContextEndsNext(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("echo one; read _ <$DIR/go; echo two")).serve()
	gone := fifo(t, filepath.Join(p.dir, "go"))
	c := p.client(nil)
	p.start("job")
	f := c.Follow("job")
	if _, err := f.Next(limit(t)); err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(10*time.Millisecond, func() { cancel(enough) })
	if _, err := f.Next(ctx); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	if _, err := gone.w.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	b, err := f.Next(limit(t))
	if err != nil || string(b.Data) != "two" {
		t.Fatalf("it goes on with %v, %v", b, err)
	}
	if _, err := f.Next(limit(t)); !errors.Is(err, io.EOF) {
		t.Errorf("it ends with %v", err)
	}
}

// silentConn is a connection on which nothing comes any more once its time has come; nobody is told.
type silentConn struct {
	net.Conn
	silent, closed chan struct{}
	once           sync.Once
}

func (c *silentConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	select {
	case <-c.silent:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (c *silentConn) Write(b []byte) (int, error) {
	select {
	case <-c.silent:
		return len(b), nil
	default:
		return c.Conn.Write(b)
	}
}

func (c *silentConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestDeadConnectionIsNoticed takes as long as pings take: a good ten seconds.
func TestDeadConnectionIsNoticed(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("echo one; read _ <$DIR/go; echo two")).serve()
	gone := fifo(t, filepath.Join(p.dir, "go"))
	silent := make(chan struct{})
	var conns atomic.Int64
	c := p.client(func(conn net.Conn) net.Conn {
		if conns.Add(1) > 1 {
			return conn
		}
		return &silentConn{Conn: conn, silent: silent, closed: make(chan struct{})}
	})
	p.start("job")
	f := c.Follow("job")
	if _, err := f.Next(limit(t)); err != nil {
		t.Fatal(err)
	}
	close(silent)
	if _, err := gone.w.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	if b, err := f.Next(limit(t)); err != nil || string(b.Data) != "two" {
		t.Fatalf("it goes on with %v, %v", b, err)
	}
	if took := time.Since(started); took > 40*time.Second {
		t.Errorf("it took %s", took)
	}
	if _, err := f.Next(limit(t)); !errors.Is(err, io.EOF) {
		t.Errorf("it ends with %v", err)
	}
}

// TestReaderIsReplaced reads with one core after the other, and the first one does not know.
func TestReaderIsReplaced(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("echo one; read _ <$DIR/go; echo two")).serve()
	gone := fifo(t, filepath.Join(p.dir, "go"))
	p.start("job")
	first, second := p.client(nil).Follow("job"), p.client(nil).Follow("job")
	for _, f := range []*agent.Follower{first, second} {
		if b, err := f.Next(limit(t)); err != nil || string(b.Data) != "one" {
			t.Fatalf("got %v, %v", b, err)
		}
	}
	if _, err := gone.w.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*agent.Follower{second, first} {
		if lines, err := read(t, f); !errors.Is(err, io.EOF) || strings.Join(lines, "|") != "two" {
			t.Errorf("got %q, %v", lines, err)
		}
	}
}

func TestOnlyTheJobsKeysAreAccepted(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("true")).serve()
	address := p.addressOf()
	other, err := agent.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	pair := func(k agent.Keys) []tls.Certificate {
		c, err := tls.X509KeyPair(k.Certificate, k.Private)
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{c}
	}
	connect := func(config *tls.Config) error {
		config.InsecureSkipVerify = true //nolint:gosec // what the helper accepts is tested
		config.NextProtos = []string{"h2"}
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: testTime}, "tcp", address, config)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		_, err = conn.Read(make([]byte, 1)) // with TLS 1.3 the answer to a certificate comes with what is read
		return err
	}
	for name, c := range map[string]struct {
		config *tls.Config
		want   string
	}{
		"the right one":  {&tls.Config{Certificates: pair(p.keys)}, ""},
		"another one":    {&tls.Config{Certificates: pair(other)}, "bad certificate"},
		"none":           {&tls.Config{}, "certificate required"},
		"an old version": {&tls.Config{Certificates: pair(p.keys), MaxVersion: tls.VersionTLS12}, "protocol version not supported"}, //nolint:gosec // it is refused
	} {
		t.Run("helper/"+name, func(t *testing.T) {
			err := connect(c.config)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	for name, c := range map[string]struct {
		config *tls.Config
		want   string
	}{
		"another one":    {&tls.Config{Certificates: pair(other)}, "does not have the certificate of this job"},
		"an old version": {&tls.Config{Certificates: pair(p.keys), MaxVersion: tls.VersionTLS12}, "protocol version"}, //nolint:gosec // it is refused
	} {
		t.Run("core/"+name, func(t *testing.T) {
			c.config.NextProtos = []string{"h2"}
			c.config.ClientAuth = tls.RequestClientCert
			listener, err := tls.Listen("tcp", "127.0.0.1:0", c.config)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = listener.Close() }()
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, conn)
					_ = conn.Close()
				}
			}()
			failsWith(t, p.keys, dialTo(listener.Addr().String()), c.want)
		})
	}
	t.Run("core/with another one", func(t *testing.T) { failsWith(t, other, dialTo(address), "does not have the certificate") })
}

func dialTo(address string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", address) }
}

// failsWith waits until a client says that it can't connect because of what is wanted.
func failsWith(t *testing.T, keys agent.Keys, dial func(context.Context) (net.Conn, error), want string) {
	t.Helper()
	attempts := make(chan struct{}, 100)
	c, err := agent.NewClient(keys, func(ctx context.Context) (net.Conn, error) {
		attempts <- struct{}{}
		return dial(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	states := c.Watch(ctx) // somebody who wants a connection
	for range 3 {          // the second attempt begins when the first one has failed
		select {
		case <-attempts:
		case <-states:
			t.Fatal("it has connected")
		case <-time.After(testTime):
			t.Fatal("it does not try")
		}
	}
	if err := c.LastError(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("it says %v, want %q", err, want)
	}
	cancel()
	if _, open := <-states; open {
		t.Error("there was a state")
	}
}

func TestLastError(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("true")).serve()
	address := p.addressOf()
	var refuse atomic.Bool
	refuse.Store(true)
	attempts := make(chan struct{}, 100)
	c, err := agent.NewClient(p.keys, func(ctx context.Context) (net.Conn, error) {
		attempts <- struct{}{}
		if refuse.Load() {
			return nil, errors.New("the pod has no address yet")
		}
		return dialTo(address)(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	states := c.Watch(limit(t))
	<-attempts
	<-attempts
	if err := c.LastError(); err == nil || err.Error() != "the pod has no address yet" {
		t.Errorf("it says %v", err)
	}
	refuse.Store(false)
	c.Connect()
	await(t, states, phase("job", agent.Waiting))
	if err := c.LastError(); err != nil {
		t.Errorf("it is connected and says %v", err)
	}
}

func TestCancelIsTriedUntilItArrives(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("sleep 1000")).serve()
	var conns atomic.Int64
	c := p.client(func(conn net.Conn) net.Conn {
		if conns.Add(1) < 4 {
			return &cutConn{conn, 3000}
		}
		return conn
	})
	p.start("job")
	if err := c.Cancel(limit(t), time.Second); err != nil {
		t.Fatal(err)
	}
	await(t, c.Watch(limit(t)), func(s agent.State) bool { return why(s.Ending) == agent.Canceled })

	closed, err := agent.NewClient(p.keys, func(context.Context) (net.Conn, error) { return nil, errors.New("no way") })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closed.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := closed.Cancel(ctx, 0); err == nil || !strings.Contains(err.Error(), "no way") {
		t.Errorf("it says %v", err)
	}
}

func TestServeFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(p *pod)
		want  string
	}{
		"no keys":      {func(p *pod) { p.config.Inputs = filepath.Join(p.dir, "none") }, "read the key pair of the job"},
		"no step":      {func(p *pod) { p.config.Steps = filepath.Join(p.dir, "none") }, `make the spool of step "job"`},
		"bad address":  {func(p *pod) { p.config.Listen = "nowhere" }, "listen for core"},
		"half a pair":  {func(p *pod) { p.write("inputs/agent.key", []byte("none")) }, "key pair of the job"},
		"another pair": {func(p *pod) { k, _ := agent.NewKeys(); p.write("inputs/agent.key", k.Private) }, "key pair of the job"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPod(t, sh("true"))
			c.spoil(p)
			if err := agent.Serve(t.Context(), p.config); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestBadInputs: the step is told nothing, and what is wrong is told with nothing of the input.
func TestBadInputs(t *testing.T) {
	t.Parallel()
	p := newPod(t, sh("true"))
	p.write("inputs/"+agent.ScriptFile("job"), []byte(`["echo", hunter2]`))
	p.serve()
	c := p.client(nil)
	job := p.start("job")
	if _, err := read(t, c.Follow("job")); !errors.Is(err, spool.ErrNoExit) {
		t.Errorf("it ends with: %v", err)
	}
	if code := job.code(); code == 0 {
		t.Error("the container ends with 0")
	}
}

func TestKeysAreNeverTheSame(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 10 {
		k, err := agent.NewKeys()
		if err != nil {
			t.Fatal(err)
		}
		if seen[fmt.Sprint(k)] {
			t.Fatal("the same keys twice")
		}
		seen[fmt.Sprint(k)] = true
	}
}
