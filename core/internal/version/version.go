// Package version knows which version of core this is.
package version

// version is set when core is built: -ldflags "-X github.com/podrunner/runner/core/internal/version.version=1.2.3".
var version = "dev"

// String returns the version of core, "dev" for a build that was given none.
func String() string { return version }
