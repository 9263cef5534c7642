package cmd

import (
	"context"
	"sync"
	"time"

	"github.com/podrunner/runner/core/internal/telemetry"
	"github.com/podrunner/runner/core/internal/version"
)

const (
	// witnessTimeout is how long what the witnesses still have to tell may take when core ends, for each of them.
	witnessTimeout = 2 * time.Second
	// hurriedTimeout is the same when core is ended at once.
	hurriedTimeout = 500 * time.Millisecond
)

// witnesses tell others what becomes of jobs: traces and error reports. Both may be nil.
type witnesses struct {
	mu      sync.Mutex
	traces  *telemetry.Traces
	reports *telemetry.Reports
}

// witness has traces made and errors reported, if somebody wants that.
func (s *service) witness() error {
	t, v := s.config.Telemetry, version.String()
	reports, err := telemetry.NewReports(telemetry.ReportsOptions{
		DSN: t.SentryDSN, Environment: t.SentryEnvironment, Runner: s.config.Runner.Name, Version: v,
		Redact: s.app.redact.String, Logger: s.app.log.Named("telemetry"),
	})
	if err != nil {
		return usageError(err)
	}
	traces := telemetry.NewTraces(telemetry.TracesOptions{
		Runner: s.config.Runner.Name, Version: v,
		Redact: s.app.redact.String, Hide: s.app.redact.Always, Logger: s.app.log.Named("telemetry"),
	})
	s.witnesses.mu.Lock()
	s.witnesses.traces, s.witnesses.reports = traces, reports
	s.witnesses.mu.Unlock()
	s.later("traces and error reports", func(context.Context) error {
		s.witnesses.close(witnessTimeout)
		return nil
	})
	return nil
}

// close has them send what they have, at the same time and each for as long as bound at most.
func (w *witnesses) close(bound time.Duration) {
	w.mu.Lock()
	traces, reports := w.traces, w.reports
	w.mu.Unlock()
	var closing sync.WaitGroup
	closing.Go(func() { traces.Close(bound) })
	closing.Go(func() { reports.Close(bound) })
	closing.Wait()
}
