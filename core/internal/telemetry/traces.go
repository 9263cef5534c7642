package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/hashicorp/go-hclog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// scopeName is the name of what makes the spans.
const scopeName = "github.com/podrunner/runner/core"

// TracesOptions are what Traces are made of.
type TracesOptions struct {
	// Runner is the runner's name, Version that of core.
	Runner, Version string
	// Redact takes sensitive values out of every text of a span. Nil: there are none.
	Redact func(string) string
	// Hide is told of the keys among the variables, before anything else is done with them. May be nil.
	Hide func(values ...string)
	// Logger may be nil.
	Logger hclog.Logger
}

// Traces make a trace of each job and export it with OTLP. They are safe for concurrent use; a nil one does nothing. No
// method but Close waits: spans are exported by a goroutine of its own, and when many wait, new ones are dropped.
type Traces struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	runner   string
	redact   func(string) string
	logger   hclog.Logger
	cancel   context.CancelFunc
	closed   atomic.Bool
}

// NewTraces returns Traces as OpenTelemetry's variables say: nil when they ask for none, which they do unless there is an
// endpoint or an exporter among them. What is wrong with a variable is told in the log; jobs run all the same.
func NewTraces(options TracesOptions) *Traces {
	if options.Logger == nil {
		options.Logger = hclog.NewNullLogger()
	}
	if !tracesWanted(options.Logger) {
		return nil
	}
	if options.Redact == nil {
		options.Redact = func(text string) string { return text }
	}
	if options.Hide != nil {
		options.Hide(exporterKeys()...)
	}
	handleErrors(options)
	ctx, cancel := context.WithCancel(context.Background())
	exporter, err := newExporter(ctx, options.Logger)
	if err != nil {
		cancel()
		options.Logger.Error("traces can't be exported, and jobs run without", "error", options.Redact(err.Error()))
		return nil
	}
	// Sampler, limits and the sizes of batches are read from the environment by the SDK itself.
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(endable{exporter, ctx}),
		sdktrace.WithResource(describe(ctx, options)),
	)
	return &Traces{
		provider: provider, tracer: provider.Tracer(scopeName, trace.WithInstrumentationVersion(options.Version)),
		runner: options.Runner, redact: options.Redact, logger: options.Logger, cancel: cancel,
	}
}

// fromEnvironment returns the first of some variables that is set, and not empty, without blanks.
func fromEnvironment(names ...string) string {
	for _, name := range names {
		if value := strings.TrimSpace(os.Getenv(name)); value != "" {
			return value
		}
	}
	return ""
}

// tracesWanted reports whether the environment asks for traces.
func tracesWanted(logger hclog.Logger) bool {
	if strings.EqualFold(fromEnvironment("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	exporters := fromEnvironment("OTEL_TRACES_EXPORTER")
	if exporters == "" {
		return fromEnvironment("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT") != ""
	}
	wanted := false
	for name := range strings.SplitSeq(exporters, ",") {
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "otlp":
			wanted = true
		case "none", "":
		default:
			logger.Warn("OTEL_TRACES_EXPORTER names an exporter that core does not have; use otlp or none", "error", fmt.Sprintf("there is no exporter %q", label(name)))
		}
	}
	return wanted
}

// minKeyBytes tells a key from a word: what is shorter is some tenant's name or number, and stands in other texts, too.
const minKeyBytes = 16

// exporterKeys are the words of those headers that go with each export, and the passwords of endpoints.
func exporterKeys() (keys []string) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} {
		for pair := range strings.SplitSeq(os.Getenv(name), ",") {
			name, written, found := strings.Cut(pair, "=")
			value, err := url.PathUnescape(written)
			if err != nil {
				value = written
			}
			if !found || strings.ContainsAny(strings.TrimSpace(name), ": ") {
				// Written as HTTP has it, with a colon: the exporter takes the key for a part of the name, and complains about that.
				written += " " + pair + " " + name
			}
			for word := range strings.FieldsSeq(written + " " + value) {
				if len(word) >= minKeyBytes {
					keys = append(keys, word)
				}
			}
		}
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		endpoint := fromEnvironment(name)
		u, err := url.Parse(endpoint)
		if err != nil {
			// No URL, and so it is quoted, as a whole and up to what ends a host. The password is before the last @.
			_, after, _ := strings.Cut(endpoint, "://")
			if at := strings.LastIndex(after, "@"); at >= 0 {
				_, password, _ := strings.Cut(after[:at], ":")
				keys = append(keys, password)
				keys = append(keys, strings.FieldsFunc(password, func(c rune) bool { return strings.ContainsRune("#?/", c) })...)
			}
			continue
		}
		if password, ok := u.User.Password(); ok {
			keys = append(keys, password)
		}
	}
	return keys
}

// handleErrors has what OpenTelemetry has to say go into the log; by itself it would write to standard error.
func handleErrors(options TracesOptions) {
	c := &complaints{logger: options.Logger, redact: options.Redact}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { c.add(err.Error()) }))
	// At the default verbosity these are errors, and nothing else.
	otel.SetLogger(funcr.New(func(_, text string) { c.add(text) }, funcr.Options{}))
}

// newExporter returns the exporter that the variables name. It reads endpoint, headers, certificates and the like itself.
func newExporter(ctx context.Context, logger hclog.Logger) (sdktrace.SpanExporter, error) {
	protocol := fromEnvironment("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	client := otlptracehttp.NewClient()
	switch protocol {
	case "grpc":
		client = otlptracegrpc.NewClient()
	case "", "http/protobuf":
	default:
		logger.Warn("OTEL_EXPORTER_OTLP_PROTOCOL names a protocol that core does not have: traces are exported with http/protobuf; the other one is grpc",
			"error", fmt.Sprintf("there is no protocol %q", label(protocol)))
	}
	return otlptrace.New(ctx, client)
}

// describe is what stands for the runner in each trace. Nothing of the machine is in it; the variables may add, or change,
// what they like.
func describe(ctx context.Context, options TracesOptions) *resource.Resource {
	described, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", "runner"),
			attribute.String("service.version", options.Version),
			attribute.String("service.instance.id", options.Runner),
		),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(),
	)
	if err != nil {
		otel.Handle(err)
	}
	return described
}

// endable is an exporter whose exports end with a context: the SDK gives each of them half a minute, also when core ends.
type endable struct {
	sdktrace.SpanExporter
	life context.Context //nolint:containedctx // that of Traces
}

// ExportSpans implements sdktrace.SpanExporter.
func (e endable) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.life, cancel)()
	return e.SpanExporter.ExportSpans(ctx, spans)
}

// Close exports the spans that wait, for as long as bound at most, and ends the goroutine. What has not been exported by
// then is lost, and the log says so. A second call does nothing, and waits for nothing.
func (t *Traces) Close(bound time.Duration) {
	if t == nil || !t.closed.CompareAndSwap(false, true) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	defer t.cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.logger.Warn("traces were not exported in time, and are lost", "error", t.redact(err.Error()))
	}
}

// complaintsEvery is how often complaints of one kind go into the log at most.
const complaintsEvery = time.Minute

// complaints are what goes wrong with traces. It may be the same for every batch, for days.
type complaints struct {
	logger hclog.Logger
	redact func(string) string

	mu   sync.Mutex
	last time.Time
	// unsaid counts those that have not gone into the log since the last one that has.
	unsaid int
}

func (c *complaints) add(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.last.IsZero() && time.Since(c.last) < complaintsEvery {
		c.unsaid++
		return
	}
	c.logger.Warn("something is wrong with traces; jobs go on without", "error", cut(c.redact(text), maxWhyBytes), "unsaid", c.unsaid)
	c.last, c.unsaid = time.Now(), 0
}
