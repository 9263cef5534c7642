// Package opsleveltest is an OpsLevel API for tests and for trying things out: a GraphQL server on 127.0.0.1 that knows
// what a runner asks for, and nothing else.
//
// It is strict. Requests are parsed, checked against a schema and executed; what the real API would refuse, as far as
// that is known, is refused: a runner or a job that is not known, a job of another runner, lines after the outcome, a second
// outcome, an empty chunk, lines that are not base64. It keeps what it was told, so that a test can compare; and a test can
// have it fail in every way that the API and the network between have been seen to ([Server.Fail], [Server.Judge],
// [Server.Down]).
//
// The schema is written from recorded exchanges, whose answers were made in the shape that the client reads; nothing here
// has been compared with the real service.
package opsleveltest

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Token is the API token that a Server takes unless it is told another.
const Token = "EXAMPLE-TOKEN"

// maxBodyBytes bounds a request.
const maxBodyBytes = 64 << 20

// Options say what a Server is like.
type Options struct {
	// Address is where it listens; empty: a free port of 127.0.0.1.
	Address string
	// Token is the API token; empty: Token.
	Token string
	// Account is the id of the account that the token is for; empty: one of the API's own.
	Account string
	// MaxRequestBytes is the size above which a request is answered with 413; 0: 64 MiB.
	MaxRequestBytes int
	// RefuseLine says which lines of a log make the API refuse the whole chunk. Nil: none. It is called by one goroutine at
	// a time, and must not call the Server.
	RefuseLine func(line []byte) bool
}

// Request is one request that a Server got. It is not changed once it can be seen.
type Request struct {
	// Operation is the name of the GraphQL operation; "" for the one without a name, "ping" for GET /api/ping.
	Operation string
	// Number counts the requests of this operation, from 1; Total those of all.
	Number, Total int
	// Method, Path and Header are those of HTTP.
	Method, Path string
	Header       http.Header
	// Body is as it came; Variables are those of the operation.
	Body      []byte
	Variables map[string]any
	// At is when it came.
	At time.Time
}

// Server is the API. Its methods are safe for concurrent use.
type Server struct {
	options Options
	address string

	// effects is held for reading while a request has its effect. times counts how often the server was up.
	effects sync.RWMutex
	times   int

	mu sync.Mutex
	// http serves; nil while the server is down.
	http     *http.Server
	served   chan struct{}
	judge    func(*Request) *Fault
	requests []*Request
	counts   map[string]int
	state    *state
	// changed is closed and made anew whenever the state has changed.
	changed chan struct{}
}

// Start starts a Server, which Close ends. The error says that the address can't be listened on.
func Start(options Options) (*Server, error) {
	if options.Token == "" {
		options.Token = Token
	}
	if options.Account == "" {
		options.Account = gid("Account", 1)
	}
	if options.MaxRequestBytes == 0 {
		options.MaxRequestBytes = maxBodyBytes
	}
	if options.Address == "" {
		options.Address = "127.0.0.1:0"
	}
	s := &Server{options: options, address: options.Address, counts: map[string]int{}, state: newState(), changed: make(chan struct{})}
	if err := s.Up(); err != nil {
		return nil, err
	}
	return s, nil
}

// URL is what a runner is given as the URL of the API.
func (s *Server) URL() string { return "http://" + s.address }

// Up listens again at the same address after Down, and must not be called without one. The error says that the address can't
// be listened on.
func (s *Server) Up() error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", s.address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	s.mu.Lock()
	s.address, s.http, s.served = listener.Addr().String(), server, served
	s.mu.Unlock()
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	return nil
}

// Down closes the port and cuts all connections. What the server knows is kept; a request that has had no effect by then has
// none any more. A second Down does nothing.
func (s *Server) Down() {
	s.effects.Lock()
	s.times++
	s.effects.Unlock()
	s.mu.Lock()
	server, served := s.http, s.served
	s.http = nil
	s.mu.Unlock()
	if server != nil {
		_ = server.Close()
		<-served
	}
}

// Close ends the server. The error is always nil.
func (s *Server) Close() error {
	s.Down()
	return nil
}

// Judge has every request judged before it is answered; nil, and an answer of nil, lets requests through. The function is
// called by several goroutines at once, and may call the Server's methods. [Server.Fail] is for what most tests need.
func (s *Server) Judge(judge func(*Request) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.judge = judge
}

// Fail has the request of an operation with a number go wrong, with 0 each request of the operation. It takes the place of
// what Judge was given.
func (s *Server) Fail(operation string, number int, fault Fault) {
	s.Judge(func(r *Request) *Fault {
		if r.Operation == operation && (number == 0 || r.Number == number) {
			return &fault
		}
		return nil
	})
}

// Requests returns all requests so far, those that failed as well, in the order in which they came.
func (s *Server) Requests() []*Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Request(nil), s.requests...)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.effects.RLock()
	times := s.times
	s.effects.RUnlock()
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBodyBytes))
	if err != nil {
		return // the client has gone
	}
	request := &Request{Method: r.Method, Path: r.URL.Path, Header: r.Header.Clone(), Body: body, At: time.Now()}
	var answer *answer
	var parsed *operation
	switch {
	case r.URL.Path == "/api/ping":
		request.Operation = "ping"
		answer = ping(r)
	case r.URL.Path != "/graphql":
		answer = text(http.StatusNotFound, "there is nothing here")
	default:
		answer = s.admit(r, body)
		if answer == nil {
			parsed, answer = parse(body, r.Header.Get("GraphQL-Visibility") == "internal")
		}
		if parsed != nil {
			request.Operation, request.Variables = parsed.name, parsed.variables
		}
	}
	fault := s.note(request)
	if fault != nil && !wait(r.Context(), fault.Delay) {
		return
	}
	if fault.before() {
		fault.answer(parsed).write(w)
		return
	}
	if answer == nil {
		if answer = s.effect(parsed, times); answer == nil {
			return
		}
	}
	if fault != nil {
		if !wait(r.Context(), fault.Late) {
			return
		}
		answer = fault.change(parsed, answer)
	}
	answer.write(w)
}

// effect does what a request asks for; nil when the server has been down since it came.
func (s *Server) effect(parsed *operation, times int) *answer {
	s.effects.RLock()
	defer s.effects.RUnlock()
	if s.times != times {
		return nil
	}
	return s.execute(parsed)
}

// note keeps a request, and has it judged.
func (s *Server) note(r *Request) *Fault {
	s.mu.Lock()
	s.counts[r.Operation]++
	r.Number, r.Total = s.counts[r.Operation], len(s.requests)+1
	s.requests = append(s.requests, r)
	judge := s.judge
	s.notify()
	s.mu.Unlock()
	if judge == nil {
		return nil
	}
	return judge(r)
}

// admit refuses what is no request of the API, or of nobody that it knows.
func (s *Server) admit(r *http.Request, body []byte) *answer {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case r.Method != http.MethodPost:
		return text(http.StatusMethodNotAllowed, "only POST")
	case media != "application/json":
		return text(http.StatusUnsupportedMediaType, "only application/json")
	case !bearer:
		return text(http.StatusUnauthorized, "no token")
	case len(body) > s.options.MaxRequestBytes:
		return text(http.StatusRequestEntityTooLarge, "too large")
	case subtle.ConstantTimeCompare([]byte(token), []byte(s.options.Token)) != 1:
		return graphQLErrors(GraphQLError{Message: "Please provide a valid OpsLevel API token"})
	}
	return nil
}

func ping(r *http.Request) *answer {
	switch {
	case r.Method != http.MethodGet:
		return text(http.StatusMethodNotAllowed, "only GET")
	case r.Header.Get("Authorization") != "":
		return text(http.StatusBadRequest, "this is for everybody; a token has no place here")
	}
	return &answer{status: http.StatusOK, body: map[string]any{
		"app_commit": "0123456789abcdef0123456789abcdef01234567", "app_date": "2026-07-09T00:00:00Z", "app_version": "2026.07.09",
	}}
}

// answer is what a request is answered with.
type answer struct {
	status int
	header http.Header
	// body is written as JSON, unless it is a string.
	body any
	// drop cuts the connection instead; cut does so in the middle of the answer.
	drop, cut bool
}

func text(status int, body string) *answer { return &answer{status: status, body: body} }

func (a *answer) write(w http.ResponseWriter) {
	if a.drop {
		hangUp(w)
		return
	}
	body, ok := a.body.(string)
	if !ok {
		encoded, err := json.Marshal(a.body)
		if err != nil {
			panic(err) // it is made of maps, lists and scalars
		}
		body = string(encoded)
	}
	for key, values := range a.header {
		w.Header()[key] = values
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	if a.cut {
		body = body[:len(body)/2]
	}
	_, _ = io.WriteString(w, body)
	if a.cut {
		hangUp(w)
	}
}

// hangUp resets the connection of a request.
func hangUp(w http.ResponseWriter) {
	conn, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = buffer.Flush()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// wait waits, and reports false when ctx has ended.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// notify wakes those who wait for a change. Callers hold mu.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Wait waits until a condition holds. It is looked at first, and then whenever a request has come or had its effect; it may
// call the Server's methods. The error says that ctx has ended.
func (s *Server) Wait(ctx context.Context, holds func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if holds() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(errors.New("what was waited for has not come"), ctx.Err())
		}
	}
}
