package migrate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/diag"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// seedFlags are the flags of the seed, with their defaults and variables, as its help and its documentation have them.
const seedFlags = `
config ./opslevel.yaml
api-url https://api.opslevel.com OPSLEVEL_API_URL OPSLEVEL_APP_URL
api-token - OPSLEVEL_API_TOKEN
log-format TEXT OPSLEVEL_LOG_FORMAT
log-level INFO OPSLEVEL_LOG_LEVEL
scaling-enabled false SCALING_ENABLED
job-pod-max-wait 60 OPSLEVEL_JOB_POD_MAX_WAIT
job-pod-exec-max-wait 60
job-pod-max-lifetime 3600 OPSLEVEL_JOB_POD_MAX_LIFETIME
job-pod-namespace default OPSLEVEL_JOB_POD_NAMESPACE
job-pod-requests-cpu 1000
job-pod-requests-memory 1024
job-pod-requests-ephemeral-storage 64
job-pod-limits-cpu 1000
job-pod-limits-memory 1024
job-pod-limits-ephemeral-storage 26624
job-pod-shell /bin/sh OPSLEVEL_JOB_POD_SHELL
job-pod-workdir /jobs OPSLEVEL_JOB_POD_WORKDIR
job-pod-log-max-interval 30 OPSLEVEL_JOB_POD_LOG_MAX_INTERVAL
job-pod-log-max-size 1000000 OPSLEVEL_JOB_POD_LOG_MAX_SIZE
job-agent-mode false OPSLEVEL_JOB_AGENT_MODE
job-pod-helper-image - OPSLEVEL_JOB_POD_HELPER_IMAGE
queue - OPSLEVEL_QUEUE
k8s-api-qps 50 OPSLEVEL_K8S_API_QPS
k8s-api-burst 100 OPSLEVEL_K8S_API_BURST
runner-pod-name - RUNNER_POD_NAME
runner-pod-namespace default RUNNER_POD_NAMESPACE
runner-deployment runner RUNNER_DEPLOYMENT
runner-min-replicas 1 RUNNER_MIN_REPLICAS
runner-max-replicas 10 RUNNER_MAX_REPLICAS
mode api OPSLEVEL_MODE
queues default OPSLEVEL_QUEUES
job-concurrency 3
job-concurrency-factor 100
poll-interval 10
metrics-port 10354
log-max-bytes 512000
log-max-time 30
`

// seedPodKeys are the keys of the section kubernetes.
var seedPodKeys = []string{
	"namespace", "lifetime", "shell", "workingDir", "annotations", "resources", "serviceAccountName", "terminationGracePeriodSeconds",
	"dnsPolicy", "pullPolicy", "securityContext", "nodeSelector", "agentMode", "helperImage",
}

// seedVariables are the variables that are no flags.
var seedVariables = []string{"SENTRY_DSN", "KUBECONFIG", "FAKTORY_URL", "FAKTORY_PROVIDER", "OPSLEVEL_USER_AGENT_EXTRAS"}

// settled is what a configuration comes to.
type settled struct {
	*config.Config
	// Source is what the plugin gets.
	Source map[string]any
}

func (s *settled) kubernetes() *config.Kubernetes { return &s.Pipelines[0].Kubernetes }
func (s *settled) deliver() *config.Deliver       { return &s.Pipelines[0].Deliver }

func (s *settled) request(name corev1.ResourceName, quantity string) {
	s.kubernetes().Resources.Requests[name] = resource.MustParse(quantity)
}

func (s *settled) limit(name corev1.ResourceName, quantity string) {
	s.kubernetes().Resources.Limits[name] = resource.MustParse(quantity)
}

// row is a flag of the seed with a value, and what becomes of it.
type row struct {
	name, value string
	// faktory says that this is about the mode faktory.
	faktory bool
	// edit changes what comes of no settings at all into what comes of this one; nil changes nothing.
	edit func(*settled)
	// shipped is edit for the shipped configuration and the environment, when that differs.
	shipped func(*settled)
	// variable is edit for the variable, when that differs.
	variable func(*settled)
	// warn is the summary of the warning, "" for none.
	warn string
	// quiet: of the variable there is no warning.
	quiet bool
}

func nothing(*settled) {}

// rows are all flags. The variables are those of the flags; a flag with none has one by its name in the shipped files.
var rows = []row{
	{name: "api-url", value: "https://opslevel.example.com", edit: func(s *settled) { s.Source["api_url"] = "https://opslevel.example.com" }},
	{
		name: "api-token", value: "hunter2-hunter2", warn: "Token not copied", quiet: true,
		variable: func(s *settled) { s.Source["api_token"] = "hunter2-hunter2" }, shipped: func(s *settled) { s.Source["api_token"] = "hunter2-hunter2" },
	},
	{name: "log-format", value: "JSON", edit: func(s *settled) { s.Runner.LogFormat = "json" }},
	{name: "log-level", value: "Debug", edit: func(s *settled) { s.Runner.LogLevel = "debug" }},
	{name: "scaling-enabled", value: "true", edit: func(s *settled) { s.Scaling.Enabled, s.Scaling.Pod = true, "pod-1" }},
	{name: "job-pod-max-wait", value: "90", edit: func(s *settled) { s.kubernetes().StartTimeout = 90 * time.Second }},
	{name: "job-pod-exec-max-wait", value: "20", edit: func(s *settled) { s.kubernetes().RequestTimeout = 20 * time.Second }},
	{name: "job-pod-max-lifetime", value: "7200", edit: func(s *settled) { s.kubernetes().Lifetime = 2 * time.Hour }},
	{name: "job-pod-namespace", value: "jobs", edit: func(s *settled) { s.kubernetes().Namespace = "jobs" }},
	{name: "job-pod-requests-cpu", value: "300", edit: func(s *settled) { s.request("cpu", "300m") }},
	{name: "job-pod-requests-memory", value: "512", edit: func(s *settled) { s.request("memory", "512Mi") }},
	{name: "job-pod-requests-ephemeral-storage", value: "128", edit: func(s *settled) { s.request("ephemeral-storage", "128Mi") }},
	{name: "job-pod-limits-cpu", value: "2500", edit: func(s *settled) { s.limit("cpu", "2500m") }},
	{name: "job-pod-limits-memory", value: "2048", edit: func(s *settled) { s.limit("memory", "2Gi") }},
	{name: "job-pod-limits-ephemeral-storage", value: "1024", edit: func(s *settled) { s.limit("ephemeral-storage", "1Gi") }},
	{name: "job-pod-shell", value: "/bin/bash", edit: func(s *settled) { s.kubernetes().Shell = "/bin/bash" }},
	{name: "job-pod-workdir", value: "/work", edit: func(s *settled) { s.kubernetes().Workdir = "/work" }},
	{name: "job-pod-log-max-interval", value: "45", edit: func(s *settled) { s.deliver().MaxInterval = 45 * time.Second }},
	{name: "job-pod-log-max-size", value: "2000000", edit: func(s *settled) { s.deliver().MaxBytes = 2_000_000 }},
	{name: "job-agent-mode", value: "true", edit: func(s *settled) { s.kubernetes().AgentMode = true }},
	{
		name: "job-pod-helper-image", value: "example.com/helper:1", warn: "Helper image not taken over",
		shipped: func(s *settled) { s.kubernetes().HelperImage = "example.com/helper:1" },
	},
	{name: "queue", value: "q1", edit: func(s *settled) { s.Source["queue"] = "q1" }},
	{name: "queue", value: "q1", faktory: true, warn: "No effect"},
	{name: "k8s-api-qps", value: "5", edit: func(s *settled) { s.kubernetes().QPS = 5 }},
	{name: "k8s-api-burst", value: "6", edit: func(s *settled) { s.kubernetes().Burst = 6 }},
	{
		name: "runner-pod-name", value: "pod-2", edit: func(s *settled) { s.Runner.Name = "pod-2" },
		shipped: func(s *settled) { s.Runner.Name, s.Scaling.Pod = "pod-2", "pod-2" },
	},
	{name: "runner-pod-namespace", value: "ns", edit: func(s *settled) { s.Scaling.Namespace, s.Scaling.Pod = "ns", "pod-1" }, variable: nothing},
	{name: "runner-deployment", value: "deployed", edit: func(s *settled) { s.Scaling.Deployment, s.Scaling.Pod = "deployed", "pod-1" }},
	{name: "runner-min-replicas", value: "2", edit: func(s *settled) { s.Scaling.MinReplicas, s.Scaling.Pod = 2, "pod-1" }},
	{name: "runner-max-replicas", value: "20", edit: func(s *settled) { s.Scaling.MaxReplicas, s.Scaling.Pod = 20, "pod-1" }},
	{name: "scaling-enabled", value: "true", faktory: true, warn: "No effect", variable: nothing, quiet: true},
	{name: "queues", value: "a", faktory: true, edit: func(s *settled) { s.Source["queues"] = []any{"a"} }},
	{name: "queues", value: "a", warn: "No effect"},
	{name: "job-concurrency", value: "5", edit: func(s *settled) { s.Runner.Concurrency = 5 }},
	{name: "job-concurrency", value: "5", faktory: true, edit: func(s *settled) { s.Runner.Concurrency = 5 }},
	{name: "job-concurrency-factor", value: "50", edit: func(s *settled) { s.Scaling.ConcurrencyFactor, s.Scaling.Pod = 50, "pod-1" }},
	{name: "poll-interval", value: "5", edit: func(s *settled) { s.Source["poll_interval"] = 5e9 }},
	{name: "poll-interval", value: "5", faktory: true, warn: "No effect"},
	{name: "api-url", value: "https://opslevel.example.com", faktory: true, warn: "No effect"},
	{name: "metrics-port", value: "9000", edit: func(s *settled) { s.Telemetry.Address = ":9000" }},
	{name: "log-max-bytes", value: "5", warn: "No effect", shipped: nothing},
	{name: "log-max-time", value: "5", warn: "No effect", shipped: nothing},
}

// elsewhere are flags whose meaning is not a value; other tests are about them.
var elsewhere = []string{"config", "mode"}

// TestTablesAreComplete compares the tables of this package, and of its tests, with the lists.
func TestTablesAreComplete(t *testing.T) {
	var want, got []string
	for _, f := range options {
		standard := f.standard
		if standard == "" {
			standard = "-"
		}
		got = append(got, strings.Join(append([]string{f.name, standard}, f.env...), " "))
		inRows := slices.ContainsFunc(rows, func(r row) bool { return r.name == f.name })
		if inRows == slices.Contains(elsewhere, f.name) {
			t.Errorf("the flag %s is tested twice, or not at all", f.name)
		}
	}
	want = strings.Split(strings.TrimSpace(seedFlags), "\n")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("flags (-want +got):\n%s", d)
	}
	var keys, tested []string
	for _, k := range podKeys {
		keys = append(keys, k.name)
	}
	for _, r := range podRows {
		tested = append(tested, r.key)
	}
	if d := cmp.Diff(seedPodKeys, keys); d != "" {
		t.Errorf("keys of the pod file (-want +got):\n%s", d)
	}
	for _, key := range seedPodKeys {
		if !slices.Contains(tested, key) {
			t.Errorf("the key %s is not tested", key)
		}
	}
}

// environment sets the variables of the seed to nothing, and gives the tests what they all need.
func environment(t *testing.T) {
	t.Helper()
	for _, f := range options {
		for _, name := range append(f.env, f.variable()) {
			t.Setenv(name, "")
		}
	}
	for _, name := range seedVariables {
		t.Setenv(name, "")
	}
	t.Setenv("OPSLEVEL_API_TOKEN", "from-the-environment")
	t.Setenv("RUNNER_POD_NAME", "pod-1")
}

// withoutCommon is the environment as migrate sees it, without what all tests need.
func withoutCommon(name string) string {
	if v := os.Getenv(name); v != "from-the-environment" && v != "pod-1" {
		return v
	}
	return ""
}

// migrated returns what becomes of inputs, and the summaries of the warnings.
func migrated(t *testing.T, yaml string, line []string) (*settled, []string) {
	t.Helper()
	in := Inputs{Getenv: withoutCommon}
	if yaml != "" {
		in.File = &diag.File{Name: "opslevel.yaml", Text: []byte(yaml)}
	}
	if line != nil {
		var err error
		if in.Line, err = ParseLine(line); err != nil {
			t.Fatal(err)
		}
	}
	text, diags := Migrate(in)
	if text == nil {
		t.Fatalf("refused: %v", diags)
	}
	if strings.Contains(string(text), "hunter2") {
		t.Errorf("a secret is written:\n%s", text)
	}
	var summaries []string
	for _, d := range diags {
		summaries = append(summaries, d.Summary)
	}
	path := filepath.Join(t.TempDir(), "runner.hcl")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return load(t, path), summaries
}

// load reads a configuration as `core run` does.
func load(t *testing.T, path string) *settled {
	t.Helper()
	c, diags := config.Load(path)
	if c == nil || len(diags) > 0 {
		t.Fatalf("%s: %v", path, diags)
	}
	use := c.Pipelines[0].Source
	text, diags := use.Decode(schemas[use.Name])
	if len(diags) > 0 {
		t.Fatalf("%s: %v", path, diags)
	}
	s := &settled{Config: c}
	if err := json.Unmarshal(text, &s.Source); err != nil {
		t.Fatal(err)
	}
	// Absent is what the plugin takes for its default.
	if s.Source["api_url"] == nil && use.Name == "opslevel" {
		s.Source["api_url"] = "https://api.opslevel.com"
	}
	if s.Source["poll_interval"] == nil && use.Name == "opslevel" {
		s.Source["poll_interval"] = 10e9
	}
	return s
}

// schemas are those of the plugins, as far as this needs them.
var schemas = map[string]*pluginv1.Schema{
	"opslevel": {Attributes: []*pluginv1.Attribute{
		{Name: "api_url", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_STRING}},
		{Name: "api_token", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_STRING}, Required: true, Sensitive: true},
		{Name: "queue", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_STRING}},
		{Name: "poll_interval", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_DURATION}},
		{Name: "user_agent_extras", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_STRING}},
	}},
	"faktory": {Attributes: []*pluginv1.Attribute{
		{Name: "url", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_STRING}, Sensitive: true},
		{Name: "queues", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_LIST, Element: pluginv1.Kind_KIND_STRING}},
		{Name: "provider", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_STRING}},
		{Name: "pass_url", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_BOOL}},
	}},
}

// same compares what configurations come to, but for the places in the files.
var same = cmp.Options{
	cmpopts.IgnoreUnexported(config.Config{}, config.Use{}),
	cmpopts.IgnoreTypes(diag.Range{}),
	cmpopts.IgnoreFields(config.Config{}, "Path"),
	cmpopts.EquateEmpty(),
}

// expect compares what came of a value with what was to.
func expect(t *testing.T, base func() *settled, edit func(*settled), got *settled) {
	t.Helper()
	want := base()
	if edit != nil {
		edit(want)
	}
	if d := cmp.Diff(want, got, same); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestFlags gives each flag on the command line, in the file and by its variables.
func TestFlags(t *testing.T) {
	for _, r := range rows {
		name := r.name
		var mode []string
		yamlMode := ""
		if r.faktory {
			name, mode, yamlMode = name+" with faktory", []string{"--mode", "faktory"}, "mode: faktory\n"
		}
		base := func() *settled {
			s, _ := migrated(t, "", append([]string{}, mode...))
			return s
		}
		var warn []string
		if r.warn != "" {
			warn = []string{r.warn}
		}
		check := func(t *testing.T, edit func(*settled), warn []string, yaml string, line []string) {
			t.Helper()
			got, warnings := migrated(t, yaml, line)
			if d := cmp.Diff(warn, warnings); d != "" {
				t.Errorf("warnings (-want +got):\n%s", d)
			}
			expect(t, base, edit, got)
		}
		t.Run(name+" on the command line", func(t *testing.T) {
			environment(t)
			check(t, r.edit, warn, "", append([]string{"/opslevel-runner", "run", "--" + r.name + "=" + r.value}, mode...))
		})
		t.Run(name+" in the file", func(t *testing.T) {
			environment(t)
			if r.name == "runner-pod-name" {
				t.Setenv("RUNNER_POD_NAME", "") // it would win
			}
			check(t, r.edit, warn, strings.ToUpper(r.name)+": \""+r.value+"\"\n"+yamlMode, nil)
		})
		f := options[slices.IndexFunc(options, func(f option) bool { return f.name == r.name })]
		for _, variable := range f.env {
			t.Run(variable, func(t *testing.T) {
				environment(t)
				want := base()
				edit := r.edit
				if r.variable != nil {
					edit = r.variable
				}
				if edit != nil {
					edit(want)
				}
				warn := warn
				if r.quiet {
					warn = nil
				}
				t.Setenv(variable, r.value)
				got, warnings := migrated(t, "", append([]string{}, mode...))
				if d := cmp.Diff(warn, warnings); d != "" {
					t.Errorf("warnings (-want +got):\n%s", d)
				}
				if d := cmp.Diff(want, got, same); d != "" {
					t.Errorf("-want +got:\n%s", d)
				}
			})
		}
		if len(f.env) == 0 {
			t.Run(f.variable(), func(t *testing.T) {
				environment(t)
				want := base()
				t.Setenv(f.variable(), r.value)
				got, warnings := migrated(t, "", append([]string{}, mode...))
				if d := cmp.Diff([]string{"Not read before"}, warnings); d != "" {
					t.Errorf("warnings (-want +got):\n%s", d)
				}
				if d := cmp.Diff(want, got, same); d != "" {
					t.Errorf("-want +got:\n%s", d)
				}
			})
		}
	}
}

// TestShippedFilesReadTheEnvironment sets each variable and reads the shipped configurations: those of the seed, and one by
// the name of each flag that had none.
func TestShippedFilesReadTheEnvironment(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	for _, r := range rows {
		file := filepath.Join(root, "runner.hcl")
		if r.faktory {
			file = filepath.Join(root, "examples", "faktory.hcl")
		}
		f := options[slices.IndexFunc(options, func(f option) bool { return f.name == r.name })]
		variables := f.env
		if len(variables) == 0 {
			variables = []string{f.variable()}
		}
		for _, variable := range variables {
			t.Run(filepath.Base(file)+" "+variable, func(t *testing.T) {
				environment(t)
				want := load(t, file)
				edit := r.edit
				if r.shipped != nil {
					edit = r.shipped
				}
				if edit != nil {
					edit(want)
				}
				t.Setenv(variable, r.value)
				if d := cmp.Diff(want, load(t, file), same); d != "" {
					t.Errorf("-want +got:\n%s", d)
				}
			})
		}
	}
}

// TestNothing compares what comes of no settings with the shipped file in an empty environment: they say the same.
func TestNothing(t *testing.T) {
	environment(t)
	got, warnings := migrated(t, "", nil)
	want := load(t, filepath.Join("..", "..", "..", "runner.hcl"))
	want.Scaling.Pod, want.Pipelines[0].Executor = "", "" // nothing is said of them
	if d := cmp.Diff(want, got, same); d != "" || len(warnings) > 0 {
		t.Errorf("%v, -want +got:\n%s", warnings, d)
	}
	got, warnings = migrated(t, "", []string{"--mode=faktory"})
	want = load(t, filepath.Join("..", "..", "..", "examples", "faktory.hcl"))
	want.Runner.DrainTimeout, want.Pipelines[0].Executor = got.Runner.DrainTimeout, "" // an example's own
	if d := cmp.Diff(want, got, same); d != "" || len(warnings) > 0 {
		t.Errorf("faktory: %v, -want +got:\n%s", warnings, d)
	}
}
