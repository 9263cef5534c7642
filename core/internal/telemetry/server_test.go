package telemetry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// listen starts a server, and returns what answers to a path.
func listen(t *testing.T, o ServerOptions) func(path string) (int, string) {
	t.Helper()
	o.Address = "127.0.0.1:0"
	if o.Metrics == nil {
		o.Metrics = NewMetrics(Options{Namespace: "x"})
	}
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return func(path string) (int, string) {
		t.Helper()
		response, err := client.Get("http://" + s.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close() //nolint:errcheck // it was only read
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
}

func TestServer(t *testing.T) {
	get := listen(t, ServerOptions{})
	for path, want := range map[string]struct {
		code int
		text string
	}{
		"/healthz":      {200, "ok\n"},
		"/readyz":       {200, ""},
		"/metrics":      {200, "x_build_info{"},
		"/debug/pprof/": {404, ""},
		"/":             {404, ""},
	} {
		if code, text := get(path); code != want.code || !strings.Contains(text, want.text) {
			t.Errorf("%s: got %d, %.200s", path, code, text)
		}
	}
}

func TestPprof(t *testing.T) {
	get := listen(t, ServerOptions{Pprof: true})
	if code, text := get("/debug/pprof/goroutine?debug=1"); code != 200 || !strings.Contains(text, "goroutine profile") {
		t.Errorf("got %d, %.200s", code, text)
	}
}

func TestReady(t *testing.T) {
	h := NewHealth()
	get := listen(t, ServerOptions{Health: h, Redact: func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") }})
	want := func(code int, text string) {
		t.Helper()
		if gotCode, got := get("/readyz"); gotCode != code || got != text {
			t.Errorf("got %d, %q, want %d, %q", gotCode, got, code, text)
		}
	}
	h.Declare("plugins")
	want(503, "plugins: not ready yet\n")
	h.Set("plugins", nil)
	want(200, "plugins: ok\n")
	h.Set("source", errors.New("connection to hunter2 refused,\ntwice"))
	want(503, "plugins: ok\nsource: connection to *** refused, twice\n")
	h.Set("source", nil)
	h.Declare("source") // says nothing new
	want(200, "plugins: ok\nsource: ok\n")
	if err := h.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	h.Set("source", errors.New("gone"))
	if err := h.Ready(t.Context()); err == nil || err.Error() != "source: gone" {
		t.Errorf("the error is %v", err)
	}
}

// TestChecks: what is looked at when somebody asks is not looked at more often than it should be, and does not hang.
func TestChecks(t *testing.T) {
	h := NewHealth()
	calls := 0
	h.Check("cluster", time.Hour, func(ctx context.Context) error {
		calls++
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > checkTimeout {
			t.Error("the check has no deadline")
		}
		return errors.New("away")
	})
	for range 3 {
		if err := h.Ready(t.Context()); err == nil || err.Error() != "cluster: away" {
			t.Errorf("the error is %v", err)
		}
	}
	if calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
}

func TestAddressInUse(t *testing.T) {
	first, err := Listen(ServerOptions{Address: "127.0.0.1:0", Metrics: NewMetrics(Options{Namespace: "x"})})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close(context.Background()) //nolint:errcheck // nobody asks
	_, err = Listen(ServerOptions{Address: first.Addr(), Metrics: NewMetrics(Options{Namespace: "x"})})
	if err == nil || !strings.Contains(err.Error(), first.Addr()) || !strings.Contains(err.Error(), "another program has it") {
		t.Errorf("the error is %v", err)
	}
}
