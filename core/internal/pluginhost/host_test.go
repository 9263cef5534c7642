package pluginhost_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/podrunner/runner/core/internal/pluginhost"
	"github.com/podrunner/runner/core/internal/pluginhost/hosttest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	if os.Getenv(hostVariable) != "" {
		runHost() // this process is a host that a test kills
		return
	}
	flag.Parse()
	os.Exit(hosttest.Main(m))
}

// patience is how long a test waits for what must come; no test waits so long unless it fails.
const patience = 20 * time.Second

// fixture is a host with the test plugin in some of its modes, and what it logs.
type fixture struct {
	*pluginhost.Host
	dir  string
	temp string
	log  *syncBuffer
}

// newFixture makes a host and sees to it that the host leaves nothing behind: no goroutine, no process, no file.
func newFixture(t *testing.T, opts pluginhost.Options, modes ...string) *fixture {
	t.Helper()
	temp, err := os.MkdirTemp("", "ph-") //nolint:usetesting // t.TempDir's path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{temp: temp, log: &syncBuffer{}}
	dir := hosttest.Dir(t, modes...)
	f.dir = dir.Path
	opts.Dirs = append(opts.Dirs, dir)
	opts.TempDir = temp
	if opts.Environ == nil {
		opts.Environ = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + temp}
	}
	opts.Logger = hclog.New(&hclog.LoggerOptions{Output: f.log, Level: hclog.Info, DisableTime: true})
	f.Host, err = pluginhost.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	// What was there before, such as the testing package's own, is no leak of the host's.
	before, files := goleak.IgnoreCurrent(), openFiles(t)
	t.Cleanup(func() {
		f.close(t)
		goleak.VerifyNone(t, before)
		if now := openFiles(t); now > files {
			t.Errorf("there are %d open files, and there were %d", now, files)
		}
		if left, _ := os.ReadDir(temp); len(left) != 0 {
			t.Errorf("the host left %v in its temporary directory", left)
		}
		_ = os.RemoveAll(temp)
		if t.Failed() {
			t.Logf("the host's log:\n%s", f.log)
		}
	})
	return f
}

func (f *fixture) close(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.Close(ctx); err != nil {
		t.Errorf("closing the host: %v", err)
	}
}

// launch launches a plugin that must start.
func (f *fixture) launch(t *testing.T, mode string) *pluginhost.Plugin {
	t.Helper()
	p, err := f.Launch(t.Context(), pluginhost.Processor, mode)
	if err != nil {
		t.Fatalf("launching %s: %v", mode, err)
	}
	return p
}

// connect returns the present process of a plugin, which must come in time.
func connect(t *testing.T, p *pluginhost.Plugin) *pluginhost.Connection {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := p.Connect(ctx)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	return c
}

// await waits for a process to end.
func await(t *testing.T, c *pluginhost.Connection) {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Fatal("the process did not end")
	}
}

// wantReason checks an error of a plugin.
func wantReason(t *testing.T, err error, want pluginhost.Reason) {
	t.Helper()
	_ = faultOf(t, err, want)
}

// faultOf checks an error of a plugin, and returns it.
func faultOf(t *testing.T, err error, want pluginhost.Reason) *pluginhost.Error {
	t.Helper()
	var e *pluginhost.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v (%T), want a *pluginhost.Error", err, err)
	}
	if e.Reason != want {
		t.Fatalf("reason is %s, want %s; error: %v", e.Reason, want, err)
	}
	return e
}

// golden compares what people see with a file; the test's directories become words.
func (f *fixture) golden(t *testing.T, name, got string) {
	t.Helper()
	got = strings.ReplaceAll(got, f.dir, "$DIR")
	got = strings.ReplaceAll(got, f.temp, "$TMP")
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSuffix(string(want), "\n") != got {
		t.Errorf("%s differs.\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

// syncBuffer is a buffer that can be read while it is written, and waited on.
type syncBuffer struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{}
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// waitFor waits until the buffer holds text.
func (b *syncBuffer) waitFor(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		found := strings.Contains(b.buf.String(), text)
		if b.changed == nil {
			b.changed = make(chan struct{})
		}
		changed := b.changed
		b.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("the log never held %q:\n%s", text, b)
		}
	}
}
