package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/podrunner/runner/sdk"
)

// config is the plugin's configuration.
type config struct {
	APIURL          string        `config:"api_url" default:"https://api.opslevel.com" desc:"Where the API is, without /graphql."`
	APIToken        sdk.Sensitive `config:"api_token" desc:"The API token."`
	Queue           string        `config:"queue,optional" desc:"The queue whose jobs are taken. Absent: jobs that belong to no queue."`
	PollInterval    time.Duration `config:"poll_interval" default:"10s" desc:"How long to wait after the API had no job. It is spread by a tenth either way."`
	Timeout         time.Duration `config:"timeout" default:"60s" desc:"How long the API may take for an answer."`
	CAFile          string        `config:"ca_file,optional" desc:"File with certificates (PEM) that are trusted beside the system's."`
	UserAgentExtras string        `config:"user_agent_extras,optional" desc:"Added to the header User-Agent, for the operators of the API."`

	// roots are the certificates, once read.
	roots *x509.CertPool
}

// Bounds of the configuration's times.
const (
	minPoll, maxPoll       = time.Second, time.Hour
	minTimeout, maxTimeout = time.Second, time.Minute
)

// inHeader is what may stand in a header.
var inHeader = regexp.MustCompile(`^[\x20-\x7e]*$`)

// Validate implements sdk.Validator.
func (c *config) Validate(d *sdk.Diagnostics) {
	u, err := url.Parse(c.APIURL)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		d.Error(sdk.At("api_url"), "Wrong URL", "It is a URL such as https://api.opslevel.com.")
	case u.User != nil:
		d.Error(sdk.At("api_url"), "Wrong URL", "It has a user or a password in it. The API knows its callers by api_token.")
	case u.RawQuery != "" || u.Fragment != "":
		d.Error(sdk.At("api_url"), "Wrong URL", "It has something behind a ? or a #, which does not belong there.")
	case strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/graphql"):
		d.Error(sdk.At("api_url"), "Wrong URL", "It ends with /graphql. Leave that out: the plugin adds it.")
	}
	switch token := c.APIToken.Reveal(); {
	case strings.TrimSpace(token) == "":
		d.Error(sdk.At("api_token"), "No API token", "The token is empty. In the shipped runner.hcl it is that of the variable OPSLEVEL_API_TOKEN.")
	case strings.TrimSpace(token) != token || !inHeader.MatchString(token):
		d.Error(sdk.At("api_token"), "Wrong API token", "There is a space, a line end or another character in it that no token has.")
	}
	if !inHeader.MatchString(c.UserAgentExtras) {
		d.Error(sdk.At("user_agent_extras"), "Wrong text for a header", "It may hold letters, digits and signs of ASCII.")
	}
	between(d, "poll_interval", c.PollInterval, minPoll, maxPoll)
	between(d, "timeout", c.Timeout, minTimeout, maxTimeout)
}

func between(d *sdk.Diagnostics, name string, value, least, most time.Duration) {
	if value < least || value > most {
		d.Error(sdk.At(name), "Wrong time", fmt.Sprintf("It is from %s to %s.", least, most))
	}
}

// Configure implements sdk.Configurer: it reads the certificates.
func (c *config) Configure(_ context.Context, d *sdk.Diagnostics) {
	if c.CAFile == "" {
		return
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		d.Error(sdk.At("ca_file"), "No certificates", fmt.Sprintf("The certificates can't be read: %v.", err))
		return
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		d.Error(sdk.At("ca_file"), "No certificates", fmt.Sprintf("The file %s holds no certificate in PEM.", c.CAFile))
		return
	}
	c.roots = roots
}
