// Processor-sanitize puts ten asterisks in place of the values of a job's sensitive variables, wherever they occur in its
// log, in the message of its result and in its outcome variables.
//
// Configuration:
//
//	config {
//	  min_length = 4   # shorter values are masked only where they stand alone, from 1 to 8
//	}
//
// What is masked, and what is not, is in docs/processors.md.
package main

import (
	"fmt"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/mask/policy"
)

func main() { sdk.Serve(plugin) }

// version is set by the build.
var version string

var plugin = sdk.Plugin{
	Name:         "sanitize",
	Version:      version,
	Description:  "Masks the values of sensitive variables in the log, the message and the outcome variables.",
	Processor:    sdk.Batches(start),
	Redacts:      true,
	NeedsSecrets: true,
}

// config is the plugin's configuration.
type config struct {
	MinLength int `config:"min_length" default:"4" desc:"Values of this many bytes or more are masked wherever they occur, shorter ones only where they stand alone as a word. From 1 to 8."`
}

// Validate implements sdk.Validator.
func (c *config) Validate(d *sdk.Diagnostics) {
	if c.MinLength < 1 || c.MinLength > policy.MaxMinLength {
		d.Error(sdk.At("min_length"), "Value out of range", fmt.Sprintf(
			"It is %d. Give a length from 1, which masks even single letters inside words, to %d.",
			c.MinLength, policy.MaxMinLength))
	}
}
