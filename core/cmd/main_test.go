package cmd

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/sdk"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestMain makes the test binary a plugin, too: under the name of one it serves it.
func TestMain(m *testing.M) {
	name, isPlugin := strings.CutPrefix(filepath.Base(os.Args[0]), "runner-processor-")
	plugins := testPlugins
	if !isPlugin {
		name, isPlugin = strings.CutPrefix(filepath.Base(os.Args[0]), "runner-source-")
		plugins = testSources
	}
	if !isPlugin {
		os.Exit(m.Run())
	}
	quickExit()
	plugin, ok := plugins[name]
	if !ok {
		os.Exit(7) // "crash" ends before it is ready
	}
	plugin.Name, plugin.Version = name, "1.2.3"
	sdk.Serve(plugin)
}

// quickExit starts the process anew with the setting that keeps the race detector from sleeping for a second at its end.
// A plugin gets no variables of core's, so it can't be given this one from outside.
func quickExit() {
	if os.Getenv("GORACE") == "" {
		self, err := os.Executable()
		if err == nil {
			err = syscall.Exec(self, os.Args, append(os.Environ(), "GORACE=atexit_sleep_ms=0"))
		}
		panic(err)
	}
}

// testPlugins are what the test binary serves.
var testPlugins = map[string]sdk.Plugin{
	"outcome":  {Description: "Collects outcome variables.", Processor: sdk.Lines(newNothing[struct{}])},
	"sanitize": {Description: "Masks secrets.", Processor: sdk.Lines(newNothing[sanitizeConfig]), Redacts: true, NeedsSecrets: true},
	"shout":    {Description: "Writes in capitals.", Processor: sdk.Lines(newNothing[struct{}])},
	"dies":     {Description: "Ends when it is asked for an opinion.", Processor: sdk.Lines(newNothing[diesConfig])},
}

// sanitizeConfig is a configuration that finds fault with a value.
type sanitizeConfig struct {
	MinLength int           `config:"min_length" default:"3" desc:"Least length of a value that is masked."`
	Token     sdk.Sensitive `config:"token,optional" desc:"Key to the vault."`
	Mode      string        `config:"mode" default:"fast" one_of:"fast,slow" desc:"How to search."`
	Rules     map[string]struct {
		Words []string `config:"words" desc:"Masked, too."`
	} `config:"rule,optional" desc:"More to mask."`
}

func (c *sanitizeConfig) Validate(d *sdk.Diagnostics) {
	if c.MinLength < 1 {
		d.Error(sdk.At("min_length"), "Length too small", "Give at least 1.")
	}
}

// diesConfig ends the process in Validate.
type diesConfig struct{}

func (*diesConfig) Validate(*sdk.Diagnostics) { os.Exit(9) }

// nothing is a processor that leaves lines as they are.
type nothing struct{}

func newNothing[C any](context.Context, sdk.Job, C) (*nothing, error) { return &nothing{}, nil }

func (*nothing) Line(context.Context, *sdk.Line) error { return nil }

// inFolder runs a test in a folder of its own that holds a runner.hcl, unless its text is empty, and returns the
// folder of the plugins, which has the ones named. No variable of the machine gets in the way.
func inFolder(t *testing.T, config string, plugins ...string) string {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{envConfig, envLogLevel, envLogFormat, "RUNNER_DEV_PLUGINS", "RUNNER_REATTACH_PLUGINS"} {
		t.Setenv(name, "")
	}
	t.Setenv(envLogLevel, "off") // restarts of a plugin are logged as they come, now and then
	pluginDir := filepath.Join(dir, "plugins")
	t.Setenv("RUNNER_PLUGIN_DIR", pluginDir)
	if err := os.Mkdir(pluginDir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range plugins {
		file := "runner-processor-" + name
		if _, isSource := testSources[name]; isSource {
			file = "runner-source-" + name
		}
		// Not a copy: the binary is large, and the disk may be full of other tests.
		if err := os.Symlink(self, filepath.Join(pluginDir, file)); err != nil {
			t.Fatal(err)
		}
	}
	if config != "" {
		writeFile(t, defaultConfig, config)
	}
	return pluginDir
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// result is what a command left.
type result struct {
	code        int
	stdout, err string
}

// core runs a command as Main does.
func core(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, streams{in: strings.NewReader(stdin), out: &stdout, err: &stderr})
	return result{code, stdout.String(), stderr.String()}
}

// golden compares a result with a golden file. What differs from run to run is replaced by words.
func golden(t *testing.T, name string, r result, replace ...string) {
	t.Helper()
	got := strings.NewReplacer(replace...).Replace("$ exit " + string(rune('0'+r.code)) + "\n--- stdout\n" + r.stdout + "--- stderr\n" + r.err)
	path := filepath.Join(testdata, name+".txt")
	if *update {
		writeFile(t, path, got)
		return
	}
	want, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got), run with -update when it is right:\n%s", path, d)
	}
}

// testdata is an absolute path, as tests change their folder.
var testdata = func() string {
	dir, err := filepath.Abs("testdata")
	if err != nil {
		panic(err)
	}
	return dir
}()
