package config

import (
	"net"
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
}

var telemetrySettings = settings{arguments: []argument{
	attribute("address", pluginv1.Kind_KIND_STRING, listenAddress),
	attribute("namespace", pluginv1.Kind_KIND_STRING, matches(metricNamespace, "It is 1 to 63 lower-case letters, digits and underscores, a letter first.")),
	attribute("pprof", pluginv1.Kind_KIND_BOOL, nil),
}}

var metricNamespace = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// defaultTelemetry is for a person's machine: nobody else can reach it. The port and the namespace are those of opslevel-runner.
func defaultTelemetry() Telemetry {
	return Telemetry{Address: "127.0.0.1:10354", Namespace: "opslevel_runner"}
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
