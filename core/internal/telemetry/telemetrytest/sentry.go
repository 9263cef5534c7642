// Package telemetrytest has servers for tests that take what a runner tells of itself: one that is Sentry to it, one that is
// a collector of OpenTelemetry.
package telemetrytest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Key is the public key of DSN.
const Key = "0123456789abcdef0123456789abcdef"

// Sentry takes error reports. It is safe for concurrent use.
type Sentry struct {
	t      testing.TB
	server *httptest.Server

	mu     sync.Mutex
	status int
	raw    bytes.Buffer
	events []map[string]any
}

// NewSentry starts one that ends with the test.
func NewSentry(t testing.TB) *Sentry {
	s := &Sentry{t: t, status: http.StatusOK}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

// DSN is that of a project of it.
func (s *Sentry) DSN() string { return strings.Replace(s.server.URL, "://", "://"+Key+"@", 1) + "/42" }

// Answer has it answer with a status from now on.
func (s *Sentry) Answer(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// Stop ends it; nobody listens at its address then.
func (s *Sentry) Stop() { s.server.Close() }

// Events returns the reports that have come, as JSON has them.
func (s *Sentry) Events() []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]map[string]any(nil), s.events...)
}

// Raw returns all that has come.
func (s *Sentry) Raw() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw.String()
}

// ServeHTTP takes an envelope: lines of JSON, a header and then a header and a payload for each item.
func (s *Sentry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path != "/api/42/envelope/" || !strings.Contains(r.Header.Get("X-Sentry-Auth"), "sentry_key="+Key) {
		s.t.Errorf("a request to %s with the headers %v", r.URL, r.Header)
	}
	s.raw.Write(body)
	if s.status != http.StatusOK {
		w.WriteHeader(s.status)
		return
	}
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(nil, 1<<20)
	for n, event := 0, false; lines.Scan(); n++ {
		var m map[string]any
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			s.t.Errorf("an envelope has the line %q: %v", lines.Bytes(), err)
		}
		switch {
		case n == 0:
		case event:
			s.events, event = append(s.events, m), false
		case m["type"] == "event":
			event = true
		default:
			s.t.Errorf("an item %v came that is no event", m)
		}
	}
}
