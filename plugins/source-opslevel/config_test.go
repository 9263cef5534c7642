package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		config map[string]any
		want   []string
	}{
		{"the least", map[string]any{}, nil},
		{"all of it", map[string]any{
			"api_url": "http://127.0.0.1:1/", "queue": "q", "poll_interval": time.Minute.Nanoseconds(), "timeout": time.Second.Nanoseconds(),
			"ca_file": "/no/such/file", "user_agent_extras": "x",
		}, nil},
		{"no scheme", map[string]any{"api_url": "api.opslevel.com"}, []string{"api_url: Wrong URL"}},
		{"no host", map[string]any{"api_url": "https://"}, []string{"api_url: Wrong URL"}},
		{"a password", map[string]any{"api_url": "https://x:topsecret@h"}, []string{"api_url: Wrong URL"}},
		{"not a URL", map[string]any{"api_url": "https://x:topsecret@h:%"}, []string{"api_url: Wrong URL"}},
		{"a query", map[string]any{"api_url": "https://h/?t=topsecret"}, []string{"api_url: Wrong URL"}},
		{"with graphql", map[string]any{"api_url": "https://h/graphql/"}, []string{"api_url: Wrong URL"}},
		{"no token", map[string]any{"api_token": " "}, []string{"api_token: No API token"}},
		{"a token with a line end", map[string]any{"api_token": "topsecret\n"}, []string{"api_token: Wrong API token"}},
		{"polls too often", map[string]any{"poll_interval": time.Millisecond.Nanoseconds()}, []string{"poll_interval: Wrong time"}},
		{"waits too long", map[string]any{"timeout": time.Hour.Nanoseconds()}, []string{"timeout: Wrong time"}},
		{"extras with a line end", map[string]any{"user_agent_extras": "a\nb"}, []string{"user_agent_extras: Wrong text for a header"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.config["api_token"] == nil {
				c.config["api_token"] = "topsecret"
			}
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

func TestCertificateFiles(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	must(t, os.WriteFile(empty, []byte("nothing"), 0o600))
	for name, file := range map[string]string{"missing": "/no/such/file", "without a certificate": empty} {
		t.Run(name, func(t *testing.T) {
			var d sdk.Diagnostics
			(&config{CAFile: file}).Configure(t.Context(), &d)
			if !d.HasErrors() {
				t.Error("nothing is wrong with it")
			}
		})
	}
}
