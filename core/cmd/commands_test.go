package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/podrunner/runner/core/internal/pluginhost"
	"github.com/podrunner/runner/core/internal/version"
	"github.com/podrunner/runner/sdk/protocol"
)

const goodConfig = `pipeline "default" {
  processor "outcome" {}
  processor "sanitize" {
    config {
      min_length = 4
    }
  }
}
`

// alsoJSON are the cases of TestValidate that run once more with -json.
var alsoJSON = []string{"good", "syntax", "plugin-finds-fault", "plugin-schema", "unknown-plugin", "ends-at-start", "before-redaction"}

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		config  string
		plugins []string
	}{
		"good":    {goodConfig, []string{"outcome", "sanitize"}},
		"builtin": {"", []string{"outcome", "sanitize"}},
		"syntax":  {"pipeline {", nil},
		"plugin-finds-fault": {
			"pipeline \"default\" {\n  processor \"sanitize\" {\n    config {\n      min_length = 0\n    }\n  }\n}\n",
			[]string{"sanitize"},
		},
		"plugin-schema": {
			"pipeline \"default\" {\n  processor \"sanitize\" {\n    config {\n      min_lngth = 3\n      token      = \"not-for-anybodys-eyes\"\n      mode       = \"slwo\"\n    }\n  }\n}\n",
			[]string{"sanitize"},
		},
		"unknown-plugin": {
			"pipeline \"default\" {\n  processor \"sanitise\" {}\n  source \"nowhere\" {}\n}\n",
			[]string{"sanitize"},
		},
		"wrong-checksum": {
			"plugin \"outcome\" {\n  checksum = \"sha256:" + strings.Repeat("0", 64) + "\"\n}\n\npipeline \"default\" {\n  processor \"outcome\" {}\n}\n",
			[]string{"outcome"},
		},
		"ends-at-start": {"pipeline \"default\" {\n  processor \"crash\" {}\n}\n", []string{"crash"}},
		"ends-when-asked": {
			"pipeline \"default\" {\n  processor \"dies\" {}\n  processor \"sanitize\" {\n    config {\n      min_length = 0\n    }\n  }\n}\n",
			[]string{"dies", "sanitize"},
		},
		"scaling-no-opinion": {
			"scaling {\n  enabled = true\n  pod     = \"a\"\n}\n\npipeline \"default\" {\n  source \"mute\" {}\n}\n",
			[]string{"mute"},
		},
		"scaling": {
			"scaling {\n  enabled = true\n  pod     = \"a\"\n}\n\npipeline \"default\" {\n  source \"mute\" {}\n}\npipeline \"other\" {\n  source \"scaled\" {}\n}\n",
			[]string{"mute", "scaled"},
		},
		"before-redaction": {
			"pipeline \"default\" {\n  processor \"outcome\" {}\n  processor \"shout\" {}\n  processor \"sanitize\" {}\n  processor \"shout\" {}\n}\n",
			[]string{"outcome", "sanitize", "shout"},
		},
		"redaction-passed-by": {
			"pipeline \"default\" {\n  processor \"sanitize\" {\n    on_error = \"pass\"\n  }\n  processor \"shout\" {\n    on_error = \"pass\"\n  }\n}\n",
			[]string{"sanitize", "shout"},
		},
		"unused-local": {
			"locals {\n  a = env(\"RUNNER_TEST_UNSET\")\n}\n\n" + goodConfig,
			[]string{"outcome", "sanitize"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := inFolder(t, test.config, test.plugins...)
			sum, err := pluginhost.Checksum(os.Args[0])
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "validate-"+name, core(t, "", "validate"), dir, "PLUGINS", sum, "SUM")
			if !slices.Contains(alsoJSON, name) {
				return
			}
			asJSON := core(t, "", "validate", "-json")
			golden(t, "validate-"+name+"-json", asJSON, dir, "PLUGINS", sum, "SUM")
			var report struct{ Valid bool }
			if err := json.Unmarshal([]byte(asJSON.stdout), &report); err != nil || report.Valid != (asJSON.code == exitSuccess) {
				t.Errorf("valid is %v, exit code %d, error %v", report.Valid, asJSON.code, err)
			}
		})
	}
}

func TestConfigIsFound(t *testing.T) {
	inFolder(t, "pipeline \"here\" {}\n", "outcome", "sanitize")
	writeFile(t, "good.hcl", goodConfig)
	for name, test := range map[string]struct {
		env  string
		args []string
		code int
		want string
	}{
		"default file":                  {"", nil, exitUsage, "runner.hcl:1:1"},
		"flag":                          {"", []string{"-c", "good.hcl"}, exitSuccess, "good.hcl is valid: 1 pipeline, 2 plugins."},
		"variable":                      {"good.hcl", nil, exitSuccess, "good.hcl is valid: 1 pipeline, 2 plugins."},
		"flag first":                    {"none.hcl", []string{"--config=good.hcl"}, exitSuccess, "good.hcl is valid: 1 pipeline, 2 plugins."},
		"one dash":                      {"none.hcl", []string{"-config", "good.hcl"}, exitSuccess, "good.hcl is valid: 1 pipeline, 2 plugins."},
		"named, a folder":               {"", []string{"-c", "plugins"}, exitUsage, "plugins is a folder."},
		"named, missing":                {"", []string{"-c", "none.hcl"}, exitUsage, "There is no file none.hcl."},
		"flag with no value":            {"", []string{"-c", ""}, exitUsage, "--config has no value"},
		"variable names a missing file": {"none.hcl", nil, exitUsage, "There is no file none.hcl."},
		"default file, named":           {"", []string{"-c", "runner.hcl"}, exitUsage, "runner.hcl:1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(envConfig, test.env)
			r := core(t, "", append([]string{"validate"}, test.args...)...)
			if r.code != test.code || !strings.Contains(r.stdout+r.err, test.want) {
				t.Errorf("got %+v, want %d and %q", r, test.code, test.want)
			}
		})
	}
}

func TestPluginDirOfTheConfiguration(t *testing.T) {
	dir := inFolder(t, "", "outcome")
	t.Setenv("RUNNER_PLUGIN_DIR", "")
	if err := os.MkdirAll("sub", 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, "sub/runner.hcl", "runner {\n  plugin_dir = \"../plugins\"\n}\n\npipeline \"default\" {\n  processor \"outcome\" {}\n}\n")
	r := core(t, "", "-c", "sub/runner.hcl", "plugins", "list", "-json")
	if r.code != exitSuccess || !strings.Contains(r.stdout, filepath.Join(dir, "runner-processor-outcome")) ||
		!strings.Contains(r.stdout, `"plugin_dir in sub/runner.hcl"`) {
		t.Errorf("got %+v", r)
	}
	if r = core(t, "", "validate"); r.code != exitUsage || !strings.Contains(r.err, "(beside core)") {
		t.Errorf("with no setting: got %+v", r)
	}
}

func TestPlugins(t *testing.T) {
	sum, err := pluginhost.Checksum(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	config := "plugin \"outcome\" {\n  checksum = \"" + sum + "\"\n}\n\nplugin \"sanitize\" {\n  checksum = \"sha256:" + strings.Repeat("0", 64) +
		"\"\n}\n\npipeline \"default\" {\n  processor \"outcome\" {}\n  processor \"sanitize\" {}\n  processor \"shout\" {}\n  processor \"gone\" {}\n}\n"
	dir := inFolder(t, config, "outcome", "sanitize", "shout", "crash")
	writeFile(t, filepath.Join(dir, "runner-processor-text"), "not a program")
	writeFile(t, filepath.Join(dir, "README"), "not a plugin")
	for name, args := range map[string][]string{
		"list":             {"plugins", "list"},
		"list-json":        {"plugins", "list", "--json"},
		"describe":         {"plugins", "describe", "shout"},
		"describe-unknown": {"plugins", "describe", "shuot"},
		"describe-no-name": {"plugins", "describe"},
		"describe-broken":  {"plugins", "describe", "crash"},
		"verify":           {"plugins", "verify"},
	} {
		t.Run(name, func(t *testing.T) {
			r := core(t, "", args...)
			// The width of a column depends on the path of the folder.
			r.stdout = regexp.MustCompile("  +").ReplaceAllString(r.stdout, "  ")
			golden(t, "plugins-"+name, r, dir, "PLUGINS", sum, "SUM")
		})
	}
	writeFile(t, defaultConfig, goodConfig)
	t.Run("describe-schema", func(t *testing.T) {
		golden(t, "plugins-describe-schema", core(t, "", "plugins", "describe", "sanitize"))
		r := core(t, "", "plugins", "describe", "sanitize", "-json")
		golden(t, "plugins-describe-schema-json", r, sdkVersion(t, r.stdout), "SDK")
	})
	t.Run("verify-good", func(t *testing.T) {
		golden(t, "plugins-verify-good", core(t, "", "plugins", "verify"), sum, "SUM")
	})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	t.Run("list-none", func(t *testing.T) {
		golden(t, "plugins-list-none", core(t, "", "plugins", "list"), dir, "PLUGINS")
	})
}

// sdkVersion returns the version of the SDK in a description; it is that of the build.
func sdkVersion(t *testing.T, description string) string {
	t.Helper()
	var d protocol.Description
	if err := json.Unmarshal([]byte(description), &d); err != nil {
		t.Fatal(err)
	}
	return `"` + d.SDKVersion + `"`
}

// TestPipelineOfACommand puts together the processors of a pipeline for a job, as `test` and `replay` do.
func TestPipelineOfACommand(t *testing.T) {
	const source = "  source \"nowhere\" {\n    config {\n      token = env(\"RUNNER_TEST_UNSET\")\n    }\n  }\n"
	for name, test := range map[string]struct {
		config, pipeline string
		code             int
		want             string
	}{
		"good":             {goodConfig, "", exitSuccess, "a line"},
		"no configuration": {"", "", exitSuccess, "a line"},
		"source with no plugin and no variable": {
			"pipeline \"default\" {\n" + source + "  processor \"outcome\" {}\n}\n", "", exitSuccess, "a line",
		},
		"the same processor twice": {"pipeline \"default\" {\n  processor \"outcome\" {}\n  processor \"outcome\" {}\n}\n", "", exitSuccess, "a line"},
		"schema": {
			"pipeline \"default\" {\n  processor \"sanitize\" {\n    config {\n      mode = \"slwo\"\n    }\n  }\n}\n", "", exitUsage, `Did you mean "slow"?`,
		},
		"refused by the plugin": {
			"pipeline \"default\" {\n  processor \"sanitize\" {\n    config {\n      min_length = 0\n    }\n  }\n}\n", "", exitUsage, "runner.hcl:4:20",
		},
		"no such plugin":   {"pipeline \"default\" {\n  processor \"outcom\" {}\n}\n", "", exitUsage, `No processor "outcom"`},
		"broken plugin":    {"pipeline \"default\" {\n  processor \"crash\" {}\n}\n", "", exitInfrastructure, `Broken processor "crash"`},
		"no such pipeline": {goodConfig, "defalt", exitUsage, `Did you mean "default"?`},
		"several pipelines": {
			"pipeline \"a\" {\n  processor \"outcome\" {}\n}\npipeline \"b\" {\n  processor \"outcome\" {}\n}\n", "", exitUsage, "--pipeline",
		},
		"pipeline by name": {
			"pipeline \"a\" {\n  processor \"crash\" {}\n}\npipeline \"b\" {\n  processor \"outcome\" {}\n}\n", "b", exitSuccess, "a line",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, test.config, "outcome", "sanitize", "crash")
			r := core(t, "a line\n", "replay", "--pipeline", test.pipeline, "-")
			if r.code != test.code || !strings.Contains(r.stdout+r.err, test.want) {
				t.Errorf("got %+v, want %d and %q", r, test.code, test.want)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	inFolder(t, "")
	for name, args := range map[string][]string{
		"help":            {},
		"unknown-command": {"validat"},
		"unknown-flag":    {"validate", "--jsn"},
		"argument":        {"version", "x"},
		"log-level":       {"--log-level", "loud", "version"},
		"log-format":      {"--log-format", "xml", "version"},
		"unknown-topic":   {"help", "validat"},
		"subcommand":      {"plugins", "lst"},
		"unknown-shell":   {"completion", "bsh"},
		"one-dash":        {"validate", "-jsn"},
		"short-flag":      {"test", "-x", "-f", "job.yaml"},
		"flag-is-command": {"--version"},
		"no-value":        {"test", "-f"},
		"no-number":       {"enqueue", "-f", "job.yaml", "--count", "many"},
		"large-number":    {"enqueue", "-f", "job.yaml", "--count", "99999999999999999999"},
		"no-truth":        {"validate", "--json=perhaps"},
		"no-names":        {"run", "--pipeline", `a"b`},
	} {
		t.Run(name, func(t *testing.T) { golden(t, "usage-"+name, core(t, "", args...)) })
	}
}

// TestVariableIsNamed: nobody looks for a slip on the command line when it is in the environment.
func TestVariableIsNamed(t *testing.T) {
	for name, value := range map[string]string{envLogLevel: "loud", envLogFormat: "xml"} {
		inFolder(t, "")
		t.Setenv(name, value)
		if r := core(t, "", "version"); r.code != exitUsage || !strings.Contains(r.err, `"`+value+`" in the environment variable `+name) {
			t.Errorf("%s: got %+v", name, r)
		}
	}
}

func TestVersion(t *testing.T) {
	inFolder(t, "not a configuration, and not read")
	r := core(t, "", "version", "-json")
	var b buildInfo
	if err := json.Unmarshal([]byte(r.stdout), &b); err != nil || r.code != exitSuccess || b.Version != version.String() || b.Protocol != 1 || b.Go == "" {
		t.Errorf("got %+v", r)
	}
	if r = core(t, "", "version"); r.code != exitSuccess || !strings.HasPrefix(r.stdout, "core "+version.String()+" (plugin protocol 1, go") {
		t.Errorf("got %+v", r)
	}
}

func TestCompletion(t *testing.T) {
	inFolder(t, "")
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := core(t, "", "completion", shell); r.code != exitSuccess || !strings.Contains(r.stdout, "core") || r.err != "" {
			t.Errorf("%s: exit code %d, %d bytes, %s", shell, r.code, len(r.stdout), r.err)
		}
	}
}
