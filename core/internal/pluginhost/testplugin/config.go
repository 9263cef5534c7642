package main

import (
	"encoding/json"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// config is what any mode may be configured with.
type config struct {
	// Prefix is put before each line by the modes that treat lines well.
	Prefix string `json:"prefix"`
	// After is the number of batches of a job that are treated well before the mode's fault shows.
	After int `json:"after"`
	// Refuse makes Validate and Configure answer with an error.
	Refuse bool `json:"refuse"`
	// Token is a secret that the answer of Refuse, and a line on standard error, quote.
	Token string `json:"token"`
}

func parseConfig(text []byte) (config, []*pluginv1.Diagnostic) {
	var c config
	if len(text) == 0 {
		return c, nil
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, []*pluginv1.Diagnostic{{Severity: pluginv1.Severity_SEVERITY_ERROR, Summary: "Bad configuration", Detail: err.Error()}}
	}
	if c.Refuse {
		detail := "It was told to refuse."
		if c.Token != "" {
			detail += " The token is " + c.Token + "."
			stderr("[WARN] the token is " + c.Token)
		}
		return c, []*pluginv1.Diagnostic{{Severity: pluginv1.Severity_SEVERITY_ERROR, Summary: "Refused", Detail: detail}}
	}
	return c, nil
}

func warning(detail string) *pluginv1.Diagnostic {
	return &pluginv1.Diagnostic{Severity: pluginv1.Severity_SEVERITY_WARNING, Summary: "For the test", Detail: detail}
}
