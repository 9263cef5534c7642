package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/podrunner/runner/core/internal/diag"
)

// sameConfig compares configurations but for the places in the file.
var sameConfig = cmp.Options{
	cmpopts.IgnoreUnexported(Config{}, Use{}),
	cmpopts.IgnoreTypes(diag.Range{}),
}

func TestLoad(t *testing.T) {
	path := filepath.Join("testdata", "good", "full.hcl")
	got, diags := Load(path)
	if len(diags) > 0 {
		t.Fatalf("got diagnostics: %v", diags)
	}
	local := Local{Shell: "/bin/bash", Workdir: "/srv/here/jobs", Lifetime: 150 * time.Minute, XTrace: true, Grace: 1500 * time.Millisecond}
	first := local
	local.Tools = map[string]string{"opslevel-runner": "runner-source-faktory", "both": "outer"}
	first.XTrace, first.Grace = false, 0
	first.Tools = map[string]string{"opslevel-runner": "runner-source-faktory", "both": "inner", "mine": "a_tool.sh"}
	want := &Config{
		Path:   path,
		Runner: Runner{Name: "runner-here", Concurrency: 7, PluginDir: filepath.Join("testdata", "good", "plugins"), DrainTimeout: 10 * time.Minute},
		Telemetry: Telemetry{
			Address: ":9090", Namespace: "jobs", Pprof: true,
			SentryDSN: "https://0123abc@sentry.example.com/path/7", SentryEnvironment: "staging",
		},
		Scaling: Scaling{
			Enabled: true, Pod: "runner-7d9f-x2", Namespace: "runners", Deployment: "opslevel-runner", MinReplicas: 2, MaxReplicas: 5,
			Interval: 90 * time.Second, ConcurrencyFactor: 1, Kubeconfig: filepath.Join("testdata", "good", "kubeconfig"), Context: "here",
		},
		Plugins: []*Plugin{{
			Name:     "sanitize",
			Checksum: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
			Env:      []string{"SSL_CERT_FILE"},
			LogLevel: "debug",
		}},
		Pipelines: []*Pipeline{
			{
				Name:     "first",
				Executor: "local",
				Source:   &Use{Name: "opslevel"},
				Processors: []*Processor{
					{Use: Use{Name: "outcome"}, OnError: OnErrorPass},
					{Use: Use{Name: "sanitize"}, OnError: OnErrorFail},
					{Use: Use{Name: "prefix"}, OnError: OnErrorFail},
					{Use: Use{Name: "prefix"}, OnError: OnErrorDrop},
				},
				Deliver:    Deliver{MaxBytes: 31 << 10, MaxInterval: 5 * time.Second, GiveUp: time.Hour},
				Kubernetes: defaultKubernetes(),
				Local:      first,
			},
			{
				Name:       "second",
				Processors: []*Processor{{Use: Use{Name: "sanitize"}, OnError: OnErrorFail}},
				Deliver:    Deliver{MaxBytes: 1_000_000, MaxInterval: 30 * time.Second, GiveUp: time.Hour},
				Kubernetes: defaultKubernetes(),
				Local:      local,
			},
		},
	}
	if d := cmp.Diff(want, got, sameConfig); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if r := got.Pipelines[0].Processors[0].OnErrorRange.String(); r != path+":58:16" {
		t.Errorf("the first on_error is at %s", r)
	}
}

func TestBuiltinIsAConfigurationOfItsOwn(t *testing.T) {
	written := load(t, builtinText)
	written.Path = ""
	if d := cmp.Diff(written, Builtin(), sameConfig); d != "" {
		t.Errorf("the built-in configuration differs from the same one in a file (-file +builtin):\n%s", d)
	}
	json, diags := Builtin().Pipelines[0].Processors[0].Decode(testSchema)
	if json != nil || len(diags) != 1 || diags[0].Range != (diag.Range{}) {
		t.Errorf("a required argument is missing, got %s and %v", json, diags)
	}
}

func TestMissingFile(t *testing.T) {
	c, diags := Load(filepath.Join(t.TempDir(), "none.hcl"))
	if c != nil || len(diags) != 1 || diags[0].Summary != "No configuration file" {
		t.Errorf("got %v and %v", c, diags)
	}
	c, diags = Load(t.TempDir())
	if c != nil || len(diags) != 1 || diags[0].Summary != "Configuration not readable" {
		t.Errorf("a folder: got %v and %v", c, diags)
	}
}

func TestTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.hcl")
	if err := os.WriteFile(path, []byte(strings.Repeat("#", MaxBytes+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	c, diags := Load(path)
	if c != nil || len(diags) != 1 || diags[0].Summary != "Configuration too large" {
		t.Errorf("got %v and %v", c, diags)
	}
}

// TestDeepExpressions makes sure that no expression exhausts the stack, which would end the process.
func TestDeepExpressions(t *testing.T) {
	for _, expression := range []string{
		strings.Repeat("-", 2*maxOperators) + "1",
		strings.Repeat("!", 2*maxOperators) + "true",
		strings.Repeat("1+", 2*maxOperators) + "1",
		strings.Repeat("true ? 1 : ", 2*maxOperators) + "1",
		strings.Repeat("a.", 2*maxOperators) + "a",
		strings.Repeat("a::", 2*maxOperators) + "a()",
		strings.Repeat("[", 2*maxDepth),
		strings.Repeat(`"${`, 2*maxDepth),
	} {
		text := "runner {\n  concurrency = " + expression + "\n}\n"
		c, diags := parse(&diag.File{Name: "runner.hcl", Text: []byte(text)})
		if c != nil || len(diags) != 1 || diags[0].Summary != "Nested too deeply" {
			t.Errorf("%.10s…: got %v and %v", expression, c, diags)
		}
	}
}

func TestPipelineByName(t *testing.T) {
	one := load(t, `pipeline "only" {
		processor "a" {}
	}`)
	if p := one.Pipeline(""); p == nil || p.Name != "only" {
		t.Errorf("the only pipeline is not the one that is meant: %v", p)
	}
	two := load(t, `pipeline "a" {
		processor "a" {}
	}
	pipeline "default" {
		processor "a" {}
	}`)
	for name, want := range map[string]*Pipeline{"": two.Pipelines[1], "a": two.Pipelines[0], "b": nil} {
		if got := two.Pipeline(name); got != want {
			t.Errorf("pipeline %q: got %v", name, got)
		}
	}
}

func TestUnusedPluginIsAWarning(t *testing.T) {
	c, diags := parse(&diag.File{Name: "runner.hcl", Text: []byte(`pipeline "default" {
  processor "sanitize" {}
}
plugin "sanitise" {}
`)})
	if c == nil || len(diags) != 1 || diags[0].Severity != diag.Warning {
		t.Fatalf("got %v and %v", c, diags)
	}
	if want := `No pipeline uses the plugin "sanitise", so this block does nothing. Did you mean "sanitize"?`; diags[0].Detail != want {
		t.Errorf("got %q", diags[0].Detail)
	}
}

// TestLocalsAreLazy checks that what only the source needs is asked for only when the source is decoded.
func TestLocalsAreLazy(t *testing.T) {
	c := load(t, `locals {
  token = env("RUNNER_TEST_UNSET")
  other = env("RUNNER_TEST_UNSET")
}
pipeline "default" {
  source "test" {
    config {
      token = local.token
    }
  }
}`)
	_, diags := c.Pipelines[0].Source.Decode(testSchema)
	if len(diags) != 1 || diags[0].Range.Start.Line != 2 {
		t.Errorf("the source is decoded: got %v", diags)
	}
	if _, diags = c.Pipelines[0].Source.Decode(testSchema); len(diags) != 0 {
		t.Errorf("what was said once is said again: %v", diags)
	}
	if diags = c.CheckLocals(); len(diags) != 1 || diags[0].Range.Start.Line != 3 {
		t.Errorf("all locals are checked: got %v", diags)
	}
}

func TestFunctions(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "name"), []byte("from-a-file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("RUNNER_TEST_NAME", "from-the-environment")
	t.Setenv("RUNNER_TEST_EMPTY", "")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for expression, want := range map[string]string{
		`env("RUNNER_TEST_NAME")`:              "from-the-environment",
		`env("RUNNER_TEST_NAME", "default")`:   "from-the-environment",
		`env("RUNNER_TEST_UNSET", "default")`:  "default",
		`env("RUNNER_TEST_EMPTY", "default")`:  "default",
		`env("RUNNER_TEST_UNSET", 3)`:          "3",
		`env("RUNNER_TEST_UNSET", null)`:       defaultRunner().Name,
		`env("RUNNER_TEST_EMPTY", hostname())`: host,
		`file("name")`:                         "from-a-file",
		`file("./name")`:                       "from-a-file",
		`hostname()`:                           host,
	} {
		text := "runner {\n  name = " + expression + "\n}\npipeline \"default\" {\n  processor \"outcome\" {}\n}\n"
		path := filepath.Join(dir, "runner.hcl")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, diags := Load(path)
		if c == nil {
			t.Errorf("%s: %v", expression, diags)
			continue
		}
		if c.Runner.Name != want {
			t.Errorf("%s: got %q, want %q", expression, c.Runner.Name, want)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// load reads a configuration that is known to be good.
func load(t *testing.T, text string) *Config {
	t.Helper()
	c, diags := parse(&diag.File{Name: "runner.hcl", Text: []byte(text)})
	if len(diags) > 0 {
		t.Fatalf("got diagnostics: %v", diags)
	}
	return c
}

// TestManyLocals has many local values. When each of them is looked at with all others in mind, it
// takes minutes.
func TestManyLocals(t *testing.T) {
	var b strings.Builder
	b.WriteString("pipeline \"default\" {\n  processor \"test\" {}\n}\nlocals {\n")
	for i := range 40_000 {
		fmt.Fprintf(&b, "  a%d = %d\n", i, i)
	}
	b.WriteString("}\n")
	over := make(chan diag.Diagnostics, 1)
	go func() {
		_, diags := Parse("runner.hcl", []byte(b.String()))
		over <- diags
	}()
	select {
	case diags := <-over:
		if diags.HasErrors() {
			t.Error(diags)
		}
	case <-time.After(time.Minute):
		t.Error("it takes more than a minute")
	}
}
