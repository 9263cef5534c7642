package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/core/internal/diag"
)

var update = flag.Bool("update", false, "write the golden files anew")

// secret is a value of the environment, and what the test files call a secret. It must not be printed.
const (
	secret     = "hunter2-hunter2"
	fileSecret = "not-for-anybodys-eyes"
)

// setEnvironment gives the test files the variables that they read.
func setEnvironment(t *testing.T) {
	t.Helper()
	t.Setenv("RUNNER_TEST_SECRET", secret)
	t.Setenv("RUNNER_TEST_EMPTY", "")
}

// checkGolden compares diagnostics with the golden files beside the file that they are about.
func checkGolden(t *testing.T, file string, diags diag.Diagnostics) {
	t.Helper()
	base := strings.TrimSuffix(file, ".hcl")
	var text, json bytes.Buffer
	if err := diag.WriteText(&text, diags, diag.Style{Width: 100}); err != nil {
		t.Fatal(err)
	}
	if err := diag.WriteJSON(&json, diags); err != nil {
		t.Fatal(err)
	}
	for ext, got := range map[string]string{".txt": text.String(), ".json": json.String()} {
		if strings.Contains(got, secret) || strings.Contains(got, fileSecret) {
			t.Errorf("a secret is printed:\n%s", got)
		}
		if *update {
			if err := os.WriteFile(base+ext, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(base + ext)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s (-want +got), run with -update when it is right:\n%s", base+ext, d)
		}
	}
}

// files returns the configuration files of a folder in testdata.
func files(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.hcl"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	return paths
}

func TestBadFiles(t *testing.T) {
	setEnvironment(t)
	for _, path := range files(t, "bad") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".hcl"), func(t *testing.T) {
			c, diags := Load(path)
			if c != nil || !diags.HasErrors() {
				t.Errorf("got a configuration, and %d diagnostics", len(diags))
			}
			checkGolden(t, path, diags)
		})
	}
}

// TestBadPluginConfigs decodes the config blocks of the test files against the test schema.
func TestBadPluginConfigs(t *testing.T) {
	setEnvironment(t)
	for _, path := range files(t, "plugin") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".hcl"), func(t *testing.T) {
			c, diags := Load(path)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			json, diags := c.Pipelines[0].Processors[0].Decode(testSchema)
			if (json == nil) != diags.HasErrors() {
				t.Errorf("got JSON %s together with %v", json, diags)
			}
			checkGolden(t, path, diags)
		})
	}
}

// TestOrder makes sure that diagnostics come in the same order each time, though they are made from maps.
func TestOrder(t *testing.T) {
	setEnvironment(t)
	print := func() string {
		var b bytes.Buffer
		for _, path := range files(t, "plugin") {
			c, _ := Load(path)
			_, diags := c.Pipelines[0].Processors[0].Decode(testSchema)
			if err := diag.WriteText(&b, diags, diag.Style{}); err != nil {
				t.Fatal(err)
			}
		}
		return b.String()
	}
	first := print()
	for range 20 {
		if d := cmp.Diff(first, print()); d != "" {
			t.Fatalf("the diagnostics differ from run to run:\n%s", d)
		}
	}
}

// TestLiteralSecretsOfBadFiles has a secret in the file itself, in the line of a mistake that is found before the schema of
// the plugin can tell that it is one.
func TestLiteralSecretsOfBadFiles(t *testing.T) {
	in := func(lines string) string {
		return "pipeline \"default\" {\n  source \"opslevel\" {\n" + lines + "\n  }\n  processor \"sanitize\" {}\n}\n"
	}
	overlay := func(lines string) string {
		return "kubernetes {\n  pod_overlay = <<-YAML\n" + lines + "\n  YAML\n}\n" + in("")
	}
	for name, text := range map[string]string{
		"overlay, a value":      overlay("spec:\n  containers:\n    - name: job\n      env:\n        - name: A\n          value: [SECRET]"),
		"overlay, in one line":  overlay("spec: {containers: [{name: job, env: [{name: A, valeu: 1, value: SECRET}]}]}"),
		"overlay, arguments":    overlay("spec:\n  containers:\n    - name: proxy\n      args:\n        - [--token, SECRET]"),
		"overlay, no YAML":      overlay("spec:\n  hostname: |\n    x\n  SECRET"),
		"overlay, a template":   overlay("spec:\n  hostname: x\n  token: SECRET${nobody}"),
		"overlay in quotes":     "kubernetes {\n  pod_overlay = \"spec: {x: 1, token: SECRET}\"\n}\n" + in(""),
		"overlay of a local":    "locals {\n  o = <<YAML\nmetadata:\n  annotations:\n    api-token: [SECRET]\nYAML\n}\nkubernetes {\n  pod_overlay = local.o\n}\n" + in(""),
		"overlay, no HCL":       overlay("metadata:\n  SECRET ${ ]"),
		"here-document, no HCL": in("config {\n  api_token = <<EOT\n  one\n  SECRET ${ ]\nEOT\n}"),
		"not in config":         in(`api_token = "SECRET"`),
		"config as an argument": in(`config = { api_token = "SECRET" }`),
		"config misspelt":       in(`confg { api_token = "SECRET" }`),
		"config twice":          in("config { api_token = \"x\" }\nconfig { api_token = \"SECRET\" }"),
		"config with a name":    in(`config "x" { api_token = "SECRET" }`),
		"not in a block":        `api_token = "SECRET"` + "\n" + in(""),
		"in another block":      "runner {\n  api_token = \"SECRET\"\n}\n" + in(""),
		"local twice":           "locals {\n  t = \"x\"\n}\nlocals {\n  t = \"SECRET\"\n}\n" + in(""),
		"local of no value":     "locals {\n  token = \"SECRET${nobody}\"\n}\n" + in(""),
		"block in locals":       "locals {\n  t { token = \"SECRET\" }\n}\n" + in(""),
		"one line":              `pipeline "default" { source "opslevel" { config { api_token = "SECRET" } } }` + "\n",
		"list in lines":         in("config {\n  tokens = [\n    \"one\"\n    \"SECRET\",\n  ]\n}"),
		"map with colons":       in("config {\n  more = { api_token: \"SECRET\" x }\n}"),
	} {
		t.Run(name, func(t *testing.T) {
			c, diags := Parse("runner.hcl", []byte(strings.ReplaceAll(text, "SECRET", fileSecret)))
			var b bytes.Buffer
			if err := diag.WriteText(&b, diags, diag.Style{}); err != nil {
				t.Fatal(err)
			}
			if c != nil || !diags.HasErrors() || strings.Contains(b.String(), fileSecret) || !strings.Contains(b.String(), "(hidden)") {
				t.Errorf("got a configuration: %t, and\n%s", c != nil, b.String())
			}
		})
	}
}

// TestLiteralSecretOfALocal has a mistake in the line of a local that nobody uses.
func TestLiteralSecretOfALocal(t *testing.T) {
	setEnvironment(t)
	c := load(t, "locals {\n  token = \""+fileSecret+"${env(\"RUNNER_TEST_EMPTY\")}\"\n}\npipeline \"default\" {\n  processor \"test\" {}\n}\n")
	diags := c.CheckLocals()
	var b bytes.Buffer
	if err := diag.WriteText(&b, diags, diag.Style{}); err != nil {
		t.Fatal(err)
	}
	if !diags.HasErrors() || strings.Contains(b.String(), fileSecret) || !strings.Contains(b.String(), "token = (hidden)") {
		t.Errorf("got\n%s", b.String())
	}
}
