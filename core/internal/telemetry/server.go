package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// readTimeout bounds a request, which has no body.
	readTimeout = 5 * time.Second
	// writeTimeout bounds an answer, profileTimeout one of pprof, which may run for as long as it was asked to.
	writeTimeout   = 30 * time.Second
	profileTimeout = 3 * time.Minute
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 16 << 10
	// maxScrapes bounds those that gather at once: one for each of a few Prometheus servers, and a person's.
	maxScrapes = 8
)

// ServerOptions are what a Server is made of.
type ServerOptions struct {
	// Address is "host:port"; with no host it is all interfaces. Empty: nothing is served.
	Address string
	// Pprof serves Go's profiles under /debug/pprof/. They show what the process has in its memory to everyone who can
	// reach the address.
	Pprof bool
	// Metrics and Health may be nil: there are no metrics then, and the runner is always ready.
	Metrics *Metrics
	Health  *Health
	// Redact takes sensitive values out of what /readyz says. Nil: there are none.
	Redact func(string) string
	// Logger may be nil.
	Logger hclog.Logger
}

// Server serves /metrics, /healthz and /readyz. It is safe for concurrent use.
type Server struct {
	http    *http.Server
	address string
	done    chan struct{}
}

// Listen begins to serve. An error says why the address cannot be had, and what to do.
func Listen(options ServerOptions) (*Server, error) {
	if options.Address == "" {
		return &Server{}, nil
	}
	if options.Logger == nil {
		options.Logger = hclog.NewNullLogger()
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", options.Address)
	if err != nil {
		return nil, explain(options.Address, err)
	}
	s := &Server{http: newHTTP(options), address: listener.Addr().String(), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			options.Logger.Error("metrics and health are not served any more", "address", s.address, "error", err)
		}
	}()
	return s, nil
}

// explain says why an address cannot be had.
func explain(address string, err error) error {
	const advice = `set another address in the block telemetry of runner.hcl, or "" to serve nothing`
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("serve metrics and health: the address %s is in use by another process, maybe another runner: stop that one, or %s", address, advice)
	}
	return fmt.Errorf("serve metrics and health on %s: %w; %s", address, err, advice)
}

// newHTTP makes the server. It has a mux of its own: the default one is open to each package of the program.
func newHTTP(options ServerOptions) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", alive)
	mux.Handle("GET /readyz", &readiness{health: options.Health, redact: options.Redact})
	if registry := options.Metrics.Registry(); registry != nil {
		mux.Handle("GET /metrics", metricsHandler(registry, options.Logger))
	}
	write := writeTimeout
	if options.Pprof {
		write = profileTimeout
		profiles(mux)
	}
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      write,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          options.Logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}),
	}
}

// metricsHandler serves the metrics in Prometheus' text format. Not in that of OpenMetrics, though a server may ask for it:
// there each counter's name ends with "_total", and those that were kept would have other names.
func metricsHandler(registry *prometheus.Registry, logger hclog.Logger) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             writeTimeout / 2,
	})
}

// profiles adds those of pprof, but the command line.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

// Addr is the address that is served, with the port that the system has chosen for port 0; "" when nothing is.
func (s *Server) Addr() string {
	if s == nil {
		return ""
	}
	return s.address
}

// Close lets the answers that are under way end, within ctx, and stops serving. A second call does nothing.
func (s *Server) Close(ctx context.Context) error {
	if s == nil || s.http == nil {
		return nil
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.done
	return err
}
