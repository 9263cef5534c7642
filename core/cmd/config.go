package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/podrunner/runner/core/internal/assembly"
	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/diag"
	"github.com/podrunner/runner/core/internal/pluginhost"
	"github.com/podrunner/runner/core/internal/suggest"
)

// closeTimeout bounds how long core waits for its plugins to end.
const closeTimeout = 15 * time.Second

// stopTimeout is how long a plugin may take to end itself. Somebody waits for the prompt, and there is nothing that these
// commands have a plugin finish: no remote system, no job that goes on.
const stopTimeout = 3 * time.Second

// readConfig returns the configuration, or nil and diagnostics. Only the default file may be missing; the built-in
// configuration then takes its place. The error is that ctx ended: the file may be a pipe.
func (a *app) readConfig(ctx context.Context) (*config.Config, diag.Diagnostics, error) {
	type found struct {
		config *config.Config
		diags  diag.Diagnostics
	}
	f, interrupted := await(ctx, func() found {
		c, diags := a.findConfig()
		return found{c, diags}
	})
	if interrupted != nil {
		return nil, nil, errInterrupted
	}
	if f.config != nil {
		a.logAs(f.config.Runner)
	}
	return f.config, f.diags, nil
}

// findConfig is readConfig without what follows from the configuration.
func (a *app) findConfig() (*config.Config, diag.Diagnostics) {
	overrides, diags := a.overrides()
	if diags.HasErrors() {
		return nil, diags
	}
	if !a.configNamed {
		if _, err := os.Stat(a.config); errors.Is(err, fs.ErrNotExist) {
			a.log.Info("no configuration file, using the built-in one", "file", a.config)
			return config.BuiltinWith(overrides...)
		}
	}
	return config.Load(a.config, overrides...)
}

// overrides returns what --set means.
func (a *app) overrides() (out []config.Override, diags diag.Diagnostics) {
	for _, text := range a.set {
		o, err := config.ParseOverride(text)
		if err != nil {
			diags = append(diags, diag.Diagnostic{Summary: "Wrong --set", Detail: err.Error() + "."})
		}
		out = append(out, o)
	}
	return out, diags
}

// addSet gives a command that reads the configuration the flag --set.
func (a *app) addSet(c *cobra.Command) {
	c.PersistentFlags().StringArrayVar(&a.set, "set", nil, "`NAME=VALUE` in place of what the configuration says, as in kubernetes.namespace=jobs; repeatable")
}

// loadConfig is readConfig for commands that have nothing to do without a configuration: it prints the diagnostics, and
// the error ends the command.
func (a *app) loadConfig(ctx context.Context) (*config.Config, error) {
	c, diags, err := a.readConfig(ctx)
	if err != nil {
		return nil, err
	}
	if c != nil {
		a.redact.Always(c.Telemetry.Secrets()...)
	}
	return c, a.fail(diags)
}

// newHost returns the host of a configuration's plugins. The caller closes it with closeHost.
func (a *app) newHost(c *config.Config) (*pluginhost.Host, error) {
	return a.newHostWith(c, func(o *pluginhost.Options) { o.Limits.Stop = stopTimeout })
}

// newHostWith is newHost with options that edit sets.
func (a *app) newHostWith(c *config.Config, edit func(*pluginhost.Options)) (*pluginhost.Host, error) {
	options, err := assembly.HostOptions(c, a.log)
	if err != nil {
		return nil, infrastructureError(err)
	}
	options.Hide = a.redact.Always
	edit(&options)
	host, err := pluginhost.New(options)
	if err != nil {
		return nil, usageError(err)
	}
	host.SetRedact(a.redact.Bytes)
	return host, nil
}

// closeHost ends the plugins, also after the command's own context has ended.
func (a *app) closeHost(host *pluginhost.Host) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := host.Close(ctx); err != nil {
		a.log.Warn("ending the plugins", "error", err)
	}
}

// pipelineOf returns the pipeline of a name, "" for the one that is meant by default.
func pipelineOf(c *config.Config, name string) (*config.Pipeline, error) {
	if p := c.Pipeline(name); p != nil {
		return p, nil
	}
	names := c.PipelineNames()
	if name == "" {
		return nil, usageError(fmt.Errorf("there are several pipelines, and none is called default: choose one with --pipeline, of %q", names))
	}
	return nil, usageError(fmt.Errorf("there is no pipeline %q.%s There are: %q", name, suggest.Hint(name, names), names))
}

// assemble launches and configures the processors of a pipeline and prints the diagnostics. The error ends the command
// with the right exit code; nothing is left to say about it.
func (a *app) assemble(ctx context.Context, host *pluginhost.Host, p *config.Pipeline) ([]assembly.Stage, error) {
	stages, diags, err := assembly.Processors(ctx, host, p)
	if ctx.Err() != nil {
		return nil, errInterrupted // what the plugins have failed of is no news
	}
	if failed := a.finish(diags, err); failed != nil {
		return nil, failed
	}
	return stages, nil
}

// finish prints the diagnostics of an assembly and returns the error that ends the command: a plugin that is broken
// outweighs what the user has to mend.
func (a *app) finish(diags diag.Diagnostics, broken error) error {
	err := a.fail(diags)
	if broken != nil {
		return silent(exitInfrastructure)
	}
	return err
}
