package config

import (
	"strings"
	"testing"

	"github.com/getsentry/sentry-go"
	"github.com/google/go-cmp/cmp"
)

func TestSentryDSN(t *testing.T) {
	for _, test := range []struct {
		name, dsn string
		// wrong is the beginning of what is said; "" for nothing.
		wrong string
	}{
		{"hosted", "https://0123abc@o1.ingest.sentry.io/2", ""},
		{"with a secret", "https://0123abc:def@sentry.example.com/2", ""},
		{"with a path and a port", "http://k@127.0.0.1:9000/sentry/42", ""},
		{"an address of IPv6", "http://k@[::1]:9000/42", ""},
		{"nothing", "", ""},
		{"no URL", "https://k@sentry example/2", "It is no URL."},
		{"no scheme", "k@sentry.example.com/2", "Its scheme is"},
		{"another scheme", "ftp://k@sentry.example.com/2", "Its scheme is"},
		{"no key", "https://sentry.example.com/2", "There is no key"},
		{"no host", "https://k@/2", "There is no host"},
		{"no project", "https://k@sentry.example.com", "It does not end with"},
		{"no project but a slash", "https://k@sentry.example.com/", "It does not end with"},
		{"a project with a name", "https://k@sentry.example.com/jobs", "It does not end with"},
		{"a query", "https://k@sentry.example.com/2?x=1", "It does not end with"},
		{"a port that is none", "https://k@sentry.example.com:0/2", "Its port is not"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := sentryDSN(test.dsn)
			if !strings.HasPrefix(got, test.wrong) || got != "" && test.wrong == "" {
				t.Errorf("%q, want %q", got, test.wrong)
			}
			if _, err := sentry.NewDsn(test.dsn); test.dsn != "" && got == "" && err != nil {
				t.Errorf("what is taken here the SDK does not take: %v", err)
			}
		})
	}
}

func TestTelemetrySecrets(t *testing.T) {
	for dsn, want := range map[string][]string{
		"": nil,
		"https://0123456789ab@sentry.example.com/2":         {"https://0123456789ab@sentry.example.com/2", "0123456789ab"},
		"https://0123456789ab:cdef01234567@s.example.com/2": {"https://0123456789ab:cdef01234567@s.example.com/2", "0123456789ab", "cdef01234567"},
		"https://short:words@sentry.example.com/2":          {"https://short:words@sentry.example.com/2"},
	} {
		if d := cmp.Diff(want, (&Telemetry{SentryDSN: dsn}).Secrets()); d != "" {
			t.Errorf("%q (-want +got):\n%s", dsn, d)
		}
	}
}
