package main

import (
	"errors"

	"github.com/podrunner/runner/plugins/processor-prefix/internal/format"
	"github.com/podrunner/runner/sdk"
)

// config is the plugin's configuration.
type config struct {
	Format string `config:"format" default:"{time} [{worker}] " desc:"Put before each line. Placeholders: {time}, {worker}, {job}, {step}, {stream}, {runner}, {pipeline}; {{ and }} are braces."`

	TimeFormat string `config:"time_format" default:"2006-01-02T15:04:05Z07:00" desc:"How {time} is written: the reference time 2006-01-02 15:04:05 in the form that is wanted. Times are in UTC."`

	template format.Template
	layout   format.Layout
}

// Validate implements sdk.Validator. What it parses it keeps for the jobs.
func (c *config) Validate(d *sdk.Diagnostics) {
	var err error
	c.template, err = format.Parse(c.Format)
	report(d, "format", err)
	c.layout, err = format.NewLayout(c.TimeFormat)
	report(d, "time_format", err)
}

func report(d *sdk.Diagnostics, attribute string, err error) {
	var p *format.Problem
	if errors.As(err, &p) {
		d.Error(sdk.At(attribute), p.Summary, p.Detail)
	}
}
