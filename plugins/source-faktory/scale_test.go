package main

import (
	"context"
	"strings"
	"testing"

	"github.com/contribsys/faktory/client"

	"github.com/podrunner/runner/plugins/source-faktory/internal/faktory"
	"github.com/podrunner/runner/sdk/sdktest"
)

// TestScale: what a source makes of what its server says.
func TestScale(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		info                 string
		queues               []string
		current, concurrency int
		want                 int
	}{
		"nothing to do":               {`{"faktory":{"queues":{},"sets":{"working":0}}}`, nil, 4, 3, 0},
		"no server of today":          {`{}`, nil, 4, 3, 0},
		"one job":                     {`{"faktory":{"queues":{"default":1}}}`, nil, 0, 3, 1},
		"as many as fit":              {`{"faktory":{"queues":{"default":6}}}`, nil, 1, 3, 2},
		"one more than fits":          {`{"faktory":{"queues":{"default":7}}}`, nil, 1, 3, 3},
		"other queues are others'":    {`{"faktory":{"queues":{"default":3,"app":900}}}`, nil, 1, 3, 1},
		"all queues of the source":    {`{"faktory":{"queues":{"a":3,"b":3,"c":3}}}`, []string{"a=2", "b"}, 1, 3, 2},
		"what runs counts":            {`{"faktory":{"queues":{"default":1},"sets":{"working":6}}}`, nil, 2, 3, 3},
		"but only what can run here":  {`{"faktory":{"queues":{"default":1},"sets":{"working":600}}}`, nil, 2, 3, 3},
		"a factor":                    {`{"faktory":{"queues":{"default":301}}}`, nil, 1, 300, 2},
		"no concurrency":              {`{"faktory":{"queues":{"default":5}}}`, nil, 1, 0, 5},
		"a number that can't be true": {`{"faktory":{"queues":{"default":9223372036854775807}}}`, nil, 1, 1, maxRunners},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newFake(t, func(verb, _ string) string {
				if verb == "INFO" {
					return bulk(test.info)
				}
				return "-"
			})
			more := map[string]any{}
			if test.queues != nil {
				more["queues"] = test.queues
			}
			source := run(t, server.url(), sdktest.SourceOptions{Manual: true}, more)
			n, err := source.Scale(t.Context(), test.current, test.concurrency)
			if err != nil || n != test.want {
				t.Errorf("got %d, %v; want %d", n, err, test.want)
			}
		})
	}
}

// TestScaleFails: an answer that says nothing is an error, and no number.
func TestScaleFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ answer, want string }{
		"refused":       {"-ERR Redis is away", "ask Faktory for its queues: ERR Redis is away"},
		"not JSON":      {bulk("up"), "read what Faktory says of its queues"},
		"a lost answer": {"", "ask Faktory for its queues"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newFake(t, func(verb, _ string) string {
				if verb == "INFO" {
					return test.answer
				}
				return "-"
			})
			source := run(t, server.url(), sdktest.SourceOptions{Manual: true}, nil)
			if n, err := source.Scale(t.Context(), 1, 1); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %d, %v; want an error with %q", n, err, test.want)
			}
		})
	}
}

// TestRealScale: a real server's queues and reservations.
func TestRealScale(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	source := run(t, server.url(), sdktest.SourceOptions{Manual: true}, map[string]any{"queues": []string{"runner"}})
	want := func(replicas int) {
		t.Helper()
		if n, err := source.Scale(t.Context(), 3, 2); err != nil || n != replicas {
			t.Errorf("got %d, %v; want %d", n, err, replicas)
		}
	}
	want(0)
	for range 5 {
		server.push(on("runner"), simple("1"))
	}
	server.push(on("other"), simple("2"))
	want(3)
	must(t, server.do(func(conn *faktory.Conn) error { return conn.Push(context.Background(), later()) }))
	want(3) // its time has not come
	source.Grant(1)
	offer := source.Offer()
	source.Grant(0)
	want(3) // it runs, and four wait
	must(t, source.Report(t.Context(), success(offer)))
	want(2)
}

// later is a job for tomorrow.
func later() *client.Job {
	job := client.NewJob("legacy", simple("3"))
	job.Queue, job.At = "runner", "2100-01-01T00:00:00Z"
	return job
}
