package pluginhost

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/podrunner/runner/sdk/protocol"
)

// baseEnv are the variables of core's environment that every plugin gets. None of them holds a secret by custom, but
// for a proxy's password, without which a plugin behind that proxy reaches nothing.
var baseEnv = []string{
	"PATH", "HOME", "TMPDIR", "TZ", "LANG",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
	"http_proxy", "https_proxy", "no_proxy", "all_proxy",
	"GOMEMLIMIT", "GOTRACEBACK", "GOCOVERDIR",
}

// basePrefix is how the names of the variables for the locale begin; every plugin gets these, too.
const basePrefix = "LC_"

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// checkGrant says what is wrong with a variable that the configuration gives a plugin.
func checkGrant(name string) error {
	switch {
	case !envName.MatchString(name):
		return fmt.Errorf("%q is no name of an environment variable", name)
	case strings.HasPrefix(name, "PLUGIN_"), strings.HasPrefix(name, "RUNNER_PLUGIN_"):
		return fmt.Errorf("%s is core's own, for the start of a plugin", name)
	}
	return nil
}

// environment returns what a plugin gets: the base set and what it was granted of environ, then own, which counts when
// a name is in both. Nothing else of core's environment reaches a plugin.
func environment(environ, granted, own []string) []string {
	var out []string
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if slices.Contains(baseEnv, name) || strings.HasPrefix(name, basePrefix) || slices.Contains(granted, name) {
			out = append(out, variable)
		}
	}
	return append(out, own...)
}

// ownEnv are the variables that core sets, beside go-plugin's.
func ownEnv(logLevel string) []string {
	return []string{
		protocol.EnvLogLevel + "=" + logLevel,
		protocol.EnvLifeline + "=stdin",
	}
}

// lookupEnv returns the value of a variable; the last one counts, as it does for a process.
func lookupEnv(environ []string, name string) string {
	for _, variable := range slices.Backward(environ) {
		if key, value, _ := strings.Cut(variable, "="); key == name {
			return value
		}
	}
	return ""
}
