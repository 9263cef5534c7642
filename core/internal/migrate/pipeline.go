package migrate

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/podrunner/runner/core/internal/diag"
)

func (m *migration) pipeline() {
	m.doc.open(`pipeline "default"`, "Where jobs come from, and which processors see their logs.")
	if m.mode == modeFaktory {
		m.faktory()
	} else {
		m.opslevel()
	}
	m.doc.blank()
	m.doc.comment("These collect outcome variables, mask secrets, and put the time before each line: in this order.", "")
	for _, processor := range []string{"outcome", "sanitize", "prefix"} {
		m.doc.add(fmt.Sprintf("processor %q {}", processor))
	}
	size, interval := m.values["job-pod-log-max-size"], m.values["job-pod-log-max-interval"]
	if !size.isStandard() || !interval.isStandard() {
		m.doc.open("deliver", "How much of a log is sent at once, in bytes, and how long a line may wait.")
		m.put("job-pod-log-max-size", "max_bytes", asIs, "")
		m.put("job-pod-log-max-interval", "max_interval", asSeconds, "")
		m.doc.close()
	}
	m.doc.close()
}

// opslevel writes the source of the mode api.
func (m *migration) opslevel() {
	m.doc.open(`source "opslevel"`, "Jobs come from OpsLevel.")
	m.doc.open("config", "")
	m.checkURL()
	m.put("api-url", "api_url", asText, "Where its API is.")
	m.doc.argument("api_token", expression{`env("OPSLEVEL_API_TOKEN")`, `"x"`}, diag.Range{}, "")
	m.put("queue", "queue", m.orNull, "The queue that this runner takes jobs from.")
	m.checkPoll()
	m.put("poll-interval", "poll_interval", asSeconds, "How often it asks for a job when there was none.")
	if m.in.Getenv("OPSLEVEL_USER_AGENT_EXTRAS") != "" {
		m.doc.argument("user_agent_extras", expression{`env("OPSLEVEL_USER_AGENT_EXTRAS", null)`, "null"}, diag.Range{}, "Put behind the name by which this runner goes there.")
	}
	m.doc.close()
	m.doc.close()
}

// checkURL refuses a password in the API's address: it would be written down.
func (m *migration) checkURL() {
	v := m.values["api-url"]
	if v.said() == nil {
		return
	}
	if u, err := url.Parse(v.said().text); err == nil && u.User != nil {
		m.fail(v.at(), "Password in a URL", "The address of the API has a user or a password in it, which does not belong in a file that others may read. The API knows its callers by their token: remove it.")
	}
}

// Bounds of the source's poll_interval, in seconds.
const minPoll, maxPoll = 1, 3600

// checkPoll says that the source will not take its interval; its configuration is not looked at here.
func (m *migration) checkPoll() {
	v := m.values["poll-interval"]
	if v.said() == nil {
		return
	}
	if n, err := strconv.ParseInt(v.said().text, 10, 64); err == nil && (n < minPoll || n > maxPoll) {
		m.fail(v.at(), "Wrong value", fmt.Sprintf("%q is from %d to %d seconds.", v.option.name, minPoll, maxPoll))
	}
}

// orNull writes a text, and null for an empty one.
func (m *migration) orNull(text string) expression {
	if text == "" {
		return literal("null")
	}
	return asText(text)
}

// faktory writes the source of the mode faktory.
func (m *migration) faktory() {
	m.doc.open(`source "faktory"`, "Jobs come from the queues of a Faktory server.")
	m.doc.open("config", "")
	m.doc.argument("url", expression{`env(env("FAKTORY_PROVIDER", "FAKTORY_URL"), "tcp://localhost:7419")`, `"x"`}, diag.Range{},
		"FAKTORY_PROVIDER names the variable with the address, which else is FAKTORY_URL.")
	m.doc.argument("queues", m.queues(), m.values["queues"].at(), "Jobs are taken from the first queue as long as it has any, then from the next one.")
	m.doc.argument("provider", expression{`env("FAKTORY_PROVIDER", null)`, "null"}, diag.Range{},
		"Jobs are given both, so that they can push jobs. The address holds a password, so it is masked in their logs; without the second line they do not get it.")
	m.doc.argument("pass_url", literal("true"), diag.Range{}, "")
	m.doc.close()
	m.doc.close()
}

// queues writes the names of Faktory's queues.
func (m *migration) queues() expression {
	v := m.values["queues"]
	names := []string{v.option.standard}
	if v.said() != nil && len(v.said().list) > 0 {
		names = v.said().list
	}
	if v.line == nil {
		joined := quote(strings.Join(names, " "))
		return expression{"[" + orEnv(joined, v.option.env...) + "]", "[" + joined + "]"}
	}
	var quoted []string
	for _, name := range names {
		if strings.Contains(name, ",") {
			m.warn(v.at(), "Several queues in one", "opslevel-runner asked for one queue with commas in its name. What is between the commas is taken as a name here.")
		}
		for one := range strings.FieldsFuncSeq(name, func(c rune) bool { return c == ',' || c == ' ' }) {
			quoted = append(quoted, quote(one))
		}
	}
	return literal("[" + strings.Join(quoted, ", ") + "]")
}
