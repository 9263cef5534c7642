package migrate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/podrunner/runner/core/internal/diag"
)

// write makes the document.
func (m *migration) write() {
	m.runner()
	m.telemetry()
	if m.mode == modeAPI {
		m.scaling()
	}
	m.kubernetes()
	m.pipeline()
}

// put writes an argument for a flag, unless it says nothing but the standard.
func (m *migration) put(name, argument string, write func(string) expression, comment string) {
	if v := m.values[name]; !v.isStandard() {
		m.doc.argument(argument, v.expression(write), v.at(), comment)
	}
}

func (m *migration) runner() {
	m.doc.open("runner", "The runner as a whole.")
	m.doc.argument("name", m.podName("hostname()"), m.values["runner-pod-name"].at(), "Tells this runner from others. env() reads an environment variable, and takes the second value when it is not set.")
	m.put("job-concurrency", "concurrency", m.atLeastOne("job-concurrency"), "How many jobs run at once.")
	m.put("log-level", "log_level", m.level, "Of the runner's own log.")
	m.put("log-format", "log_format", m.format, "")
	m.doc.close()
}

// podName writes the name of the runner's pod, with what stands for it outside of a cluster.
func (m *migration) podName(outside string) expression {
	v := m.values["runner-pod-name"]
	said := v.said()
	switch {
	case said == nil || said.text == "":
		return expression{orEnv(outside, v.option.env...), `"x"`}
	case v.line != nil && referred(said.text) != "":
		return expression{orEnv(outside, referred(said.text)), `"x"`}
	}
	return v.expression(asText)
}

// atLeastOne writes a number; the seed took 0 and less for 1.
func (m *migration) atLeastOne(name string) func(string) expression {
	return func(text string) expression {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n < 1 {
			m.warn(m.values[name].at(), "Less than 1", fmt.Sprintf("opslevel-runner took this value of %q for 1, which is written here.", name))
			return literal("1")
		}
		return literal(text)
	}
}

// level writes the level of the log; the seed took what it did not know for info.
func (m *migration) level(text string) expression {
	word := strings.ToLower(text)
	if !slices.Contains([]string{"error", "warn", "info", "debug", "trace"}, word) {
		m.warn(m.values["log-level"].at(), "Unknown level", "opslevel-runner took this level of its log for info, which is written here.")
		word = "info"
	}
	return literal(quote(word))
}

// format writes the format of the log; the seed took all that is not text for JSON.
func (m *migration) format(text string) expression {
	word := strings.ToLower(text)
	if word != "text" && word != "json" {
		m.warn(m.values["log-format"].at(), "Unknown format", "opslevel-runner took this format of its log for JSON, which is written here.")
		word = "json"
	}
	return literal(quote(word))
}

func (m *migration) telemetry() {
	m.doc.open("telemetry", "Metrics for Prometheus and health. opslevel-runner showed its metrics on all interfaces; without a host this does, too.")
	port := m.values["metrics-port"]
	m.doc.argument("address", port.expression(asPort), port.at(), "")
	if m.in.Getenv("SENTRY_DSN") != "" {
		m.doc.argument("sentry_dsn", expression{`env("SENTRY_DSN", null)`, "null"}, variableAt("SENTRY_DSN"), "Where failed jobs are reported to.")
	}
	m.doc.close()
}

// head writes the comment at the beginning, with all that is not taken over as it was.
func (m *migration) head(d *document, diags diag.Diagnostics) {
	d.comment("The configuration of the runner, made by `core migrate` of what opslevel-runner was configured by. The format is HCL: blocks with a name in front of the braces, arguments with an equals sign inside, comments after #.", "")
	d.add("#")
	d.comment("What is not here is as by default. docs/configuration.md has all settings, docs/migrating.md what is different from opslevel-runner; `core validate` checks this file, `core fmt` puts its spaces right.", "")
	d.add("#")
	d.comment("It reads the variables of opslevel-runner that were set when it was made, and those that could override what its file said. The shipped runner.hcl reads all of them.", "")
	if len(diags) > 0 {
		d.add("#")
		d.comment("What could not be taken over as it was:", "")
		for _, w := range diags {
			d.comment(fmt.Sprintf("* %s: %s", w.Range, w.Detail), "  ")
		}
	}
	d.add("")
}
