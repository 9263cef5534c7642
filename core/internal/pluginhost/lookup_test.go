package pluginhost_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/podrunner/runner/core/internal/pluginhost"
)

// files makes a directory with programs of these names; a name that ends in "-" is not executable.
func files(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		mode := os.FileMode(0o755)
		if plain, ok := strings.CutSuffix(name, "-"); ok {
			name, mode = plain, 0o644
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func newHost(t *testing.T, opts pluginhost.Options) *pluginhost.Host {
	t.Helper()
	if opts.Environ == nil {
		opts.Environ = []string{}
	}
	h, err := pluginhost.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestList(t *testing.T) {
	first := files(t, "runner-processor-sanitize", "runner-processor-broken-", "runner-source-faktory", "core", "runner-processor-", "runner-processor-Bad")
	second := files(t, "runner-processor-sanitize", "runner-processor-prefix")
	h := newHost(t, pluginhost.Options{Dirs: []pluginhost.Dir{
		{Path: first, From: "plugin_dir"}, {Path: filepath.Join(first, "none"), From: "nowhere"}, {Path: second, From: "beside core"},
	}})
	all, err := h.List()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range all {
		got = append(got, fmt.Sprintf("%s %s from %s, problem %v, shadows %d", f.Kind, f.Name, f.From, f.Problem != nil, len(f.Shadowed)))
	}
	want := []string{
		"processor broken from plugin_dir, problem true, shadows 0",
		"processor prefix from beside core, problem false, shadows 0",
		"processor sanitize from plugin_dir, problem false, shadows 1",
		"source faktory from plugin_dir, problem false, shadows 0",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFind(t *testing.T) {
	dir := files(t, "runner-processor-sanitize", "runner-source-faktory")
	h := newHost(t, pluginhost.Options{Dirs: []pluginhost.Dir{{Path: dir, From: "plugin_dir"}, {Path: "/no/such/dir", From: "the flag"}}})
	tests := []struct {
		name, ask string
		want      []string // in the error
	}{
		{"a slip", "sanitise", []string{`Did you mean "sanitize"?`, dir + " (plugin_dir)", "/no/such/dir (the flag), which does not exist"}},
		{"other kind", "faktory", []string{"There is a source of that name."}},
		{"nothing near", "zzz", []string{"was not found", "Put it there, or name another folder"}},
		{"a path", "../../bin/sh", []string{"lower-case letters"}},
		{"empty", "", []string{"lower-case letters"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := h.Find(pluginhost.Processor, test.ask)
			e := faultOf(t, err, pluginhost.NotFound)
			for _, text := range test.want {
				if !strings.Contains(e.Error(), text) {
					t.Errorf("error does not hold %q:\n%v", text, e)
				}
			}
			if test.name == "nothing near" && strings.Contains(e.Error(), "Did you mean") {
				t.Errorf("it suggests something far away: %v", e)
			}
		})
	}
	found, err := h.Find(pluginhost.Processor, "sanitize")
	if err != nil || found.Path != filepath.Join(dir, "runner-processor-sanitize") || found.Problem != nil {
		t.Errorf("found %+v, %v", found, err)
	}
}

// TestUnreadableDirectory: what keeps core from looking there is not that there is nothing.
func TestUnreadableDirectory(t *testing.T) {
	file := filepath.Join(files(t, "runner-processor-sanitize"), "runner-processor-sanitize")
	_, err := newHost(t, pluginhost.Options{Dirs: []pluginhost.Dir{{Path: file, From: "plugin_dir"}}}).Find(pluginhost.Processor, "sanitize")
	if e := faultOf(t, err, pluginhost.NotFound); !strings.Contains(e.Error(), file+" (plugin_dir), which can't be read: not a directory") {
		t.Errorf("the error does not say so: %v", e)
	}
}

func TestNoDirectories(t *testing.T) {
	_, err := newHost(t, pluginhost.Options{}).Find(pluginhost.Processor, "sanitize")
	if e := faultOf(t, err, pluginhost.NotFound); !strings.Contains(e.Error(), "set plugin_dir") {
		t.Errorf("the error does not say what to do: %v", e)
	}
	_, err = pluginhost.New(pluginhost.Options{Dirs: []pluginhost.Dir{{From: "plugin_dir"}}})
	wantReason(t, err, pluginhost.BadSettings) // an empty path would be the working directory
}

func TestNeverOnPath(t *testing.T) {
	dir := files(t, "runner-processor-sanitize")
	t.Setenv("PATH", dir)
	t.Chdir(dir)
	_, err := newHost(t, pluginhost.Options{Dirs: []pluginhost.Dir{{Path: t.TempDir(), From: "plugin_dir"}}}).Find(pluginhost.Processor, "sanitize")
	wantReason(t, err, pluginhost.NotFound)
}

func TestOverrideVariables(t *testing.T) {
	const good = `{"x":{"Protocol":"grpc","ProtocolVersion":1,"Pid":1,"Test":true,"Addr":{"Network":"unix","String":"/tmp/s"}}}`
	tests := []struct {
		name, variable string
		ok             bool
	}{
		{"none", "", true},
		{"dev", "RUNNER_DEV_PLUGINS=a=./bin/a, b=/b,", true},
		{"dev without path", "RUNNER_DEV_PLUGINS=a", false},
		{"dev with a bad name", "RUNNER_DEV_PLUGINS=A/B=/b", false},
		{"reattach", "RUNNER_REATTACH_PLUGINS=" + good, true},
		{"reattach, empty", "RUNNER_REATTACH_PLUGINS= ", true},
		{"reattach, no JSON", "RUNNER_REATTACH_PLUGINS={", false},
		{"reattach, other protocol", "RUNNER_REATTACH_PLUGINS=" + strings.Replace(good, "grpc", "netrpc", 1), false},
		{"reattach, other version", "RUNNER_REATTACH_PLUGINS=" + strings.Replace(good, `Version":1`, `Version":2`, 1), false},
		{"reattach, no test", "RUNNER_REATTACH_PLUGINS=" + strings.Replace(good, "true", "false", 1), false},
		{"reattach, no address", "RUNNER_REATTACH_PLUGINS=" + strings.Replace(good, "unix", "pigeon", 1), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := pluginhost.New(pluginhost.Options{Environ: []string{test.variable}})
			if test.ok {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			e := faultOf(t, err, pluginhost.BadSettings)
			if name, _, _ := strings.Cut(test.variable, "="); !strings.Contains(e.Error(), name) || e.Advice == "" {
				t.Errorf("the error does not name the variable and what to do: %v", e)
			}
		})
	}
}

func TestDevOverride(t *testing.T) {
	dev := newFixture(t, pluginhost.Options{}, "echo")
	log := &syncBuffer{}
	h := newHost(t, pluginhost.Options{
		TempDir: dev.temp,
		Dirs:    []pluginhost.Dir{{Path: files(t, "runner-processor-mine"), From: "plugin_dir"}},
		Environ: []string{"RUNNER_DEV_PLUGINS=mine=" + dev.dir + "/runner-processor-echo"},
		Plugins: map[string]pluginhost.Settings{"mine": {Checksum: "sha256:" + strings.Repeat("0", 64)}},
		Logger:  hclog.New(&hclog.LoggerOptions{Output: log}),
	})
	p, err := h.Launch(t.Context(), pluginhost.Processor, "mine")
	if err != nil {
		t.Fatal(err)
	}
	if from := p.Found().From; from != pluginhost.EnvDev {
		t.Errorf("it comes from %s", from)
	}
	if !strings.Contains(log.String(), "[WARN]") || !strings.Contains(log.String(), "checksum is not checked") {
		t.Errorf("no warning:\n%s", log)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
