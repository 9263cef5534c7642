package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/core/internal/diag"
)

// root is the folder of the repository.
var root = filepath.Join("..", "..", "..")

// TestShipped reads the configuration that is shipped.
func TestShipped(t *testing.T) {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "OPSLEVEL_") || name == "SENTRY_DSN" {
			t.Setenv(name, "")
		}
	}
	c, diags := Load(filepath.Join(root, "runner.hcl"))
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if diags := c.CheckLocals(); len(diags) > 0 {
		t.Error(diags)
	}
	if c.Pipeline("") == nil {
		t.Fatal("no pipeline is the one that is meant by default")
	}
	want := defaultKubernetes()
	want.Namespace = "default"
	if d := cmp.Diff(want, c.Pipeline("").Kubernetes); d != "" {
		t.Errorf("with no environment the shipped settings are not the defaults (-want +got):\n%s", d)
	}
}

// TestShippedTakesTheEnvironment sets what people set for opslevel-runner, as they do: numbers of seconds, texts for truths.
func TestShippedTakesTheEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"OPSLEVEL_JOB_POD_NAMESPACE":    "jobs",
		"OPSLEVEL_JOB_POD_MAX_WAIT":     "90",
		"OPSLEVEL_JOB_POD_MAX_LIFETIME": "7200",
		"OPSLEVEL_JOB_POD_SHELL":        "/bin/bash",
		"OPSLEVEL_JOB_POD_WORKDIR":      "/work",
		"OPSLEVEL_JOB_AGENT_MODE":       "true",
		"OPSLEVEL_JOB_POD_HELPER_IMAGE": "helper:1",
		"OPSLEVEL_K8S_API_QPS":          "5",
		"OPSLEVEL_K8S_API_BURST":        "6",
		"SENTRY_DSN":                    "https://0123abc@sentry.example.com/7",
	} {
		t.Setenv(name, value)
	}
	c, diags := Load(filepath.Join(root, "runner.hcl"))
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	want := defaultKubernetes()
	want.Namespace, want.StartTimeout, want.Lifetime = "jobs", 90*time.Second, 2*time.Hour
	want.Shell, want.Workdir, want.AgentMode, want.HelperImage = "/bin/bash", "/work", true, "helper:1"
	want.QPS, want.Burst = 5, 6
	if d := cmp.Diff(want, c.Pipeline("").Kubernetes); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if got := c.Telemetry.SentryDSN; got != "https://0123abc@sentry.example.com/7" {
		t.Errorf("error reports go to %q", got)
	}
}

// TestExamples reads the configurations in the folder of examples.
func TestExamples(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "examples", "*.hcl"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, path := range paths {
		c, diags := Load(path)
		if c != nil {
			diags = append(diags, c.CheckLocals()...)
		}
		if len(diags) > 0 {
			t.Errorf("%s: %v", path, diags)
		}
	}
}

// TestDocsTellWhatCoreOwns looks for the names that a user must not take.
func TestDocsTellWhatCoreOwns(t *testing.T) {
	_, section, _ := strings.Cut(docs(t), "\n## `kubernetes`\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, name := range slices.Concat(ownedPrefixes, ownedKeys, ownedContainers, ownedVolumes, ownedPaths) {
		if !strings.Contains(section, "`"+name+"`") {
			t.Errorf("%s is not described as core's own", name)
		}
	}
}

// TestExamplesOfTheDocs reads every example in docs/configuration.md.
func TestExamplesOfTheDocs(t *testing.T) {
	t.Setenv("RUNNER_POD_NAME", "runner-0")
	examples := regexp.MustCompile("(?ms)^```hcl\n(.*?)^```$").FindAllStringSubmatch(docs(t), -1)
	if len(examples) < 6 {
		t.Fatalf("found %d examples", len(examples))
	}
	for _, example := range examples {
		text := example[1]
		if !strings.Contains(text, "pipeline ") {
			text += "\npipeline \"default\" {\n  processor \"sanitize\" {}\n}\n"
		}
		c, diags := parse(&diag.File{Name: "runner.hcl", Text: []byte(text)})
		if c != nil {
			diags = append(diags, c.CheckLocals()...)
		}
		if len(diags) > 0 {
			t.Errorf("%s\n%v", text, diags)
		}
	}
}

// TestDocsAreComplete looks for every block, argument and function that core knows.
func TestDocsAreComplete(t *testing.T) {
	text := docs(t)
	for name := range newScope(".").functions {
		if !strings.Contains(text, "`"+name+"(") {
			t.Errorf("the function %s is not described", name)
		}
	}
	for heading, s := range map[string]settings{
		"## `runner`":              runnerSettings,
		"## `telemetry`":           telemetrySettings,
		"## `scaling`":             scalingSettings,
		"## `local`":               localSettings,
		"## `plugin \"NAME\"`":     pluginSettings,
		"## `pipeline \"NAME\"`":   pipelineSettings,
		"### `source \"NAME\"`":    sourceSettings,
		"### `processor \"NAME\"`": processorSettings,
		"### `deliver`":            deliverSettings,
		"# Configuration":          rootSettings,
	} {
		_, section, ok := strings.Cut(text, "\n"+heading+"\n")
		if !ok && !strings.HasPrefix(text, heading+"\n") {
			t.Errorf("there is no section %s", heading)
			continue
		}
		level := strings.Repeat("#", strings.IndexByte(heading, ' '))
		if next := strings.Index(section, "\n"+level+" "); next >= 0 {
			section = section[:next]
		}
		for _, a := range s.arguments {
			if !strings.Contains(section, "| `"+a.Name+"` |") {
				t.Errorf("%s: the argument %s is not described", heading, a.Name)
			}
		}
		for _, block := range s.blocks {
			if !regexp.MustCompile("(?m)^##.*`"+block+"\\b").MatchString(text) && block != "locals" {
				t.Errorf("%s: the block %s is not described", heading, block)
			}
		}
	}
}

func docs(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
