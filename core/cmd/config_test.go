package cmd

import (
	"strings"
	"testing"
)

const setConfig = `runner {
  concurrency = env("RUNNER_TEST_UNSET")
}

pipeline "default" {
  processor "sanitize" {
    config {
      min_length = 1
    }
  }
}
`

// TestSet overrides values of the configuration on the command line.
func TestSet(t *testing.T) {
	for name, args := range map[string][]string{
		"good":          {"validate", "--set", "runner.concurrency=2", "-set", "pipeline.default.processor.sanitize.config.min_length=4"},
		"plugin":        {"validate", "--set", "runner.concurrency=2", "--set", "processor.sanitize.config.min_length=0"},
		"plugin-schema": {"validate", "--set", "runner.concurrency=2", "--set", "processor.sanitize.config.min_lengths=4", "--set", "processor.sanitize.config.mode=fest"},
		"secret":        {"validate", "--set", "runner.concurrency=2", "--set", "processor.sanitize.config.token=[hunter2]", "--set", "processor.sanitize.config.tken=hunter2"},
		"core":          {"validate", "--json", "--set", "runner.concurrency=hunter2"},
		"plugins":       {"plugins", "verify", "--set", "runner.concurency=2"},
		"replay":        {"replay", "--set", "runer.concurrency=2", "-"},
		"enqueue":       {"enqueue", "-f", "job.yaml", "--set", "runner.concurrency=2", "--set", "source.config.queue=x"},
		"run":           {"run", "--set", "runner.concurrency=0"},
		"test":          {"test", "-f", "job.yaml", "--set", "runner.concurrency=2", "--set", "pipeline.other.executor=local"},
		"no-value":      {"validate", "--set", "hunter2"},
		"no-name":       {"validate", "--set", "a..b=hunter2"},
		"no-value-json": {"validate", "--json", "--set", "hunter2"},
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, setConfig, "sanitize")
			r := core(t, "", args...)
			if strings.Contains(r.stdout+r.err, "hunter2") {
				t.Errorf("a value is shown:\n%s%s", r.stdout, r.err)
			}
			golden(t, "set-"+name, r)
		})
	}
}

// TestSetWithNoFile overrides a value of the built-in configuration.
func TestSetWithNoFile(t *testing.T) {
	inFolder(t, "", "outcome", "sanitize")
	golden(t, "set-builtin", core(t, "", "validate", "--set", "runner.concurrency=2", "--set", "processor.sanitize.config.min_length=0"))
}

// TestLogAsTheConfigurationSays looks at the runner's own log, of which a plugin's start is a line at the level debug.
func TestLogAsTheConfigurationSays(t *testing.T) {
	const text = "runner {\n  log_level  = \"DEBUG\"\n  log_format = \"Json\"\n}\npipeline \"default\" {\n  processor \"sanitize\" {}\n}\n"
	for name, c := range map[string]struct {
		level, format string
		args          []string
		lines, json   bool
	}{
		"the file":              {"", "", nil, true, true},
		"a variable, the level": {"warn", "", nil, false, false},
		"a flag, the level":     {"", "", []string{"--log-level", "error"}, false, false},
		"a variable, the form":  {"", "text", nil, true, false},
		"a flag, the form":      {"", "", []string{"--log-format", "text"}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, text, "sanitize")
			t.Setenv(envLogLevel, c.level)
			t.Setenv(envLogFormat, c.format)
			r := core(t, "", append([]string{"validate"}, c.args...)...)
			if r.code != 0 {
				t.Fatal(r)
			}
			if (r.err != "") != c.lines || strings.HasPrefix(r.err, "{") != c.json {
				t.Errorf("got %s", r.err)
			}
		})
	}
}
