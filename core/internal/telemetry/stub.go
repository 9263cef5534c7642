package telemetry

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"
)

type (
	Metrics  struct{}
	Health   struct{}
	Pipeline struct{ Name, Source, Executor string }
	JobEnd   struct {
		Outcome, Reason         string
		Pending, Running, Total time.Duration
		Started                 bool
	}
	PhaseGauge    struct{}
	Options       struct{ Namespace, Version string }
	ServerOptions struct {
		Address string
		Pprof   bool
		Metrics *Metrics
		Health  *Health
		Logger  hclog.Logger
	}
	Server struct{}
)

func NewMetrics(Options) *Metrics                                        { return nil }
func NewHealth() *Health                                                 { return nil }
func Listen(ServerOptions) (*Server, error)                              { return nil, nil }
func (*Server) Addr() string                                             { return "" }
func (*Server) Close(context.Context) error                              { return nil }
func (*Metrics) JobStarted(Pipeline)                                     {}
func (*Metrics) JobFinished(Pipeline, JobEnd)                            {}
func (*Metrics) Offer(Pipeline, string)                                  {}
func (*Metrics) Phase(Pipeline) *PhaseGauge                              { return nil }
func (*PhaseGauge) Set(string, string)                                   {}
func (*PhaseGauge) Close()                                               {}
func (*Metrics) Slots(Pipeline, int, int)                                {}
func (*Metrics) Concurrency(int)                                         {}
func (*Metrics) Draining(bool)                                           {}
func (*Metrics) SourceConnected(Pipeline, bool)                          {}
func (*Metrics) Delivered(Pipeline, int, int, time.Duration)             {}
func (*Metrics) DeliveryRetry(Pipeline, string)                          {}
func (*Metrics) LinesLost(Pipeline, int)                                 {}
func (*Metrics) ReportLost(Pipeline)                                     {}
func (*Metrics) StageIn(Pipeline, string, int, int)                      {}
func (*Metrics) StageOut(Pipeline, string, int, int)                     {}
func (*Metrics) PluginRestarted(string, string)                          {}
func (*Metrics) PluginUp(string, string, bool)                           {}
func (*Metrics) SourceCount(Pipeline, string, uint64) error              { return nil }
func (*Health) Set(string, error)                                        {}
func (*Health) Declare(string)                                           {}
func (*Health) Check(string, time.Duration, func(context.Context) error) {}
func (*Health) Ready(context.Context) error                              { return nil }
