package assembly

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/pluginhost"
)

// EnvPluginDir names the environment variable with the folder of the plugins.
const EnvPluginDir = "RUNNER_PLUGIN_DIR"

// besideDir is the folder beside core's own program in which the plugins are, when nobody names another one.
const besideDir = "plugins"

// HostOptions returns what the plugin host has to know of a configuration.
func HostOptions(c *config.Config, logger hclog.Logger) (pluginhost.Options, error) {
	dir, err := PluginDir(c)
	if err != nil {
		return pluginhost.Options{}, err
	}
	plugins := map[string]pluginhost.Settings{}
	for _, p := range c.Plugins {
		plugins[p.Name] = pluginhost.Settings{Checksum: p.Checksum, Env: p.Env, LogLevel: p.LogLevel}
	}
	return pluginhost.Options{
		Dirs:    []pluginhost.Dir{dir},
		Plugins: plugins,
		Runner:  c.Runner.Name,
		Logger:  logger,
	}, nil
}

// PluginDir returns the one folder in which plugins are looked for. What is set explicitly switches the rest off, so
// that nobody gets a plugin from a place that they did not mean.
func PluginDir(c *config.Config) (pluginhost.Dir, error) {
	if dir := os.Getenv(EnvPluginDir); dir != "" {
		return pluginhost.Dir{Path: dir, From: EnvPluginDir}, nil
	}
	if c.Runner.PluginDir != "" {
		return pluginhost.Dir{Path: c.Runner.PluginDir, From: "plugin_dir in " + c.Path}, nil
	}
	program, err := os.Executable()
	if err == nil {
		program, err = filepath.EvalSymlinks(program)
	}
	if err != nil {
		return pluginhost.Dir{}, fmt.Errorf("finding the plugins beside core's program: %w; set %s", err, EnvPluginDir)
	}
	return pluginhost.Dir{Path: filepath.Join(filepath.Dir(program), besideDir), From: "beside core"}, nil
}
