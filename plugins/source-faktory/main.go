// Source-faktory takes jobs from the queues of a Faktory server, and gives their logs and outcomes back as jobs of
// their own, for whoever works on the queue "app".
//
//	config {
//	  url        = env("FAKTORY_URL")       # tcp://:password@host:7419 or tcp+tls://…
//	  queues     = ["critical", "default"]  # in this order; with weights: ["critical=3", "default=1"]
//	  job_types  = ["legacy"]
//	}
//
// `runner-source-faktory enqueue -f job.yaml` pushes a job. All of it is in docs/faktory.md.
package main

import "github.com/podrunner/runner/sdk"

func main() { sdk.Serve(plugin) }

// version is set by the build.
var version string

var plugin = sdk.Plugin{
	Name:        "faktory",
	Version:     version,
	Description: "Takes jobs from the queues of a Faktory server.",
	Source:      sdk.Jobs(connect),
	Commands: []sdk.Command{{
		Name:        "enqueue",
		Description: "Pushes a job onto a queue of the Faktory server.",
		Run:         enqueue,
	}},
}
