// Processor-outcome collects the outcome variables that a job prints as directives on its standard output, and removes
// those lines from the log:
//
//	::set-outcome-var KEY=VALUE
//
//	::start-multiline-outcome-var KEY
//	any number of lines
//	::end-multiline-outcome-var
//
// and those that it writes to the file that $OUTCOME_FILE names, as KEY=VALUE, or KEY<<DELIMITER with lines up to one that
// is equal to the delimiter.
//
// It has no configuration. The grammar, and what becomes of a job that prints too much, is in docs/processors.md.
package main

import (
	"context"

	"github.com/podrunner/runner/plugins/processor-outcome/internal/capture"
	"github.com/podrunner/runner/sdk"
)

func main() { sdk.Serve(plugin) }

// version is set by the build.
var version string

var plugin = sdk.Plugin{
	Name:        "outcome",
	Version:     version,
	Description: "Collects the outcome variables that a job prints or writes to its outcome file, and removes those lines from the log.",
	Processor: sdk.Batches(func(context.Context, sdk.Job, struct{}) (*processor, error) {
		return &processor{state: &capture.State{}}, nil
	}),
	ReadsOutcome: true,
}
