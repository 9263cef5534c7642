package telemetry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// listen serves on a free port for the time of the test.
func listen(t *testing.T, options ServerOptions) *Server {
	t.Helper()
	options.Address = "127.0.0.1:0"
	s, err := Listen(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// get returns the status, the type and the body of an answer.
func get(t *testing.T, s *Server, method, path, accept string) (int, string, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Content-Type"), string(body)
}

// TestReadyz loses the source and gets it back.
func TestReadyz(t *testing.T) {
	h := NewHealth()
	h.Declare("source faktory")
	h.Set("plugins", nil)
	s := listen(t, ServerOptions{Health: h, Redact: func(text string) string { return strings.ReplaceAll(text, "hunter2", "****") }})
	ready := func(code int, text string) {
		t.Helper()
		if got, _, body := get(t, s, http.MethodGet, "/readyz", "*/*"); got != code || body != text {
			t.Errorf("got %d %q, want %d %q", got, body, code, text)
		}
	}
	ready(503, "plugins: ok\nsource faktory: not ready yet\n")
	h.Set("source faktory", nil)
	ready(200, "plugins: ok\nsource faktory: ok\n")
	h.Set("source faktory", errors.New("dial tcp://:hunter2@faktory:7419: connection refused"))
	ready(503, "plugins: ok\nsource faktory: dial tcp://:****@faktory:7419: connection refused\n")
	code, kind, body := get(t, s, http.MethodGet, "/readyz", "application/json")
	want := `{"ready":false,"checks":[{"name":"plugins","ok":true},{"name":"source faktory","ok":false,"why":"dial tcp://:****@faktory:7419: connection refused"}]}` + "\n"
	if code != 503 || kind != "application/json" || body != want {
		t.Errorf("got %d %s %s", code, kind, body)
	}
	if code, _, body := get(t, s, http.MethodGet, "/healthz", ""); code != 200 || body != "ok\n" {
		t.Errorf("a runner that is not ready is alive, but it says %d %q", code, body)
	}
	h.Set("source faktory", nil)
	ready(200, "plugins: ok\nsource faktory: ok\n")
	if code, _, body := get(t, s, http.MethodGet, "/readyz", "application/json"); code != 200 || !strings.Contains(body, `"ready":true`) {
		t.Errorf("got %d %s", code, body)
	}
}

func TestPaths(t *testing.T) {
	m := NewMetrics(Options{Version: "1.2.3"})
	exercise(m, faktory)
	plain, open := listen(t, ServerOptions{Metrics: m}), listen(t, ServerOptions{Metrics: m, Pprof: true})
	nothing := listen(t, ServerOptions{})
	for _, c := range []struct {
		name         string
		server       *Server
		method, path string
		code         int
		has          string
	}{
		{"metrics", plain, "GET", "/metrics", 200, `opslevel_runner_jobs_started{runner="faktory"} 2`},
		{"metrics of Go", plain, "GET", "/metrics", 200, "go_goroutines"},
		{"metrics of the process", plain, "GET", "/metrics", 200, "process_cpu_seconds_total"},
		{"metrics of the build", plain, "GET", "/metrics", 200, `version="1.2.3"`},
		{"nothing is written", plain, "POST", "/metrics", 405, ""},
		{"no metrics", nothing, "GET", "/metrics", 404, ""},
		{"ready with no health", nothing, "GET", "/readyz", 200, "ok"},
		{"no index", plain, "GET", "/", 404, ""},
		{"pprof is off", plain, "GET", "/debug/pprof/", 404, ""},
		{"pprof is off for profiles", plain, "GET", "/debug/pprof/heap", 404, ""},
		{"pprof", open, "GET", "/debug/pprof/", 200, "goroutine"},
		{"a profile", open, "GET", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
		{"a profile of some time", open, "GET", "/debug/pprof/profile?seconds=1", 200, ""},
		{"not the command line", open, "GET", "/debug/pprof/cmdline", 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, body := get(t, c.server, c.method, c.path, "")
			if code != c.code || !strings.Contains(body, c.has) {
				t.Errorf("got %d, want %d with %q:\n%.500s", code, c.code, c.has, body)
			}
		})
	}
}

// TestKeptNamesOnTheWire: Prometheus asks for OpenMetrics, in which a counter's name would have another end.
func TestKeptNamesOnTheWire(t *testing.T) {
	m := NewMetrics(Options{})
	m.JobStarted(faktory)
	s := listen(t, ServerOptions{Metrics: m})
	_, kind, body := get(t, s, http.MethodGet, "/metrics", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")
	if !strings.HasPrefix(kind, "text/plain") || !strings.Contains(body, "\nopslevel_runner_jobs_started{") {
		t.Errorf("%s:\n%s", kind, body)
	}
}

func TestAddressInUse(t *testing.T) {
	s := listen(t, ServerOptions{})
	_, err := Listen(ServerOptions{Address: s.Addr()})
	want := "serve metrics and health: the address " + s.Addr() + " is in use by another process, maybe another runner: stop that one, or " +
		`set another address in the block telemetry of runner.hcl, or "" to serve nothing`
	if got := message(err); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, err := Listen(ServerOptions{Address: "192.0.2.1:1"}); err == nil || !strings.Contains(err.Error(), "block telemetry") {
		t.Errorf("an address of another machine: %v", err)
	}
}

func TestNoAddress(t *testing.T) {
	s, err := Listen(ServerOptions{})
	if err != nil || s.Addr() != "" {
		t.Errorf("%q, %v", s.Addr(), err)
	}
	for _, s := range []*Server{s, nil} {
		if err := errors.Join(s.Close(t.Context()), s.Close(t.Context())); err != nil || s.Addr() != "" {
			t.Error(err)
		}
	}
}

// TestClose lets an answer that is under way end, and one that does not end in time is cut off.
func TestClose(t *testing.T) {
	for _, c := range []struct {
		name    string
		patient bool
	}{{"an answer ends", true}, {"an answer hangs", false}} {
		t.Run(c.name, func(t *testing.T) {
			h := NewHealth()
			asked, release := make(chan struct{}), make(chan struct{})
			h.Check("cluster", 0, func(context.Context) error {
				close(asked)
				<-release
				return nil
			})
			var log syncBuffer
			s, err := Listen(ServerOptions{Address: "127.0.0.1:0", Health: h, Logger: hclog.New(&hclog.LoggerOptions{Output: &log})})
			if err != nil {
				t.Fatal(err)
			}
			var answered sync.WaitGroup
			answered.Go(func() {
				client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
				r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+s.Addr()+"/readyz", nil)
				answer, err := client.Do(r)
				if err == nil {
					_ = answer.Body.Close()
				}
				if c.patient && (err != nil || answer.StatusCode != http.StatusOK) {
					t.Errorf("the answer was cut off: %v", err)
				}
			})
			<-asked
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if c.patient {
				ctx = t.Context()
				time.AfterFunc(50*time.Millisecond, func() { close(release) })
			}
			err = s.Close(ctx)
			if c.patient != (err == nil) {
				t.Errorf("closed with %v", err)
			}
			if !c.patient {
				close(release)
			}
			answered.Wait()
			if err := s.Close(t.Context()); err != nil {
				t.Errorf("the second time: %v", err)
			}
			if text := log.String(); text != "" {
				t.Errorf("logged: %s", text)
			}
		})
	}
}

// syncBuffer is a buffer for a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
