package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/plugins/source-faktory/internal/faktory"
	"github.com/podrunner/runner/sdk/sdktest"
)

func TestValidate(t *testing.T) {
	cases := []struct {
		name   string
		config map[string]any
		want   []string
	}{
		{"the defaults", map[string]any{}, nil},
		{"all of it", map[string]any{
			"url": "tcp+tls://user:p@h:1", "ca_file": "/no/such/file", "provider": "X_URL", "pass_url": true, "queues": []string{"a=3", "b, c"},
			"job_types": []string{"x", "y"}, "labels": []string{}, "follow_up_queue": "q", "infrastructure": "ack",
		}, nil},
		{"a scheme", map[string]any{"url": "http://:topsecret@h"}, []string{"url: Wrong URL"}},
		{"no host", map[string]any{"url": "tcp://:topsecret@:7419"}, []string{"url: Wrong URL"}},
		{"no URL", map[string]any{"url": "tcp://:top%secret@h"}, []string{"url: Wrong URL"}},
		{"a path", map[string]any{"url": "tcp://:topsecret@h:1/x"}, []string{"url: Wrong URL"}},
		{"certificates without TLS", map[string]any{"url": "tcp://h", "ca_file": "f"}, []string{"ca_file: Certificates without TLS"}},
		{"a provider that is a URL", map[string]any{"provider": "tcp://:topsecret@h"}, []string{"provider: URL where a name belongs"}},
		{"no queues", map[string]any{"queues": []string{}}, []string{"queues: No queues"}},
		{"wrong queues", map[string]any{"queues": []string{"a", "b/c", "a d=2", "e=0,f=x"}}, []string{
			"queues[1]: Wrong name of a queue", "queues[2]: Queue twice", "queues[3]: Wrong weight of a queue", "queues[3]: Wrong weight of a queue",
		}},
		{"nothing but a separator", map[string]any{"queues": []string{" , "}}, []string{"queues: No queues"}},
		{"no types", map[string]any{"job_types": []string{}}, []string{"job_types: No job types"}},
		{"the queue of follow-ups", map[string]any{"follow_up_queue": "a b"}, []string{"follow_up_queue: Wrong name of a queue"}},
		{"another policy", map[string]any{"infrastructure": "retry"}, []string{"infrastructure: Wrong value"}},
		{"no time", map[string]any{"dial_timeout": 0}, []string{"dial_timeout: No time"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, d := range sdktest.Validate(t, plugin, c.config) {
				if d.Detail == "" || strings.Contains(d.Detail+d.Summary, "topsecret") {
					t.Errorf("%+v", d)
				}
				got = append(got, d.Path+": "+d.Summary)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	cases := []struct {
		name    string
		environ map[string]string
		want    string
	}{
		{"nothing", nil, "tcp://localhost:7419"},
		{"the URL", map[string]string{"FAKTORY_URL": "tcp://a"}, "tcp://a"},
		{"a provider", map[string]string{"FAKTORY_PROVIDER": "X_URL", "X_URL": "tcp://x", "FAKTORY_URL": "tcp://a"}, "tcp://x"},
		{"a provider whose variable is missing", map[string]string{"FAKTORY_PROVIDER": "X_URL", "FAKTORY_URL": "tcp://a"}, "tcp://a"},
		{"only that", map[string]string{"FAKTORY_PROVIDER": "X_URL"}, "tcp://localhost:7419"},
		{"a provider that is a URL", map[string]string{"FAKTORY_PROVIDER": "tcp://:topsecret@h", "FAKTORY_URL": "tcp://a"}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := faktory.EnvironmentURL(func(name string) (string, bool) {
				v, ok := c.environ[name]
				return v, ok
			})
			if got != c.want || (err != nil) != (c.want == "") || err != nil && strings.Contains(err.Error(), "topsecret") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestWeightsGiveTheirShare(t *testing.T) {
	list, problems := parseQueues([]string{"a=3", "b=1", "c"})
	if problems != nil {
		t.Fatal(problems)
	}
	first := map[string]int{}
	const n = 10_000
	for range n {
		order := list.order()
		if len(order) != 3 {
			t.Fatalf("a queue is missing: %v", order)
		}
		first[order[0]]++
	}
	for name, share := range map[string]float64{"a": 0.6, "b": 0.2, "c": 0.2} {
		if got := float64(first[name]) / n; got < share-0.03 || got > share+0.03 {
			t.Errorf("%s is first in %.3f of all orders, want %.1f", name, got, share)
		}
	}
}
