// Command core runs jobs; see package cmd.
package main

import (
	"os"
	"runtime/debug"

	"github.com/podrunner/runner/core/cmd"
)

// gcPercent is the default of GOGC. What core keeps of a job is small, and what it makes of each batch is garbage at
// once; to collect that less often costs some memory, about 15 MiB with one job, and saves a tenth of the CPU time.
const gcPercent = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(cmd.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
