// Source-opslevel takes jobs from the OpsLevel API, and gives their logs and outcomes back to it.
//
//	config {
//	  api_token     = env("OPSLEVEL_API_TOKEN")
//	  queue         = "default"
//	  poll_interval = "10s"
//	}
//
// All of it is in docs/opslevel.md.
package main

import "github.com/podrunner/runner/sdk"

func main() { sdk.Serve(plugin) }

// version is set by the build.
var version = "dev"

var plugin = sdk.Plugin{
	Name:        "opslevel",
	Version:     version,
	Description: "Takes jobs from the OpsLevel API.",
	Source:      sdk.Jobs(connect),
}
