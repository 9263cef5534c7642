package migrate

import (
	"slices"
	"strings"
)

// option is one of the seed's settings: a flag of the command line and a key of the top level of its file.
type option struct {
	name, short string
	kind        kind
	// standard is the value when nobody says anything.
	standard string
	// env are the variables that set it, the first one that is set counts.
	env []string
}

// kind is the type of a flag's value.
type kind int

const (
	aText kind = iota
	aNumber
	aTruth
	texts
)

// options are all of them, in the order of the seed's help: those of every command, then those of `run`.
var options = []option{
	{name: "config", short: "c", standard: "./opslevel.yaml"},
	{name: "api-url", standard: "https://api.opslevel.com", env: []string{"OPSLEVEL_API_URL", "OPSLEVEL_APP_URL"}},
	{name: "api-token", env: []string{"OPSLEVEL_API_TOKEN"}},
	{name: "log-format", standard: "TEXT", env: []string{"OPSLEVEL_LOG_FORMAT"}},
	{name: "log-level", standard: "INFO", env: []string{"OPSLEVEL_LOG_LEVEL"}},
	{name: "scaling-enabled", kind: aTruth, standard: "false", env: []string{"SCALING_ENABLED"}},
	{name: "job-pod-max-wait", kind: aNumber, standard: "60", env: []string{"OPSLEVEL_JOB_POD_MAX_WAIT"}},
	{name: "job-pod-exec-max-wait", kind: aNumber, standard: "60"},
	{name: "job-pod-max-lifetime", kind: aNumber, standard: "3600", env: []string{"OPSLEVEL_JOB_POD_MAX_LIFETIME"}},
	{name: "job-pod-namespace", standard: "default", env: []string{"OPSLEVEL_JOB_POD_NAMESPACE"}},
	{name: "job-pod-requests-cpu", kind: aNumber, standard: "1000"},
	{name: "job-pod-requests-memory", kind: aNumber, standard: "1024"},
	{name: "job-pod-requests-ephemeral-storage", kind: aNumber, standard: "64"},
	{name: "job-pod-limits-cpu", kind: aNumber, standard: "1000"},
	{name: "job-pod-limits-memory", kind: aNumber, standard: "1024"},
	{name: "job-pod-limits-ephemeral-storage", kind: aNumber, standard: "26624"},
	{name: "job-pod-shell", standard: "/bin/sh", env: []string{"OPSLEVEL_JOB_POD_SHELL"}},
	{name: "job-pod-workdir", standard: "/jobs", env: []string{"OPSLEVEL_JOB_POD_WORKDIR"}},
	{name: "job-pod-log-max-interval", kind: aNumber, standard: "30", env: []string{"OPSLEVEL_JOB_POD_LOG_MAX_INTERVAL"}},
	{name: "job-pod-log-max-size", kind: aNumber, standard: "1000000", env: []string{"OPSLEVEL_JOB_POD_LOG_MAX_SIZE"}},
	{name: "job-agent-mode", kind: aTruth, standard: "false", env: []string{"OPSLEVEL_JOB_AGENT_MODE"}},
	{name: "job-pod-helper-image", env: []string{"OPSLEVEL_JOB_POD_HELPER_IMAGE"}},
	{name: "queue", env: []string{"OPSLEVEL_QUEUE"}},
	{name: "k8s-api-qps", kind: aNumber, standard: "50", env: []string{"OPSLEVEL_K8S_API_QPS"}},
	{name: "k8s-api-burst", kind: aNumber, standard: "100", env: []string{"OPSLEVEL_K8S_API_BURST"}},
	{name: "runner-pod-name", env: []string{"RUNNER_POD_NAME"}},
	{name: "runner-pod-namespace", standard: "default", env: []string{"RUNNER_POD_NAMESPACE"}},
	{name: "runner-deployment", standard: "runner", env: []string{"RUNNER_DEPLOYMENT"}},
	{name: "runner-min-replicas", kind: aNumber, standard: "1", env: []string{"RUNNER_MIN_REPLICAS"}},
	{name: "runner-max-replicas", kind: aNumber, standard: "10", env: []string{"RUNNER_MAX_REPLICAS"}},

	{name: "mode", standard: "api", env: []string{"OPSLEVEL_MODE"}},
	{name: "queues", kind: texts, standard: "default", env: []string{"OPSLEVEL_QUEUES"}},
	{name: "job-concurrency", kind: aNumber, standard: "3"},
	{name: "job-concurrency-factor", kind: aNumber, standard: "100"},
	{name: "poll-interval", kind: aNumber, standard: "10"},
	{name: "metrics-port", kind: aNumber, standard: "10354"},
	{name: "log-max-bytes", kind: aNumber, standard: "512000"},
	{name: "log-max-time", kind: aNumber, standard: "30"},
}

// IsFlag reports whether the seed had a flag of a name.
func IsFlag(name string) bool { return slices.Contains(names(), name) }

// names returns the names of all flags.
func names() []string {
	var out []string
	for _, f := range options {
		out = append(out, f.name)
	}
	return out
}

// variable is the name that a flag with no variable of its own would have: the seed did not read it, core does.
func (f option) variable() string {
	return "OPSLEVEL_" + strings.ToUpper(strings.ReplaceAll(f.name, "-", "_"))
}
