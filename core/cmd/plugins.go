package cmd

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"github.com/podrunner/runner/core/internal/assembly"
	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/pluginhost"
	"github.com/podrunner/runner/sdk/protocol"
)

func newPlugins(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "plugins",
		Short: "Look at the plugins that there are",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	a.addSet(c)
	c.AddCommand(newPluginsList(a), newPluginsDescribe(a), newPluginsVerify(a))
	return c
}

// withHost reads the configuration and calls do with a host for its plugins, which it closes.
func withHost(ctx context.Context, a *app, do func(*config.Config, *pluginhost.Host) error) error {
	c, err := a.loadConfig(ctx)
	if err != nil {
		return err
	}
	host, err := a.newHost(c)
	if err != nil {
		return err
	}
	defer a.closeHost(host)
	return do(c, host)
}

func newPluginsList(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the plugins that core finds, with their versions, places and checksums",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHost(cmd.Context(), a, func(_ *config.Config, host *pluginhost.Host) error {
				return listPlugins(cmd.Context(), a, host, asJSON)
			})
		},
	}
	addJSONFlag(c, &asJSON)
	return c
}

// listedPlugin is what is known of a plugin that was found.
type listedPlugin struct {
	Name        string `json:"name"`
	Kind        string `json:"kind"`
	Version     string `json:"version"`
	Description string `json:"description"`
	Path        string `json:"path"`
	From        string `json:"from"`
	Checksum    string `json:"checksum"`
	// Problem is what keeps it from being used; then there is no version.
	Problem string `json:"problem,omitempty"`
}

func listPlugins(ctx context.Context, a *app, host *pluginhost.Host, asJSON bool) error {
	found, err := host.List()
	if err != nil {
		return usageError(err)
	}
	list := make([]listedPlugin, len(found))
	var wg sync.WaitGroup
	for i, f := range found {
		wg.Go(func() { list[i] = lookAt(ctx, host, f) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return errInterrupted // what is wrong with the plugins is that they were not waited for
	}
	if asJSON {
		return writeJSON(a.out, list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintf(a.err, "No plugins found in:\n%s\nSet %s, or plugin_dir in runner.hcl, to the folder that holds them.\n",
			host.Places(), assembly.EnvPluginDir)
		return err
	}
	return writeList(a, list)
}

// writeList prints plugins as a table, and below it, on standard error, what is wrong with them.
func writeList(a *app, list []listedPlugin) error {
	rows := [][]string{{"NAME", "KIND", "VERSION", "PATH", "FROM", "CHECKSUM"}}
	for _, p := range list {
		rows = append(rows, []string{p.Name, p.Kind, p.Version, p.Path, p.From, p.Checksum})
	}
	if err := writeTable(a.out, rows); err != nil {
		return err
	}
	for _, p := range list {
		if p.Problem == "" {
			continue
		}
		if _, err := fmt.Fprintln(a.err, "\n"+p.Problem); err != nil {
			return err
		}
	}
	return nil
}

// lookAt starts a plugin to learn its version.
func lookAt(ctx context.Context, host *pluginhost.Host, f pluginhost.Found) listedPlugin {
	p := listedPlugin{Name: f.Name, Kind: string(f.Kind), Path: f.Path, From: f.From}
	if f.Path != "" {
		// What can't be read can't be started either, and the start says so.
		p.Checksum, _ = pluginhost.Checksum(f.Path)
	}
	plugin, err := host.Launch(ctx, f.Kind, f.Name)
	if err != nil {
		p.Problem = err.Error()
		return p
	}
	p.Version, p.Description = plugin.Description().GetVersion(), plugin.Description().GetDescription()
	return p
}

func newPluginsDescribe(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "describe NAME",
		Short: "Print what a plugin is and what its config block may hold",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("plugins describe takes the name of one plugin; `core plugins list` prints which there are")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHost(cmd.Context(), a, func(_ *config.Config, host *pluginhost.Host) error {
				return describePlugin(cmd.Context(), a, host, args[0], asJSON)
			})
		},
	}
	addJSONFlag(c, &asJSON)
	return c
}

func describePlugin(ctx context.Context, a *app, host *pluginhost.Host, name string, asJSON bool) error {
	plugin, err := launchAny(ctx, host, name)
	if err != nil && ctx.Err() != nil {
		return errInterrupted
	}
	if pluginhost.IsConfiguration(err) {
		return usageError(err)
	}
	if err != nil {
		return infrastructureError(err)
	}
	if asJSON {
		return writeJSON(a.out, protocol.Describe(plugin.Description()))
	}
	return writeDescription(a.out, plugin.Found(), plugin.Description())
}

// launchAny launches the processor of a name or, when there is none, the source.
func launchAny(ctx context.Context, host *pluginhost.Host, name string) (*pluginhost.Plugin, error) {
	_, err := host.Find(pluginhost.Processor, name)
	if err != nil {
		if _, sourceErr := host.Find(pluginhost.Source, name); sourceErr == nil {
			return host.Launch(ctx, pluginhost.Source, name)
		}
		return nil, err
	}
	return host.Launch(ctx, pluginhost.Processor, name)
}

func newPluginsVerify(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Compare the plugins with the checksums of the configuration",
		Long: "Verify compares the program of each plugin that the configuration uses with the checksum in its plugin\n" +
			"block. It starts none of them. Exit code 2 says that one differs or is missing.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHost(cmd.Context(), a, func(c *config.Config, host *pluginhost.Host) error {
				return verifyPlugins(a, c, host)
			})
		},
	}
}

func verifyPlugins(a *app, c *config.Config, host *pluginhost.Host) error {
	rows := [][]string{{"NAME", "KIND", "RESULT", "CHECKSUM"}}
	code := exitSuccess
	for _, u := range usedPlugins(c) {
		result, sum, good := verify(host, u, c.Plugin(u.name))
		if !good {
			code = exitUsage
		}
		rows = append(rows, []string{u.name, string(u.kind), result, sum})
	}
	if err := writeTable(a.out, rows); err != nil {
		return err
	}
	return silent(code)
}

// usedPlugin names a plugin that a configuration uses.
type usedPlugin struct {
	kind pluginhost.Kind
	name string
}

// usedPlugins returns the plugins that a configuration uses, each once, in the order of the file.
func usedPlugins(c *config.Config) []usedPlugin {
	var out []usedPlugin
	seen := map[usedPlugin]bool{}
	add := func(u usedPlugin) {
		if !seen[u] {
			seen[u] = true
			out = append(out, u)
		}
	}
	for _, p := range c.Pipelines {
		if p.Source != nil {
			add(usedPlugin{pluginhost.Source, p.Source.Name})
		}
		for _, processor := range p.Processors {
			add(usedPlugin{pluginhost.Processor, processor.Name})
		}
	}
	return out
}

// verify compares one plugin with its pin, which may be nil.
func verify(host *pluginhost.Host, u usedPlugin, pin *config.Plugin) (result, sum string, good bool) {
	found, err := host.Find(u.kind, u.name)
	if err != nil {
		return "missing", "", false
	}
	if found.Path == "" {
		return "not checked: " + found.From, "", true
	}
	sum, err = pluginhost.Checksum(found.Path)
	switch {
	case err != nil:
		return "not readable", "", false
	case pin == nil || pin.Checksum == "":
		return "not pinned", sum, true
	case pin.Checksum != sum:
		return "differs", sum, false
	}
	return "good", sum, true
}
