package api

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// answering is a client of an API that always answers in one way.
func answering(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	c := New(Options{URL: server.URL, Token: "t", Timeout: 10 * time.Second})
	t.Cleanup(c.Close)
	return c
}

func text200(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

var oneLine = Append{Runner: "r", Job: "j", Lines: [][]byte{[]byte("a")}}

// TestNoPayload: an answer with neither a payload nor an error does not say that the operation has worked.
func TestNoPayload(t *testing.T) {
	for _, body := range []string{`{"data":null}`, `{"data":{}}`, `{"data":{"runnerAppendJobLog":null,"runnerReportJobOutcome":null,"runnerGetPendingJob":null,"runnerUnregister":null,"runnerRegister":null}}`} {
		c := answering(t, text200(body))
		_, _, pending := c.Pending(t.Context(), "r", "")
		_, register := c.Register(t.Context(), "")
		for name, err := range map[string]error{
			"append": c.Append(t.Context(), oneLine), "report": c.Report(t.Context(), Report{Runner: "r", Job: "j", Outcome: "failed"}),
			"pending": pending, "register": register, "unregister": c.Unregister(t.Context(), "r"),
		} {
			if !is(err, Undecodable) {
				t.Errorf("%s, %s: %v", body, name, err)
			}
		}
	}
}

// TestRedirect: what is meant for the API goes nowhere else, and never without encryption when it began with it.
func TestRedirect(t *testing.T) {
	var strayed atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		strayed.Add(1)
		_, _ = io.WriteString(w, `{"data":{"runnerAppendJobLog":{"errors":[]}}}`)
	}))
	defer other.Close()
	_, port, _ := net.SplitHostPort(other.Listener.Addr().String())
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := answering(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://localhost:"+port+"/graphql?key=s3cr3t", status)
		})
		err := c.Append(t.Context(), oneLine)
		if err == nil || !strings.Contains(err.Error(), "http://localhost:"+port) || !strings.Contains(err.Error(), "api_url") || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%d: %v", status, err)
		}
		if _, err := c.Ping(t.Context()); err == nil {
			t.Errorf("%d: the ping has worked", status)
		}
	}
	if n := strayed.Load(); n != 0 {
		t.Errorf("%d requests went to another server", n)
	}
}

// TestConnectionsAreKept: an answer is read to its end, so that the next request needs no new connection.
func TestConnectionsAreKept(t *testing.T) {
	var conns atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data":{"runnerAppendJobLog":{"errors":[]}}}`)
		_ = http.NewResponseController(w).Flush() // so it comes in chunks
		_, _ = io.WriteString(w, "\n")
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	c := New(Options{URL: server.URL, Token: "t", Timeout: 10 * time.Second})
	defer c.Close()
	for range 10 {
		if err := c.Append(t.Context(), oneLine); err != nil {
			t.Fatal(err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("10 requests took %d connections", n)
	}
}

// TestDeadConnection: a connection whose other end has vanished without a word is not used for long.
func TestDeadConnection(t *testing.T) {
	server := httptest.NewUnstartedServer(text200(`{"data":{"runnerAppendJobLog":{"errors":[]}}}`))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	between := startHole(t, server.Listener.Addr().String())
	c := New(Options{URL: "https://" + between.address(), Token: "t", Timeout: 2 * time.Second, Roots: roots})
	defer c.Close()
	if err := c.Append(t.Context(), oneLine); err != nil {
		t.Fatal(err)
	}
	between.swallow()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		if err = c.Append(ctx, oneLine); err == nil {
			return
		}
	}
	t.Errorf("after a minute: %v", err)
}

// hole passes connections on, until it is told to swallow what comes on those that there are.
type hole struct {
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	dead     map[net.Conn]bool
}

func startHole(t *testing.T, to string) *hole {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hole{listener: listener, dead: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			h.mu.Lock()
			h.conns = append(h.conns, in, out)
			h.mu.Unlock()
			wg.Go(func() { h.pass(in, out) })
			wg.Go(func() { h.pass(out, in) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		h.mu.Lock()
		for _, conn := range h.conns {
			_ = conn.Close()
		}
		h.mu.Unlock()
		wg.Wait()
	})
	return h
}

func (h *hole) address() string { return h.listener.Addr().String() }

func (h *hole) swallow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, conn := range h.conns {
		h.dead[conn] = true
	}
}

func (h *hole) pass(from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		h.mu.Lock()
		dead := h.dead[from]
		h.mu.Unlock()
		if !dead {
			_, _ = to.Write(buffer[:n])
		}
	}
}

// TestBrokenOff: a request that was broken off on its way may have had its effect.
func TestBrokenOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	err := c.Append(ctx, oneLine)
	if !errors.Is(err, context.Canceled) || !MayHaveWorked(err) {
		t.Errorf("may have worked: %v; %v", MayHaveWorked(err), err)
	}
}

// TestLongMessages: what the API says goes into logs and headers, so it is cut.
func TestLongMessages(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	for _, body := range []string{
		`{"errors":[{"message":"` + long + `"}]}`,
		`{"data":{"runnerAppendJobLog":{"errors":[{"message":"` + long + `","path":["base"]}]}}}`,
	} {
		err := answering(t, text200(body)).Append(t.Context(), oneLine)
		if err == nil || len(err.Error()) > 10_000 || !strings.Contains(err.Error(), "éé") || strings.ToValidUTF8(err.Error(), "") != err.Error() {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

// TestRetryAfterOfAnotherClock: a date is one of the API's clock, however wrong that is.
func TestRetryAfterOfAnotherClock(t *testing.T) {
	for _, wrong := range []time.Duration{-time.Hour, time.Hour} {
		c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			now := time.Now().Add(wrong)
			w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
			w.Header().Set("Retry-After", now.Add(time.Minute).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		begun := time.Now()
		if err := c.Append(t.Context(), oneLine); !is(err, Unavailable) {
			t.Fatal(err)
		}
		if wait := c.gate.until.Sub(begun); wait < 30*time.Second || wait > 90*time.Second {
			t.Errorf("a clock that is wrong by %s: the gate is shut for %s", wrong, wait)
		}
	}
}

// TestRedirectOnTheSameHost: a redirect that changes nothing about the request is followed.
func TestRedirectOnTheSameHost(t *testing.T) {
	var token atomic.Value
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/graphql" {
			http.Redirect(w, r, "/v2/graphql", http.StatusPermanentRedirect)
			return
		}
		token.Store(r.Method + " " + r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, `{"data":{"runnerAppendJobLog":{"errors":[]}}}`)
	})
	if err := c.Append(t.Context(), oneLine); err != nil || token.Load() != "POST Bearer t" {
		t.Errorf("%v; the request was %v", err, token.Load())
	}
}

// TestAJobIsNeverOverlooked: whatever comes beside a job, this runner has it. Fields come in the order of the query.
func TestAJobIsNeverOverlooked(t *testing.T) {
	const job = `"runnerJob":{"id":"a","image":"i","commands":["c"]}`
	for _, body := range []string{
		`{"data":{"runnerGetPendingJob":{` + job + `,"errors":[{"message":"m","path":["base"]}]}}}`,
		`{"data":{"runnerGetPendingJob":{"errors":"m",` + job + `}}}`,
		`{"data":{"runnerGetPendingJob":{` + job + `,"lastUpdateToken":{"x":1},"errors":[{"message":null,"path":"base"}]}}}`,
		`{"errors":[{"message":"m"}],"data":{"runnerGetPendingJob":{` + job + `}}}`,
		`{"errors":[{"message":1,"path":"p","locations":{},"extensions":[]}],"data":{"runnerGetPendingJob":{` + job + `}}}`,
		`{"errors":"m","data":{"runnerGetPendingJob":{` + job + `}}}`,
		`{"data":{"runnerGetPendingJob":{` + job + `}},"errors":[null]}`,
		`{"data":{"runnerGetPendingJob":{` + job + `}},"errors":{}}`,
		`{"extensions":1,"data":{"runnerGetPendingJob":{` + job + `}}}`,
	} {
		got, _, err := answering(t, text200(body)).Pending(t.Context(), "r", "")
		if err != nil || got == nil || got.ID != "a" {
			t.Errorf("%s: %v, %v", body, got, err)
		}
	}
}

// TestBadRequest: that a request is bad is a refusal when the API itself says so. A proxy may say it of any request, for a
// while, and no line is to be lost by that.
func TestBadRequest(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		kind   Kind
		says   string
	}{
		{400, "<html><body><h1>400 Bad request</h1></body></html>", Failed, "not from the API"},
		{422, "", Failed, "not from the API"},
		{400, `{"message":"no Route matched"}`, Failed, "not from the API"},
		{400, `{"errors":[]}`, Failed, "not from the API"},
		{400, `{"errors":[{"message":"line 1 is not UTF-8","path":["runnerAppendJobLog",0,"logChunk"]}]}`, Refused, "the answer is 400 Bad Request: line 1 is not UTF-8"},
		{422, `{"errors":["it can't be processed"]}`, Refused, "the answer is 422"},
		{413, "<html>", Refused, "413"},
	} {
		c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
		})
		if err := c.Append(t.Context(), oneLine); !is(err, test.kind) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%d, %s: %v", test.status, test.body, err)
		}
	}
}
