// Processor-sanitize puts ten asterisks in place of the values of a job's sensitive variables, wherever they occur in its
// log, in the message of its result and in its outcome variables.
//
// Configuration:
//
//	config {
//	  min_length = 4                   # shorter values are masked only where they stand alone, from 1 to 8
//	  patterns   = ["pin=(\\d+)"]      # regular expressions for what else to mask in each line
//	  mask_env   = ["REGISTRY_TOKEN"]  # variables of the plugin's own environment whose values are masked, too
//	  detect     = ["pem", "url"]      # what is masked by its looks; there is "tokens", too
//	  without    = ["hex"]             # writings that values are not looked for in
//	}
//
// What is masked, and what is not, is in docs/processors.md.
package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/podrunner/runner/plugins/processor-sanitize/internal/detect"
	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/mask/forms"
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
	MinLength int              `config:"min_length" default:"4" desc:"Values of this many bytes or more are masked wherever they occur, shorter ones only where they stand alone as a word. From 1 to 8."`
	Patterns  []*regexp.Regexp `config:"patterns,optional" desc:"What to mask in each line beside the values of sensitive variables: regular expressions (RE2). One with groups masks what these match."`
	MaskEnv   []string         `config:"mask_env,optional" desc:"Variables of the plugin's own environment whose values are masked, too. The plugin block has to grant them with env."`
	Detect    []string         `config:"detect" default:"pem,url" one_of:"pem,url,tokens" desc:"What is masked by its looks: private keys, passwords in URLs, tokens of well-known services."`

	Without []string `config:"without,optional" one_of:"base64,shell,json,quoted,percent,xml,hex,wrapped" desc:"Writings that values are not looked for in."`

	// values are those of MaskEnv.
	values []policy.Secret
}

// What Detect may hold.
const (
	detectPEM    = "pem"
	detectURL    = "url"
	detectTokens = "tokens"
)

var (
	_ sdk.Validator  = (*config)(nil)
	_ sdk.Configurer = (*config)(nil)
)

// Validate implements sdk.Validator.
func (c *config) Validate(d *sdk.Diagnostics) {
	if c.MinLength < 1 || c.MinLength > policy.MaxMinLength {
		d.Error(sdk.At("min_length"), "Value out of range", fmt.Sprintf(
			"It is %d. Give a length from 1, which masks even single letters inside words, to %d.",
			c.MinLength, policy.MaxMinLength))
	}
	for i, p := range c.Patterns {
		if p.MatchString("") {
			d.Error(sdk.At("patterns").Index(i), "Pattern matches nothing at all", "It matches even an empty text, "+
				"so it says little of what to mask. Have it need at least one character.")
		}
	}
	for i, name := range c.MaskEnv {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			d.Error(sdk.At("mask_env").Index(i), "Not a name", "Give the name of a variable of the plugin's environment.")
		}
	}
}

// Configure implements sdk.Configurer. It reads MaskEnv.
func (c *config) Configure(_ context.Context, d *sdk.Diagnostics) {
	for i, name := range c.MaskEnv {
		value, ok := os.LookupEnv(name)
		if !ok {
			d.Error(sdk.At("mask_env").Index(i), "Variable not set", fmt.Sprintf(
				"The plugin has no variable %s in its environment. Set it for the runner, and grant it to the plugin: "+
					"plugin \"sanitize\" { env = [%q] }.", name, name))
			continue
		}
		c.values = append(c.values, policy.Secret{Key: name, Value: []byte(value)})
	}
}

// options are those of package policy.
func (c *config) options() policy.Options {
	o := policy.Options{MinLength: c.MinLength}
	for _, name := range c.Without {
		if kind, ok := forms.KindOf(name); ok { // it is: the schema has the same names
			o.Without = append(o.Without, kind)
		}
	}
	return o
}

// detects reports whether Detect holds a word.
func (c *config) detects(word string) bool { return slices.Contains(c.Detect, word) }

// detectors returns those that the configuration asks for.
func (c *config) detectors() []detect.Detector {
	var list []detect.Detector
	if c.detects(detectPEM) {
		list = append(list, detect.Keys)
	}
	if c.detects(detectURL) {
		list = append(list, detect.URL)
	}
	if c.detects(detectTokens) {
		list = append(list, detect.Tokens...)
	}
	for _, p := range c.Patterns {
		list = append(list, detect.Pattern(p))
	}
	return list
}
