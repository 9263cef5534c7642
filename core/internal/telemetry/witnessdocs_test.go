package telemetry

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/telemetry/telemetrytest"
)

// section returns a section of docs/operations.md.
func section(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/operations.md has no section on %s", heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

// TestDocsTellOfTraces compares the spans of a job that goes through everything with the documentation.
func TestDocsTellOfTraces(t *testing.T) {
	c := telemetrytest.NewCollector(t)
	environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL()})
	traces, _ := newTraces(t)
	live(traces)
	traces.Close(2 * time.Second)
	text := section(t, "Traces")
	for _, span := range c.Spans() {
		_, row, ok := strings.Cut(text, "\n| `"+span.Name+"` |")
		if !ok {
			t.Errorf("the span %s is not described", span.Name)
		}
		row, _, _ = strings.Cut(row, "\n")
		for name := range span.Attributes {
			if !strings.Contains(row, "`"+name+"`") {
				t.Errorf("%s: the attribute %s is not described", span.Name, name)
			}
		}
		for _, event := range span.Events {
			if !strings.Contains(row, "`"+event.Name+"`") {
				t.Errorf("%s: the event %s is not described", span.Name, event.Name)
			}
		}
	}
}

// TestDocsTellOfReports does the same for reports.
func TestDocsTellOfReports(t *testing.T) {
	s := telemetrytest.NewSentry(t)
	r, _ := newReports(t, s.DSN())
	r.Job(failedJob(r))
	r.Plugin(PluginReport{Kind: "source", Name: "x", Reason: "ended", What: "it ended", Output: "last words"})
	r.Panic(PanicReport{Pipeline: pipelineP, Number: "1", Value: "oh"})
	r.Close(2 * time.Second)
	text := section(t, "Error reports")
	events := s.Events()
	if len(events) != 3 {
		t.Fatalf("there are %d events", len(events))
	}
	for _, event := range events {
		names := map[string]any{}
		for _, part := range []string{"tags", "contexts"} {
			inner, _ := event[part].(map[string]any)
			for name, value := range inner {
				names[name] = value
				keys, _ := value.(map[string]any)
				for key := range keys {
					names[key] = nil
				}
			}
		}
		for name := range names {
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("%s is not described", name)
			}
		}
	}
}
