package cmd

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/podrunner/runner/core/internal/version"
	"github.com/podrunner/runner/sdk/protocol"
)

// buildInfo is what `core version -json` prints.
type buildInfo struct {
	Version string `json:"version"`
	// Commit is that of the source tree, as the go command found it; empty when it could not tell.
	Commit   string `json:"commit,omitempty"`
	Protocol int    `json:"protocol"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

func newVersion(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version of core and of the plugin protocol",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			return printVersion(a, thisBuild(), asJSON)
		},
	}
	addJSONFlag(c, &asJSON)
	return c
}

// thisBuild describes the running binary.
func thisBuild() buildInfo {
	b := buildInfo{
		Version:  version.String(),
		Protocol: protocol.Version,
		Go:       runtime.Version(),
		OS:       runtime.GOOS,
		Arch:     runtime.GOARCH,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Commit = s.Value
			}
		}
	}
	return b
}

func printVersion(a *app, b buildInfo, asJSON bool) error {
	if asJSON {
		return writeJSON(a.out, b)
	}
	_, err := fmt.Fprintf(a.out, "core %s (plugin protocol %d, %s, %s/%s)\n", b.Version, b.Protocol, b.Go, b.OS, b.Arch)
	return err
}
