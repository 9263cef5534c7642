package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// TestDSNIsHidden: where error reports go is a secret, and so is the key in it, from the moment that it is read.
func TestDSNIsHidden(t *testing.T) {
	const dsn = "https://0123456789abcdef@sentry.example.com/42"
	path := filepath.Join(t.TempDir(), "runner.hcl")
	text := "telemetry {\n  sentry_dsn = env(\"DSN\")\n}\npipeline \"default\" {\n  processor \"sanitize\" {}\n}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DSN", dsn)
	a := &app{config: path, configNamed: true, log: hclog.NewNullLogger()}
	c, err := a.loadConfig(t.Context())
	if err != nil || c.Telemetry.SentryDSN != dsn {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, said := range []string{"post " + dsn + ": refused", "sentry_key=0123456789abcdef"} {
		if got := a.redact.String(said); strings.Contains(got, "0123456789abcdef") {
			t.Errorf("core says %q", got)
		}
	}
}
