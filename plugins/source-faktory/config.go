package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/podrunner/runner/plugins/source-faktory/internal/faktory"
	"github.com/podrunner/runner/sdk"
)

// config is the plugin's configuration.
type config struct {
	URL            sdk.Sensitive `config:"url,optional" desc:"Where Faktory is: tcp://:password@host:7419, or tcp+tls://… for TLS. Absent: what FAKTORY_PROVIDER and FAKTORY_URL say in the plugin's own environment, else tcp://localhost:7419."`
	CAFile         string        `config:"ca_file,optional" desc:"File with certificates (PEM) that are trusted beside the system's, for tcp+tls."`
	Provider       string        `config:"provider,optional" desc:"Passed on to jobs as FAKTORY_PROVIDER. Absent: FAKTORY_PROVIDER of the plugin's own environment, when it is set."`
	PassURL        bool          `config:"pass_url" default:"false" desc:"Pass the URL, with its password, on to jobs, as the sensitive variable FAKTORY_URL."`
	Queues         []string      `config:"queues" default:"default" desc:"Queues to take jobs from. The first one that has a job wins, unless they have weights: \"critical=3\". An element may be several, with commas or spaces between them."`
	JobTypes       []string      `config:"job_types" default:"legacy" desc:"Types of jobs that are taken. A job of another type is failed."`
	Labels         []string      `config:"labels" default:"runner" desc:"Labels of this worker on Faktory's page of busy workers."`
	FollowUpQueue  string        `config:"follow_up_queue" default:"app" desc:"Queue that the logs and outcomes of jobs are pushed onto."`
	Infrastructure string        `config:"infrastructure" default:"fail" one_of:"fail,ack" desc:"What becomes of a job that could not be run, through no fault of its own: \"fail\" lets Faktory try it again, \"ack\" is done with it. A job that ran is never run again."`
	DialTimeout    time.Duration `config:"dial_timeout" default:"5s" desc:"How long a connection to Faktory may take, with TLS and handshake."`
	CommandTimeout time.Duration `config:"command_timeout" default:"10s" desc:"How long Faktory may take to answer a command."`

	// What Validate makes of it.
	queues queueList
	url    string
	server *faktory.Server
}

// queueName is what a server takes as the name of a queue.
var queueName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// Validate implements sdk.Validator. What it reads it keeps.
func (c *config) Validate(d *sdk.Diagnostics) {
	c.validateServer(d)
	c.validateQueues(d)
	if len(c.JobTypes) == 0 {
		d.Error(sdk.At("job_types"), "No job types", `Every job would be failed. Remove the list to take jobs of the type "legacy", or name the types.`)
	}
	if !queueName.MatchString(c.FollowUpQueue) {
		d.Error(sdk.At("follow_up_queue"), "Wrong name of a queue", "The name of a queue is made of letters, digits, dots, underscores and dashes.")
	}
	if strings.Contains(c.Provider, ":") {
		d.Error(sdk.At("provider"), "URL where a name belongs", "FAKTORY_PROVIDER holds the name of the variable with the URL, not the URL. That goes into \"url\".")
	}
	for name, timeout := range map[string]time.Duration{"dial_timeout": c.DialTimeout, "command_timeout": c.CommandTimeout} {
		if timeout <= 0 {
			d.Error(sdk.At(name), "No time", "The time has to be longer than nothing.")
		}
	}
}

func (c *config) validateServer(d *sdk.Diagnostics) {
	from := `"url"`
	c.url = c.URL.Reveal()
	if c.url == "" {
		var err error
		if c.url, from, err = faktory.EnvironmentURL(os.LookupEnv); err != nil {
			d.Error(sdk.At("url"), "Wrong environment", capital(err.Error())+".")
			return
		}
	}
	server, err := faktory.ParseURL(c.url)
	if err != nil {
		d.Error(sdk.At("url"), "Wrong URL", fmt.Sprintf("The URL of Faktory, from %s, can't be used: %v.", from, err))
		return
	}
	server.DialTimeout, server.CommandTimeout = c.DialTimeout, c.CommandTimeout
	c.server = server
	if c.CAFile != "" && server.TLS == nil {
		d.Warn(sdk.At("ca_file"), "Certificates without TLS", "The URL does not begin with tcp+tls, so the connection is not encrypted and the file is not used.")
	}
}

func (c *config) validateQueues(d *sdk.Diagnostics) {
	list, problems := parseQueues(c.Queues)
	for _, p := range problems {
		d.Error(sdk.At("queues").Index(p.element), p.summary, p.detail)
	}
	if len(problems) == 0 && len(list) == 0 {
		d.Error(sdk.At("queues"), "No queues", `Name at least one queue, or remove the list to take jobs from the queue "default".`)
	}
	c.queues = list
}

// Configure implements sdk.Configurer: it reads the certificates.
func (c *config) Configure(_ context.Context, d *sdk.Diagnostics) {
	if err := c.trust(); err != nil {
		d.Error(sdk.At("ca_file"), "No certificates", capital(err.Error())+".")
	}
}

// trust adds the certificates of ca_file to those that the system trusts.
func (c *config) trust() error {
	if c.CAFile == "" || c.server.TLS == nil {
		return nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return fmt.Errorf("the certificates can't be read: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("the file %s holds no certificate in PEM", c.CAFile)
	}
	c.server.TLS.RootCAs = roots
	return nil
}

// provider is the FAKTORY_PROVIDER of jobs, empty for none.
func (c *config) provider() string {
	if c.Provider != "" {
		return c.Provider
	}
	return os.Getenv(faktory.EnvProvider)
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
