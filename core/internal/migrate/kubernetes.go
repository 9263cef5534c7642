package migrate

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/diag"
)

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
