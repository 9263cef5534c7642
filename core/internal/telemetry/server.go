package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ServerOptions say what a Server shows.
type ServerOptions struct {
	// Address is what it listens on, such as 127.0.0.1:10354.
	Address string
	// Pprof shows profiles of the process, which hold names and, in part, contents of its memory.
	Pprof   bool
	Metrics *Metrics
	Health  *Health
	// Redact takes sensitive values out of what /readyz says; nil: it holds none.
	Redact func(string) string
	Logger hclog.Logger
}

// Server shows metrics and health over HTTP: /metrics, /healthz, /readyz and, if asked for, /debug/pprof/.
type Server struct {
	http     *http.Server
	listener net.Listener
	done     chan struct{}
}

// Listen starts a server.
func Listen(o ServerOptions) (*Server, error) {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	listener, err := net.Listen("tcp", o.Address)
	if err != nil {
		advice := "mend address in the block telemetry, or set it to \"\" to do without metrics"
		if errors.Is(err, syscall.EADDRINUSE) {
			advice = "another program has it; choose another address in the block telemetry, or set it to \"\" to do without metrics"
		}
		return nil, fmt.Errorf("serve metrics on %s: %w; %s", o.Address, err, advice)
	}
	s := &Server{listener: listener, done: make(chan struct{})}
	s.http = &http.Server{
		Handler:           handler(o),
		ErrorLog:          o.Logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		// A profile of half a minute is a usual one.
		WriteTimeout:   time.Minute,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 16 << 10,
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			o.Logger.Error("metrics and health are no longer served", "error", err)
		}
	}()
	return s, nil
}

func handler(o ServerOptions) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics.Registry(), promhttp.HandlerOpts{
		ErrorLog: o.Logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Error}),
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { readyz(o, w, r) })
	if o.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// readyz answers with a line for each thing that has to be good.
func readyz(o ServerOptions, w http.ResponseWriter, r *http.Request) {
	var lines strings.Builder
	code := http.StatusOK
	for _, s := range o.Health.States(r.Context()) {
		text := "ok"
		if s.Err != nil {
			code, text = http.StatusServiceUnavailable, strings.Join(strings.Fields(s.Err.Error()), " ")
		}
		fmt.Fprintf(&lines, "%s: %s\n", s.Name, text)
	}
	text := lines.String()
	if o.Redact != nil {
		text = o.Redact(text)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
}

// Addr is the address that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends the server; requests that are being answered have until the end of ctx.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	<-s.done
	return err
}
