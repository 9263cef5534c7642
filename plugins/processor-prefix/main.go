// Processor-prefix puts a text before each line of a log: by default the time at which the job wrote it and the worker
// that runs the job.
//
//	2026-01-31T23:59:59Z [3] the line
//
// Configuration:
//
//	config {
//	  format      = "{time} [{worker}] "          # also {job}, {step}, {stream}, {runner}, {pipeline}
//	  time_format = "2006-01-02T15:04:05Z07:00"   # the reference time of Go's package time; always UTC
//	}
package main

import "github.com/podrunner/runner/sdk"

func main() { sdk.Serve(plugin) }

// version is set by the build.
var version string

var plugin = sdk.Plugin{
	Name:        "prefix",
	Version:     version,
	Description: "Puts the time and the worker before each line.",
	Processor:   sdk.Batches(start),
}
