package telemetrytest

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Collector takes traces, with OTLP over HTTP and over gRPC. It is safe for concurrent use.
type Collector struct {
	collectorv1.UnimplementedTraceServiceServer
	t    testing.TB
	http *httptest.Server
	grpc *grpc.Server
	addr string

	mu       sync.Mutex
	raw      bytes.Buffer
	resource map[string]any
	spans    []Span
}

// Span is a span that has come.
type Span struct {
	Trace, ID, Parent string
	Name              string
	Kind              tracev1.Span_SpanKind
	Start, End        time.Time
	Attributes        map[string]any
	Events            []Event
	// Failed: its status is an error, and Message says why.
	Failed  bool
	Message string
}

// Event is an event of a span.
type Event struct {
	Name       string
	Attributes map[string]any
}

// NewCollector starts one that ends with the test.
func NewCollector(t testing.TB) *Collector {
	c := &Collector{t: t, grpc: grpc.NewServer()}
	c.http = httptest.NewServer(c)
	collectorv1.RegisterTraceServiceServer(c.grpc, c)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.addr = listener.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.grpc.Serve(listener)
	}()
	t.Cleanup(func() {
		c.http.Close()
		c.grpc.Stop()
		<-done
	})
	return c
}

// URL is where it takes OTLP over HTTP, GRPC where over gRPC.
func (c *Collector) URL() string  { return c.http.URL }
func (c *Collector) GRPC() string { return "http://" + c.addr }

// Spans returns the spans that have come, in the order in which they ended, as far as that is known.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Span returns the only span of a name.
func (c *Collector) Span(name string) Span {
	c.t.Helper()
	var found []Span
	for _, s := range c.Spans() {
		if s.Name == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		c.t.Fatalf("there are %d spans %q in %+v", len(found), name, c.Spans())
	}
	return found[0]
}

// Resource returns the attributes of what the last spans are of.
func (c *Collector) Resource() map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resource
}

// Raw returns all that has come.
func (c *Collector) Raw() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw.String()
}

// ServeHTTP implements OTLP over HTTP.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.t.Errorf("a request to %s with the headers %v: %v", r.URL, r.Header, err)
	}
	request := &collectorv1.ExportTraceServiceRequest{}
	if err := proto.Unmarshal(body, request); err != nil {
		c.t.Error(err)
	}
	answer, err := c.Export(r.Context(), request)
	if err != nil {
		c.t.Error(err)
	}
	text, err := proto.Marshal(answer)
	if err != nil {
		c.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(text)
}

// Export implements OTLP over gRPC.
func (c *Collector) Export(_ context.Context, request *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	c.raw.Write(text)
	for _, of := range request.GetResourceSpans() {
		c.resource = attributes(of.GetResource().GetAttributes())
		for _, scope := range of.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				c.spans = append(c.spans, spanOf(span))
			}
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

func spanOf(in *tracev1.Span) Span {
	s := Span{
		Trace: hex.EncodeToString(in.GetTraceId()), ID: hex.EncodeToString(in.GetSpanId()), Parent: hex.EncodeToString(in.GetParentSpanId()),
		Name: in.GetName(), Kind: in.GetKind(), Start: at(in.GetStartTimeUnixNano()), End: at(in.GetEndTimeUnixNano()),
		Attributes: attributes(in.GetAttributes()),
		Failed:     in.GetStatus().GetCode() == tracev1.Status_STATUS_CODE_ERROR, Message: in.GetStatus().GetMessage(),
	}
	for _, e := range in.GetEvents() {
		s.Events = append(s.Events, Event{Name: e.GetName(), Attributes: attributes(e.GetAttributes())})
	}
	return s
}

func at(nanoseconds uint64) time.Time { return time.Unix(0, int64(nanoseconds)) } //nolint:gosec // until the year 2262

func attributes(in []*commonv1.KeyValue) map[string]any {
	out := map[string]any{}
	for _, a := range in {
		switch v := a.GetValue().GetValue().(type) {
		case *commonv1.AnyValue_StringValue:
			out[a.GetKey()] = v.StringValue
		case *commonv1.AnyValue_IntValue:
			out[a.GetKey()] = v.IntValue
		default:
			out[a.GetKey()] = a.GetValue().String()
		}
	}
	return out
}
