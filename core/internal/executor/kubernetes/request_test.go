package kubernetes

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestRequestTimeout asks a server that does not answer, or not to the end. Watches are left alone.
func TestRequestTimeout(t *testing.T) {
	gone := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/silent" {
			_, _ = io.WriteString(w, "begun")
			w.(http.Flusher).Flush() //nolint:forcetypeassert // it is one
		}
		if r.URL.Path == "/whole" {
			return
		}
		select {
		case <-r.Context().Done():
		case <-gone:
		}
	}))
	defer server.Close()
	defer close(gone)
	client := &http.Client{Transport: &bounded{next: http.DefaultTransport, timeout: 100 * time.Millisecond}}
	defer client.CloseIdleConnections()

	for _, c := range []struct {
		path     string
		deadline bool
	}{{"/whole", false}, {"/silent", true}, {"/half", true}, {"/half?watch=true", false}} {
		t.Run(c.path, func(t *testing.T) {
			own := time.Minute
			if !c.deadline {
				own = 400 * time.Millisecond
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), own, errors.New("the test's own"))
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.Do(r)
			if err == nil {
				defer func() { _ = res.Body.Close() }()
				_, err = io.ReadAll(res.Body)
			}
			ended := ctx.Err() == nil // before the test's own time was over
			switch {
			case c.path == "/whole" && err != nil:
				t.Error(err)
			case c.deadline && (!errors.Is(err, context.DeadlineExceeded) || !passes(err) || !ended):
				t.Errorf("before the test's own end: %v, error %v", ended, err)
			case c.path == "/silent" && !strings.Contains(err.Error(), "request_timeout"):
				t.Errorf("the setting is not named: %v", err)
			case strings.HasSuffix(c.path, "watch=true") && ended:
				t.Errorf("a watch has ended: %v", err)
			}
		})
	}
}

// TestNoRequestTimeout: with none, a request ends when its caller says so.
func TestNoRequestTimeout(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "all of it") }))
	defer server.Close()
	client := &http.Client{Transport: &bounded{next: http.DefaultTransport}}
	defer client.CloseIdleConnections()
	res, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "all of it" {
		t.Errorf("%q, %v", body, err)
	}
}
