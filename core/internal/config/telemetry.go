package config

import (
	"net"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// Telemetry is how a runner can be watched.
type Telemetry struct {
	// Address is where metrics and health are served, "host:port"; with no host it is all interfaces. "" serves nothing.
	Address string `json:"address"`
	// Namespace begins the names of the runner's own metrics.
	Namespace string `json:"namespace"`
	// Pprof serves Go's profiles at the same address.
	Pprof bool `json:"pprof"`
	// SentryDSN is where error reports go; "": nowhere. It holds a key.
	SentryDSN string `json:"sentry_dsn"`
	// SentryEnvironment is the environment that error reports are filed under.
	SentryEnvironment string `json:"sentry_environment"`
}

// minKeyBytes is the length from which the key of a DSN is one that nobody would guess, as Sentry's are; to take a shorter one
// out of all texts would take out other things.
const minKeyBytes = 8

// Secrets returns the values that must not be seen.
func (t *Telemetry) Secrets() []string {
	if t.SentryDSN == "" {
		return nil
	}
	secrets := []string{t.SentryDSN}
	u, err := url.Parse(t.SentryDSN)
	if err != nil {
		return secrets
	}
	password, _ := u.User.Password() // an old DSN has a second key
	for _, key := range []string{u.User.Username(), password} {
		if len(key) >= minKeyBytes {
			secrets = append(secrets, key)
		}
	}
	return secrets
}

var telemetrySettings = settings{arguments: []argument{
	attribute("address", pluginv1.Kind_KIND_STRING, listenAddress),
	attribute("namespace", pluginv1.Kind_KIND_STRING, matches(metricNamespace, "It is 1 to 63 lower-case letters, digits and underscores, a letter first.")),
	attribute("pprof", pluginv1.Kind_KIND_BOOL, nil),
	sensitive(attribute("sentry_dsn", pluginv1.Kind_KIND_STRING, sentryDSN)),
	attribute("sentry_environment", pluginv1.Kind_KIND_STRING, sentryEnvironment),
}}

var (
	metricNamespace       = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	sentryEnvironmentName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

// defaultTelemetry is for a person's machine: nobody else can reach it. The port and the namespace are those of opslevel-runner.
func defaultTelemetry() Telemetry {
	return Telemetry{Address: "127.0.0.1:10354", Namespace: "opslevel_runner", SentryEnvironment: "production"}
}

func (l *loader) telemetry(blocks []*hclsyntax.Block) {
	l.config.Telemetry = defaultTelemetry()
	if block := l.single(blocks); block != nil {
		l.source.labels(block, 0, &l.diags)
		l.settings(block, telemetrySettings, &l.config.Telemetry)
	}
}

// listenAddress takes an address to listen on, or nothing.
func listenAddress(v any) string {
	const rule = "It is a host and a port, such as \"127.0.0.1:10354\", or \":10354\" for all interfaces; \"\" serves nothing."
	text, ok := v.(string)
	if !ok {
		return rule
	}
	if text == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || strings.ContainsAny(host, " \t/@") {
		return rule
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return rule + " The port is from 0 to 65535; 0 lets the system choose."
	}
	return ""
}

// sentryDSN takes the address of a project in Sentry, or nothing. What it says never holds the value: there is a key in it.
func sentryDSN(v any) string {
	const rule = "It is the DSN that Sentry shows in a project's settings under Client Keys, such as https://KEY@o1.ingest.sentry.io/2; \"\" sends nothing."
	text, ok := v.(string)
	if !ok {
		return rule
	}
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "":
		return "It is no URL. " + rule
	case u.Scheme != "https" && u.Scheme != "http":
		return "Its scheme is neither https nor http. " + rule
	case u.User.Username() == "":
		return "There is no key in it. " + rule
	case u.Hostname() == "":
		return "There is no host in it. " + rule
	case u.RawQuery != "" || u.Fragment != "" || strings.Trim(path.Base(u.Path), "0123456789") != "":
		return "It does not end with the number of a project. " + rule
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "Its port is not from 1 to 65535. " + rule
		}
	}
	return ""
}

// sentryEnvironment takes the name of an environment as Sentry does.
func sentryEnvironment(v any) string {
	text, ok := v.(string)
	if ok && sentryEnvironmentName.MatchString(text) && !strings.EqualFold(text, "none") {
		return ""
	}
	return "It is 1 to 64 letters, digits, dots, dashes and underscores, and not none."
}
