package migrate

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/diag"
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

// scalingFlags are the flags of replica scaling, and their arguments.
var scalingFlags = []struct{ flag, argument, comment string }{
	{"runner-pod-namespace", "namespace", "Where the deployment is, and the lease by which runners agree on a leader."},
	{"runner-deployment", "deployment", "The name of both."},
	{"runner-min-replicas", "min_replicas", ""},
	{"runner-max-replicas", "max_replicas", ""},
	{"job-concurrency-factor", "concurrency_factor", "OpsLevel is told this many times the concurrency."},
}

func (m *migration) scaling() {
	enabled := m.values["scaling-enabled"]
	wanted := !enabled.isStandard()
	for _, s := range scalingFlags {
		// The manifest of any runner may tell it the namespace of its pod.
		v := m.values[s.flag]
		wanted = wanted || !v.isStandard() && (v.said() != nil || s.flag != "runner-pod-namespace")
	}
	if !wanted {
		return
	}
	m.doc.open("scaling", "Runners choose a leader among them, which sets the replicas of their deployment as OpsLevel recommends.")
	m.doc.argument("enabled", enabled.expression(asIs), enabled.at(), "")
	m.doc.argument("pod", m.podName("null"), m.values["runner-pod-name"].at(), "The name of this runner's pod, which is its name in the lease.")
	for _, s := range scalingFlags {
		v := m.values[s.flag]
		write := asText
		switch {
		case s.flag == "job-concurrency-factor":
			write = m.atLeastOne(s.flag)
		case v.option.kind == aNumber:
			write = asIs
		}
		// The namespace is one that the manifest tells, as with the pod, and that may not be known here.
		if !v.isStandard() || s.flag == "runner-pod-namespace" {
			m.doc.argument(s.argument, v.expression(write), v.at(), s.comment)
		}
	}
	m.doc.close()
}

func (m *migration) kubernetes() {
	m.doc.open("kubernetes", "How jobs run in a cluster: each in a pod of its own. A bare number of a time is seconds.")
	m.either("namespace", "job-pod-namespace", "namespace", asText, true, "Where the pods are made.")
	m.put("k8s-api-qps", "qps", asIs, "Requests to the API server: how many a second in the long run, how many at once, and how long one may take.")
	m.put("k8s-api-burst", "burst", asIs, "")
	m.requestTimeout()
	m.put("job-pod-max-wait", "start_timeout", asSeconds, "How long a pod may take until its first step runs.")
	m.either("lifetime", "job-pod-max-lifetime", "lifetime", asSeconds, false, "How long the steps of a job may run.")
	if o := m.pod["terminationGracePeriodSeconds"]; o != nil && o.leaf != "5" {
		m.doc.argument("grace", asSeconds(o.leaf), o.at, "The time between the request to end a job and its end by force.")
	}
	m.either("shell", "job-pod-shell", "shell", asText, false, "What runs a job's commands, and the folder in which each job gets a working directory.")
	m.either("workdir", "job-pod-workdir", "workingDir", asText, false, "")
	m.resources()
	m.helper()
	m.account()
	m.object("annotations", "annotations", "Annotations of the pods.")
	m.object("node_selector", "nodeSelector", "Labels that a node must have.")
	m.security()
	m.dns()
	m.always()
	m.doc.close()
}

// either writes an argument for which there is a key of the pod file, which wins, and a flag.
func (m *migration) either(argument, name, key string, write func(string) expression, always bool, comment string) {
	v, o := m.values[name], m.pod[key]
	switch {
	case o != nil:
		m.outdone(v, key)
		e := literal(o.leaf)
		if v.option.kind == aNumber {
			e = write(o.leaf)
		}
		if always || !v.isStandard() || e.text != write(v.option.standard).text {
			m.doc.argument(argument, e, o.at, comment)
		}
	case always || !v.isStandard():
		m.doc.argument(argument, v.expression(write), v.at(), comment)
	}
}

// outdone warns of a flag or a variable that the pod file made void.
func (m *migration) outdone(v *value, key string) {
	if v.isGiven() {
		m.warn(v.at(), "Pod file wins", fmt.Sprintf("The section kubernetes of opslevel.yaml has %s, which won over %q in opslevel-runner. It alone is taken over.", key, v.option.name))
	}
}

// requestTimeout writes the time that a request may take, when it can be what it was.
func (m *migration) requestTimeout() {
	v := m.values["job-pod-exec-max-wait"]
	if v.said() == nil {
		return
	}
	n, err := strconv.ParseInt(v.said().text, 10, 64)
	if err == nil && (n < 1 || n > int64(config.MaxRequestTimeout.Seconds())) {
		m.warn(v.at(), "Not taken over", fmt.Sprintf(
			"%q bounded a request to the API server, and never the commands of a job. Here a request that has no answer is made again, so that request_timeout is from 1s to %s, and 15s when nothing is said.",
			v.option.name, short(config.MaxRequestTimeout)))
		return
	}
	m.doc.argument("request_timeout", v.expression(asSeconds), v.at(), "")
}

// resourceFlag is a flag for what a step asks for.
type resourceFlag struct {
	flag, list, resource string
	write                func(string) expression
}

var resourceFlags = []resourceFlag{
	{"job-pod-requests-cpu", "requests", "cpu", asMillicores},
	{"job-pod-requests-memory", "requests", "memory", asMebibytes},
	{"job-pod-requests-ephemeral-storage", "requests", "ephemeral-storage", asMebibytes},
	{"job-pod-limits-cpu", "limits", "cpu", asMillicores},
	{"job-pod-limits-memory", "limits", "memory", asMebibytes},
	{"job-pod-limits-ephemeral-storage", "limits", "ephemeral-storage", asMebibytes},
}

// resources merges the flags with the pod file, key by key, as the seed did.
func (m *migration) resources() {
	out := &object{members: []member{}}
	pod := m.pod["resources"]
	for _, r := range resourceFlags {
		v := m.values[r.flag]
		if pod != nil && pod.get(r.list) != nil && pod.get(r.list).get(r.resource) != nil {
			m.outdone(v, "resources."+r.list+"."+r.resource)
			continue
		}
		if v.isStandard() {
			continue
		}
		if out.get(r.list) == nil {
			out.set(r.list, &object{members: []member{}, at: v.at()})
		}
		out.get(r.list).set(r.resource, &object{leaf: v.expression(r.write).text, at: v.at()})
	}
	if pod != nil {
		for _, list := range pod.members {
			if out.get(list.key) == nil || list.value.members == nil {
				out.set(list.key, list.value)
				continue
			}
			for _, quantity := range list.value.members {
				out.get(list.key).set(quantity.key, quantity.value)
			}
		}
	}
	for _, list := range out.members {
		slices.SortStableFunc(list.value.members, func(a, b member) int { return resourceOrder(a.key) - resourceOrder(b.key) })
	}
	if len(out.members) > 0 {
		m.doc.object("resources", out, "What a step asks for. What is not said here stays as by default.")
	}
}

// resourceOrder is the place of a resource among others: first those that have flags.
func resourceOrder(name string) int {
	i := slices.IndexFunc(resourceFlags, func(r resourceFlag) bool { return r.resource == name })
	if i < 0 {
		return len(resourceFlags)
	}
	return i
}

// helper writes what is about the helper. The image of the seed's has another program in it.
func (m *migration) helper() {
	v, o := m.values["job-pod-helper-image"], m.pod["helperImage"]
	at := v.at()
	if o != nil {
		at = o.at
	}
	if o != nil && o.leaf != `""` || v.said() != nil && v.said().text != "" || len(v.variables) > 0 {
		m.warn(at, "Helper image not taken over", "The image of opslevel-runner does not have the program that pods need here. If they can't pull the image that is the default, put a copy of it into your registry and name that one in helper_image.")
	}
	if o := m.pod["pullPolicy"]; o != nil && o.leaf != `""` {
		m.doc.argument("helper_pull_policy", literal(o.leaf), o.at, "When the helper's image is pulled.")
	}
}

// account writes the service account. Jobs that were given one may speak to the API server with it.
func (m *migration) account() {
	if o := m.pod["serviceAccountName"]; o != nil && o.leaf != `""` {
		m.doc.argument("service_account", literal(o.leaf), o.at, "The pods' service account. opslevel-runner gave jobs its token; without the second line they have none.")
		m.doc.argument("automount_service_account_token", literal("true"), o.at, "")
	}
}

func (m *migration) object(argument, key, comment string) {
	if o := m.pod[key]; o != nil && len(o.members) > 0 {
		m.doc.object(argument, o, comment)
	}
}

// security writes what the steps may do. In agent mode the seed put a security context of its own in place of the file's.
func (m *migration) security() {
	v, o := m.values["job-agent-mode"], m.pod["agentMode"]
	agent := v.said() != nil && v.said().text == "true"
	if o != nil {
		agent = o.leaf == "true"
	}
	m.either("agent_mode", "job-agent-mode", "agentMode", asIs, false, "Jobs run privileged and as root. Only for jobs that build images or the like, and that you trust.")
	switch context := m.pod["securityContext"]; {
	case context == nil:
	case agent:
		m.warn(context.at, "Security context not taken over", "In agent mode opslevel-runner put a security context of its own in place of this one, and so the pods never had it.")
	default:
		m.object("security_context", "securityContext", "The pods' security context.")
	}
}

// dns says that the policy is not taken over: to have it all at once could cut jobs off.
func (m *migration) dns() {
	if o := m.pod["dnsPolicy"]; o != nil && o.leaf != `""` {
		m.warn(o.at, "No effect", "opslevel-runner read dnsPolicy and never used it, so it is not taken over. The setting dns_policy, which is there as a comment, has an effect.")
		m.doc.blank()
		m.doc.add("# dns_policy = " + o.leaf)
	}
}

// toolsArgument is what jobs need that call the seed's program.
const toolsArgument = `{ "opslevel-runner" = "runner-source-faktory" }`

// always has as comments what the seed did and this has to be asked for.
func (m *migration) always() {
	if m.mode == modeFaktory {
		m.doc.argument("tools", literal(toolsArgument), diag.Range{}, "Jobs find this program at /mount/opslevel-runner, to push jobs with: /mount/opslevel-runner enqueue -f job.yaml.")
	}
	m.doc.blank()
	m.doc.comment("What opslevel-runner did for every job, and has to be asked for here:", "")
	m.doc.comment("disruption_budget = true keeps nodes from being drained under a job.", "  ")
	if m.pod["serviceAccountName"] == nil {
		m.doc.comment("automount_service_account_token = true gives jobs the token of their service account.", "  ")
	}
	if m.mode == modeAPI {
		m.doc.comment("tools = "+toolsArgument+" is for jobs that call /mount/opslevel-runner enqueue.", "  ")
	}
}

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
