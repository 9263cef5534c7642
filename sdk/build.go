package sdk

import "runtime/debug"

// modulePath is this module's path.
const modulePath = "github.com/podrunner/runner/sdk"

// build is what Go has put into the program about the versions of its modules.
type build struct {
	main, sdk string
}

func readBuild() build {
	b := build{main: "(unknown)", sdk: "(unknown)"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.main = info.Main.Version
	}
	if info.Main.Path == modulePath {
		b.sdk = b.main
	}
	for _, m := range info.Deps {
		if m.Path == modulePath {
			b.sdk = m.Version
		}
	}
	return b
}
