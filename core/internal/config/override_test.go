package config

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/core/internal/diag"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// overridden is a file in which there is something to override. What it reads from the environment is not set.
const overriddenFile = `locals {
  team   = "here"
  labels = { team = local.team, "example.com/site" = env("RUNNER_TEST_UNSET") }
}

runner {
  concurrency = env("RUNNER_TEST_UNSET")
}

kubernetes {
  namespace = env("RUNNER_TEST_UNSET")
  labels    = local.labels
  resources = {
    requests = { cpu = env("RUNNER_TEST_UNSET"), memory = "32Mi" }
  }
}

pipeline "default" {
  source "test" {
    config {
      token  = env("RUNNER_TEST_UNSET")
      queues = ["a"]

      rule "first" {
        words = ["x"]
      }
      step {
        name = "one"
      }
      step {
        name = "two"
      }
    }
  }

  processor "prefix" {}
  processor "sanitize" {}
  processor "prefix" {}
}
`

// needed are overrides without which that file can't be read.
var needed = []string{"runner.concurrency=1", "kubernetes.namespace=x", "kubernetes.resources.requests.cpu=1", "kubernetes.labels.example.com/site=x"}

// loadOverridden reads a file with overrides.
func loadOverridden(t *testing.T, text string, sets ...string) (*Config, diag.Diagnostics) {
	t.Helper()
	var overrides []Override
	for _, set := range sets {
		o, err := ParseOverride(set)
		if err != nil {
			t.Fatalf("%s: %v", set, err)
		}
		overrides = append(overrides, o)
	}
	return parse(&diag.File{Name: "runner.hcl", Text: []byte(text)}, overrides...)
}

func TestOverrides(t *testing.T) {
	t.Setenv("RUNNER_TEST_NAME", "from-the-environment")
	for set, got := range map[string]func(*Config) any{
		`runner.concurrency=5`:                      func(c *Config) any { return c.Runner.Concurrency == 5 },
		`runner.name=007`:                           func(c *Config) any { return c.Runner.Name == "007" },
		`runner.name=env("RUNNER_TEST_NAME")`:       func(c *Config) any { return c.Runner.Name == "from-the-environment" },
		`runner.name="a-${local.team}"`:             func(c *Config) any { return c.Runner.Name == "a-here" },
		`runner.name=local.team`:                    func(c *Config) any { return c.Runner.Name == "here" },
		`runner.name=local.host`:                    func(c *Config) any { return c.Runner.Name == "local.host" },
		`runner.name=null`:                          func(c *Config) any { return c.Runner.Name == defaultRunner().Name },
		`runner.drain_timeout=90`:                   func(c *Config) any { return c.Runner.DrainTimeout == 90*time.Second },
		`telemetry.address=:1`:                      func(c *Config) any { return c.Telemetry.Address == ":1" },
		`telemetry.address=`:                        func(c *Config) any { return c.Telemetry.Address == "" },
		`telemetry.pprof=true`:                      func(c *Config) any { return c.Telemetry.Pprof },
		`telemetry.pprof=1`:                         func(c *Config) any { return c.Telemetry.Pprof },
		`local.xtrace=False`:                        func(c *Config) any { return !c.Pipelines[0].Local.XTrace },
		`kubernetes.namespace=jobs`:                 func(c *Config) any { return c.Pipelines[0].Kubernetes.Namespace == "jobs" },
		`kubernetes.lifetime=2h`:                    func(c *Config) any { return c.Pipelines[0].Kubernetes.Lifetime == 2*time.Hour },
		`kubernetes.labels={ a = "b" }`:             func(c *Config) any { return cmp.Equal(c.Pipelines[0].Kubernetes.Labels, map[string]string{"a": "b"}) },
		`kubernetes.labels.team=x`:                  func(c *Config) any { return c.Pipelines[0].Kubernetes.Labels["team"] == "x" },
		`kubernetes.labels.example.com/site=y`:      func(c *Config) any { return c.Pipelines[0].Kubernetes.Labels["example.com/site"] == "y" },
		`kubernetes.labels["example.com/other"]=y`:  func(c *Config) any { return c.Pipelines[0].Kubernetes.Labels["example.com/other"] == "y" },
		`kubernetes.node_selector.zone=a`:           func(c *Config) any { return c.Pipelines[0].Kubernetes.NodeSelector["zone"] == "a" },
		`kubernetes.image_pull_secrets=["a", "b"]`:  func(c *Config) any { return cmp.Equal(c.Pipelines[0].Kubernetes.ImagePullSecrets, []string{"a", "b"}) },
		`kubernetes.resources.requests.memory=48Mi`: func(c *Config) any { return c.Pipelines[0].Kubernetes.Resources.Requests.Memory().String() == "48Mi" },
		`kubernetes.resources.limits.nvidia.com/gpu=1`: func(c *Config) any {
			q := c.Pipelines[0].Kubernetes.Resources.Limits["nvidia.com/gpu"]
			return q.String() == "1"
		},
		`kubernetes.resources.limits.cpu=null`:       func(c *Config) any { _, there := c.Pipelines[0].Kubernetes.Resources.Limits["cpu"]; return !there },
		`kubernetes.security_context.runAsUser=1000`: func(c *Config) any { return *c.Pipelines[0].Kubernetes.SecurityContext.RunAsUser == 1000 },
		`kubernetes.security_context.seccompProfile.type=Unconfined`: func(c *Config) any {
			return c.Pipelines[0].Kubernetes.SecurityContext.SeccompProfile.Type == "Unconfined"
		},
		`local.xtrace=false`:                                func(c *Config) any { return !c.Pipelines[0].Local.XTrace },
		`locals.team=there`:                                 func(c *Config) any { return c.Pipelines[0].Kubernetes.Labels["team"] == "there" },
		`plugin.sanitize.log_level=debug`:                   func(c *Config) any { return c.Plugin("sanitize").LogLevel == "debug" },
		`pipeline.default.executor=local`:                   func(c *Config) any { return c.Pipelines[0].Executor == "local" },
		`pipeline.default.kubernetes.namespace=other`:       func(c *Config) any { return c.Pipelines[0].Kubernetes.Namespace == "other" },
		`pipeline.default.local.shell=/bin/bash`:            func(c *Config) any { return c.Pipelines[0].Local.Shell == "/bin/bash" },
		`pipeline.default.deliver.max_bytes=2KiB`:           func(c *Config) any { return c.Pipelines[0].Deliver.MaxBytes == 2048 },
		`executor=local`:                                    func(c *Config) any { return c.Pipelines[0].Executor == "local" },
		`deliver.max_interval=1`:                            func(c *Config) any { return c.Pipelines[0].Deliver.MaxInterval == time.Second },
		`pipeline.default.processor.sanitize.on_error=drop`: func(c *Config) any { return c.Pipelines[0].Processors[1].OnError == OnErrorDrop },
		`processor.prefix[1].on_error=pass`: func(c *Config) any {
			return c.Pipelines[0].Processors[0].OnError == OnErrorFail && c.Pipelines[0].Processors[2].OnError == OnErrorPass
		},
	} {
		t.Run(set, func(t *testing.T) {
			c, diags := loadOverridden(t, overriddenFile, append(slices.Clone(needed), set)...)
			if len(diags) > 0 {
				t.Fatal(diags)
			}
			if got(c) != true {
				t.Errorf("not set: %+v", c)
			}
		})
	}
}

// TestOverridesOfPlugins decodes a plugin's configuration with overrides.
func TestOverridesOfPlugins(t *testing.T) {
	for set, want := range map[string]map[string]any{
		`pipeline.default.source.test.config.mode=fast`: {"mode": "fast"},
		`pipeline.default.source.config.retries=3`:      {"retries": 3.0},
		`source.config.pattern=[a-z]`:                   {"pattern": "[a-z]"},
		`source.config.enabled=true`:                    {"enabled": true},
		`source.test.config.interval=90`:                {"interval": 90e9},
		`source.config.queues=["x", "y"]`:               {"queues": []any{"x", "y"}},
		`source.config.labels.team.x=y`:                 {"labels": map[string]any{"team.x": "y"}},
		`source.config.weights={ a = 1 }`:               {"weights": map[string]any{"a": 1.0}},
		`source.config.limits.cpu=4`:                    {"limits": map[string]any{"cpu": 4.0}},
		`source.config.rule.first.words=["z"]`:          {"rule": map[string]any{"first": map[string]any{"words": []any{"z"}}}},
		`source.config.rule.second.words=["z"]`:         {"rule": map[string]any{"first": map[string]any{"words": []any{"x"}}, "second": map[string]any{"words": []any{"z"}}}},
		`source.config.step[1].name=three`:              {"step": []any{map[string]any{"name": "one"}, map[string]any{"name": "three"}}},
	} {
		t.Run(set, func(t *testing.T) {
			sets := append(slices.Clone(needed), "source.config.token=xyzzy", set)
			c, diags := loadOverridden(t, overriddenFile, sets...)
			if len(diags) > 0 {
				t.Fatal(diags)
			}
			text, diags := c.Pipelines[0].Source.Decode(testSchema)
			if len(diags) > 0 {
				t.Fatal(diags)
			}
			again, _ := c.Pipelines[0].Source.Decode(testSchema)
			if !bytes.Equal(text, again) {
				t.Errorf("decoded again it is something else: %s, %s", text, again)
			}
			var got map[string]any
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if got["token"] != "xyzzy" {
				t.Errorf("the token is %v", got["token"])
			}
			for key, value := range want {
				if d := cmp.Diff(value, got[key]); d != "" {
					t.Errorf("%s (-want +got):\n%s", key, d)
				}
			}
		})
	}
}

// TestWrongOverrides compares what is said of overrides that are wrong. None of them is shown with its value.
func TestWrongOverrides(t *testing.T) {
	for set, want := range map[string]string{
		`kubernets.namespace=x`:                            `Unknown value: There is nothing called "kubernets". Did you mean "kubernetes"?`,
		`kubernetes.namespac=hunter2-hunter2`:              `Unknown argument: There is no argument called "namespac" here. Did you mean "namespace"?`,
		`kubernetes.namespace=hunter2_hunter2`:             `Wrong value: The argument "namespace" does not take this value. It is 1 to 63 lower-case letters, digits and dashes, with a letter or digit at either end.`,
		`telemetry.sentry_dsn=hunter2-hunter2`:             "Wrong value: The argument \"sentry_dsn\" does not take this value. Its scheme is neither https nor http. It is the DSN that Sentry shows in a project's settings under Client Keys, such as https://KEY@o1.ingest.sentry.io/2; \"\" sends nothing.",
		`kubernetes.namespace.x=hunter2-hunter2`:           `Not a map: "namespace" is set as a whole: it has no parts with names of their own.`,
		`telemetry.pprof=yes`:                              `Wrong value: The argument "pprof" takes true or false.`,
		`kubernetes[0].namespace=x`:                        `Unknown value: "kubernetes" is not one of several that could be counted. Leave out the brackets.`,
		`kubernetes=hunter2-hunter2`:                       `Not a value: "kubernetes" is a block. Name an argument in it: --set kubernetes.ARGUMENT=….`,
		`kubernetes.image_pull_secrets=hunter2-hunter2`:    `Wrong type: The argument "image_pull_secrets" takes a list in square brackets, each element a text in double quotes.`,
		`kubernetes.image_pull_secrets[0]=x`:               `Not a map: "image_pull_secrets" is set as a whole: it has no parts with names of their own.`,
		`kubernetes.image_pull_secrets=["hunter2-hunter2"`: `Unterminated tuple constructor expression: There is no corresponding closing bracket before the end of the file. This may be caused by incorrect bracket nesting elsewhere in this file.`,
		`kubernetes.tolerations[0].key=x`:                  `Not a map: "tolerations" is set as a whole: it has no parts with names of their own.`,
		`kubernetes.resources.limit.cpu=1`:                 `Unknown field: There is no field "limit" in resources. Did you mean "limits"?`,
		`kubernetes.resources.limits.cpu=hunter2-hunter2`:  `Wrong value: resources.limits.cpu takes a quantity that is not negative, such as "250m", "1.5Gi" or 2.`,
		`kubernetes.affinity.nodeAffinity.x.y=1`:           `Unknown field: There is no field "x" in affinity.nodeAffinity. There are: preferredDuringSchedulingIgnoredDuringExecution, requiredDuringSchedulingIgnoredDuringExecution.`,
		`runner.concurrency=hunter2-hunter2`:               `Wrong value: The argument "concurrency" takes a whole number.`,
		`runner.name=env("RUNNER_TEST_UNSET")`:             `Environment variable not set: The environment variable RUNNER_TEST_UNSET is not set, or empty. Set it, or give a default: env("RUNNER_TEST_UNSET", "default").`,
		`locals.teem=x`:                                    `Unknown local: There is no local value called "teem". Did you mean "team"?`,
		`locals.team.x=x`:                                  `Unknown value: A local value is set as a whole: --set locals.NAME=….`,
		`pipeline.defalt.executor=x`:                       `Unknown pipeline: There is no pipeline called "defalt" to set something in. Did you mean "default"?`,
		`pipeline=x`:                                       `Missing name: Blocks "pipeline" have names: --set pipeline.NAME.ARGUMENT=….`,
		`pipeline.default=x`:                               `Not a value: "pipeline" is a block. Name an argument in it: --set pipeline.default.ARGUMENT=….`,
		`pipeline.default.deliver=x`:                       `Not a value: "deliver" is a block. Name an argument in it: --set pipeline.default.deliver.ARGUMENT=….`,
		`pipeline.default.executor=kubernets`:              `Wrong value: The argument "executor" does not take this value. Did you mean "kubernetes"? It is one of: kubernetes, local.`,
		`pipeline.default.source.config=x`:                 `Not a value: "config" is a block. Name an argument in it: --set pipeline.default.source.config.ARGUMENT=….`,
		`pipeline.default.source.opslevel.config.x=1`:      `Unknown source: There is no source called "opslevel" to set something in.`,
		`pipeline.default.processor.sanitise.config.x=1`:   `Unknown processor: There is no processor called "sanitise" to set something in. Did you mean "sanitize"?`,
		`processor.prefix.on_error=drop`:                   `Which processor: There are 2 blocks processor "prefix" here. Say which one is meant, counted from 0: prefix[0].`,
		`processor.prefix[2].on_error=drop`:                `Unknown processor: There is no block processor prefix[2]: they are counted from 0, and there are 2.`,
		`processor.sanitize.min_length=4`:                  `Unknown argument: There is no argument called "min_length" here. What is meant for the plugin stands in its block config { … }.`,
	} {
		t.Run(set, func(t *testing.T) {
			c, diags := loadOverridden(t, overriddenFile, append(slices.Clone(needed), set)...)
			if c != nil || len(diags) != 1 {
				t.Fatalf("got %v and %v", c, diags)
			}
			if got := diags[0].Summary + ": " + diags[0].Detail; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			checkPlace(t, set, diags)
		})
	}
}

// checkPlace makes sure that diagnostics name an override as their place and do not show its value.
func checkPlace(t *testing.T, set string, diags diag.Diagnostics) {
	t.Helper()
	name, _, _ := strings.Cut(set, "=")
	var text, asJSON bytes.Buffer
	if err := diag.WriteText(&text, diags, diag.Style{}); err != nil {
		t.Fatal(err)
	}
	if err := diag.WriteJSON(&asJSON, diags); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "  on --set "+name+"\n") {
		t.Errorf("the place is not told:\n%s", text.String())
	}
	if strings.Contains(text.String()+asJSON.String(), "hunter2") {
		t.Errorf("the value is shown:\n%s", text.String())
	}
}

// TestWrongOverridesOfPlugins does the same for what only a plugin's schema can tell.
func TestWrongOverridesOfPlugins(t *testing.T) {
	for set, want := range map[string]string{
		`source.config.tokn=hunter2-hunter2`:  `Unknown argument: There is no argument called "tokn" here. Did you mean "token"?`,
		`source.config.grade=hunter2-hunter2`: `Wrong value: The argument "grade" does not take this value. It is one of: high, low.`,
		`source.config.retries=hunter2`:       `Wrong value: The argument "retries" takes a whole number.`,
		`source.config.queues=hunter2`:        `Wrong type: The argument "queues" takes a list in square brackets, each element a text in double quotes.`,
		`source.config.mode.x=hunter2`:        `Not a map: "mode" is set as a whole: it has no parts with names of their own.`,
		`source.config.limits=hunter2`:        `Not a value: "limits" is a block. Name an argument in it: --set source.config.limits.ARGUMENT=….`,
		`source.config.limits.cpus=hunter2`:   `Unknown argument: There is no argument called "cpus" here. Did you mean "cpu"?`,
		`source.config.rule=hunter2`:          `Missing name: Blocks "rule" have names: --set source.config.rule.NAME.ARGUMENT=….`,
		`source.config.step.name=hunter2`:     `Which block: There are 2 blocks "step" here, counted from 0. Say which one is meant, as in step[0]; a new one is written in the file.`,
		`source.config.step[2].name=hunter2`:  `Which block: There are 2 blocks "step" here, counted from 0. Say which one is meant, as in step[0]; a new one is written in the file.`,
	} {
		t.Run(set, func(t *testing.T) {
			c, diags := loadOverridden(t, overriddenFile, append(slices.Clone(needed), "source.config.token=xyzzy", set)...)
			if len(diags) > 0 {
				t.Fatal(diags)
			}
			_, diags = c.Pipelines[0].Source.Decode(testSchema)
			if len(diags) != 1 {
				t.Fatal(diags)
			}
			if got := diags[0].Summary + ": " + diags[0].Detail; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			checkPlace(t, set, diags)
		})
	}
}

// TestNoOverride says what is no override at all, without repeating what may be a secret.
func TestNoOverride(t *testing.T) {
	for set, want := range map[string]string{
		"hunter2":                         "one of those given has no name or no equals sign",
		"=hunter2":                        "one of those given has no name or no equals sign",
		"a..b=hunter2":                    "--set a..b: this is no name of a value",
		"a.=hunter2":                      "--set a.: this is no name of a value",
		".a=hunter2":                      "--set .a: this is no name of a value",
		"a[b]=hunter2":                    "--set a[b]: this is no name of a value",
		"a[0=hunter2":                     "--set a[0: this is no name of a value",
		"a[-1].b=hunter2":                 "--set a[-1].b: this is no name of a value",
		`kubernetes.labels["a]=hunter2`:   `--set kubernetes.labels["a]: this is no name of a value`,
		`kubernetes.labels["a"]x=hunter2`: `--set kubernetes.labels["a"]x: this is no name of a value`,
	} {
		_, err := ParseOverride(set)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", set, err)
		}
	}
}

// TestOverrideOfWhatIsNotWrittenOut says that a member of a computed map can't be set.
func TestOverrideOfWhatIsNotWrittenOut(t *testing.T) {
	text := `kubernetes {
  labels = true ? { a = "b" } : {}
}
` + builtinText
	_, diags := loadOverridden(t, text, "kubernetes.labels.team=x")
	want := "What stands at runner.hcl:2:12 is not a map in braces, so no member of it can be set. Set the whole."
	if len(diags) != 1 || diags[0].Detail != want {
		t.Errorf("got %v", diags)
	}
}

// TestOverrideNotHeeded warns of an override that a pipeline's own value makes void.
func TestOverrideNotHeeded(t *testing.T) {
	text := `pipeline "default" {
  processor "sanitize" {}

  kubernetes {
    namespace = "mine"
    labels    = { a = "b" }
  }
}
`
	c, diags := loadOverridden(t, text, "kubernetes.namespace=jobs", `kubernetes.labels={}`)
	want := `The pipeline "default" has a value of its own at runner.hcl:5:5, which counts there. Set that one: --set pipeline.default.kubernetes.namespace=….`
	if c == nil || len(diags) != 1 || diags[0].Severity != diag.Warning || diags[0].Detail != want {
		t.Errorf("got %v", diags)
	}
	if _, diags := loadOverridden(t, text, "kubernetes.namespace=jobs", "pipeline.default.kubernetes.namespace=jobs"); len(diags) != 0 {
		t.Errorf("both are set: got %v", diags)
	}
}

// TestSeveralPipelines wants a name.
func TestSeveralPipelines(t *testing.T) {
	_, diags := loadOverridden(t, builtinText+"pipeline \"other\" {\n  processor \"sanitize\" {}\n}\n", "deliver.max_bytes=2KiB")
	if want := "There are 2 pipelines, so name one: --set pipeline.NAME.deliver.max_bytes=…."; len(diags) != 1 || diags[0].Detail != want {
		t.Errorf("got %v", diags)
	}
}

// TestOverridesOfTheBuiltin sets something where there is no file.
func TestOverridesOfTheBuiltin(t *testing.T) {
	o, err := ParseOverride("pipeline.default.executor=local")
	if err != nil {
		t.Fatal(err)
	}
	c, diags := BuiltinWith(o)
	if c == nil || c.Path != "" || c.Pipelines[0].Executor != "local" {
		t.Errorf("got %v and %v", c, diags)
	}
}

// TestLaterOverrideCounts sets a value twice.
func TestLaterOverrideCounts(t *testing.T) {
	c, diags := loadOverridden(t, builtinText, "runner.concurrency=1", "runner.concurrency=2")
	if c == nil || c.Runner.Concurrency != 2 {
		t.Errorf("got %v and %v", c, diags)
	}
}

// TestEveryBlockCanBeOverridden makes sure that a new kind of block is thought of.
func TestEveryBlockCanBeOverridden(t *testing.T) {
	for _, name := range rootSettings.blocks {
		if _, ok := overridable()[name]; !ok && !slices.Contains([]string{"plugin", "pipeline", "locals"}, name) {
			t.Errorf("--set %s.… leads nowhere", name)
		}
	}
	for _, name := range pipelineSettings.blocks {
		if !slices.Contains([]string{"source", "processor", "deliver", "kubernetes", "local"}, name) {
			t.Errorf("--set pipeline.NAME.%s.… leads nowhere", name)
		}
	}
}

// TestOverlayOfAnOverride has no lines in the file.
func TestOverlayOfAnOverride(t *testing.T) {
	_, diags := loadOverridden(t, builtinText, "kubernetes.pod_overlay=spec: {restartPolicy: Always}")
	if len(diags) != 1 || diags[0].Summary != "Owned by core" || diags[0].Range.String() != "--set kubernetes.pod_overlay" {
		t.Errorf("got %v", diags)
	}
}

// TestDocumentedOverrides reads every --set in docs/configuration.md that begins a command line or stands in quotes, and
// every name in its table.
func TestDocumentedOverrides(t *testing.T) {
	_, section, _ := strings.Cut(docs(t), "\n## Overriding values from the command line\n")
	section, _, _ = strings.Cut(section, "\n## ")
	sets := regexp.MustCompile(`--set '?([a-z_.]+="?[^'\x60\n]*?)(?:'|\x60| --|\n)`).FindAllStringSubmatch(section, -1)
	if len(sets) < 5 {
		t.Fatalf("found %d", len(sets))
	}
	names := regexp.MustCompile("(?m)^\\| (`[^|]+`[^|]*) \\|").FindAllStringSubmatch(section, -1)
	for _, row := range names {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			sets = append(sets, []string{"", name[1] + "=1"})
		}
	}
	t.Setenv("TOKEN", "xyzzy")
	text := `locals {
  site = "here"
}
pipeline "default" {
  source "opslevel" {}
  processor "sanitize" {}
  processor "prefix" {}
}
`
	for _, set := range sets {
		_, diags := loadOverridden(t, text, set[1])
		for _, d := range diags {
			if strings.HasPrefix(d.Summary, "Unknown") {
				t.Errorf("--set %s: %s", set[1], d.Detail)
			}
		}
	}
}

// TestOverrideOfOneUseOfALocal leaves the others as they are.
func TestOverrideOfOneUseOfALocal(t *testing.T) {
	text := `locals {
  pairs = { team = "here" }
}
kubernetes {
  labels      = local.pairs
  annotations = local.pairs
}
` + builtinText
	c, diags := loadOverridden(t, text, "kubernetes.labels.team=there", "kubernetes.labels.other=x")
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	k := c.Pipelines[0].Kubernetes
	if d := cmp.Diff(map[string]string{"team": "there", "other": "x"}, k.Labels); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]string{"team": "here"}, k.Annotations); d != "" {
		t.Errorf("annotations (-want +got):\n%s", d)
	}
}

// TestPluginsDoNotShowOverrides hides what a plugin repeats of an override, as it hides what came from the environment.
func TestPluginsDoNotShowOverrides(t *testing.T) {
	c, diags := loadOverridden(t, overriddenFile, append(slices.Clone(needed), "source.config.token=xyzzy", "source.config.pattern=hunter2")...)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	source := c.Pipelines[0].Source
	if _, diags = source.Decode(testSchema); len(diags) > 0 {
		t.Fatal(diags)
	}
	got := source.Locate([]*pluginv1.Diagnostic{{Summary: "Wrong", Detail: "No hunter2.", Path: &pluginv1.Path{Steps: steps("pattern")}}})
	if got[0].Detail != "No (hidden)." || got[0].Range.String() != "--set source.config.pattern" {
		t.Errorf("got %v", got)
	}
}
