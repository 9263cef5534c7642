package migrate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/podrunner/runner/core/internal/suggest"
)

// The ways in which the seed took jobs.
const (
	modeAPI     = "api"
	modeFaktory = "faktory"
)

var modes = []string{modeAPI, modeFaktory}

// readMode finds out where jobs come from.
func (m *migration) readMode() {
	v := m.values["mode"]
	m.mode = v.option.standard
	switch {
	case v.line != nil:
		m.mode = v.line.text
	case len(v.variables) > 0:
		m.mode = m.in.Getenv(v.variables[0])
	case v.file != nil:
		m.mode = v.file.text
	}
	if !slices.Contains(modes, m.mode) {
		m.fail(v.at(), "Unknown mode", fmt.Sprintf("There is no such mode, and opslevel-runner ended at once with it.%s It is one of: %s.",
			suggest.Hint(m.mode, modes), strings.Join(modes, ", ")))
	}
}

// unread warns of what has no meaning any more.
func (m *migration) unread() {
	m.token()
	for _, name := range []string{"log-max-bytes", "log-max-time"} {
		if v := m.values[name]; v.isGiven() {
			m.warn(v.at(), "No effect", fmt.Sprintf("%q did nothing in opslevel-runner. The block deliver has what bounds a batch of lines.", name))
		}
	}
	if m.mode == modeFaktory {
		for _, name := range []string{"queue", "poll-interval", "api-url"} {
			m.noEffect(name, "opslevel-runner took no jobs from OpsLevel in the mode faktory, and this does not ask it anything")
		}
		for _, name := range []string{"scaling-enabled", "runner-pod-namespace", "runner-deployment", "runner-min-replicas", "runner-max-replicas", "job-concurrency-factor"} {
			if v := m.values[name]; v.said() != nil {
				m.noEffect(name, "opslevel-runner did not scale in the mode faktory. If this is to, write a block scaling")
			}
		}
	} else {
		m.noEffect("queues", "opslevel-runner asks for queues of Faktory in the mode faktory only; for those of OpsLevel there is queue")
	}
	for _, f := range options {
		if len(f.env) == 0 && f.name != "config" && m.in.Getenv(f.variable()) != "" {
			m.warn(variableAt(f.variable()), "Not read before", fmt.Sprintf(
				"opslevel-runner did not read this variable, so it is not taken over. To have it count, write env(%q, …) as the value of what was --%s.", f.variable(), f.name))
		}
	}
}

// token warns of a token that would have been written down.
func (m *migration) token() {
	v := m.values["api-token"]
	g := v.said()
	if g == nil || g.text == "" {
		return
	}
	advice := "Give it to core as the environment variable OPSLEVEL_API_TOKEN, which runner.hcl reads."
	if m.mode == modeFaktory {
		advice = "It is not needed, as nothing here calls OpsLevel's API."
	}
	m.warn(g.at, "Token not copied", "A token does not belong in a file that others may read, nor on a command line. "+advice)
}

func (m *migration) noEffect(name, why string) {
	if v := m.values[name]; v.isGiven() {
		m.warn(v.at(), "No effect", fmt.Sprintf("%q is not taken over: %s.", name, why))
	}
}
