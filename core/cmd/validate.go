package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/podrunner/runner/core/internal/assembly"
	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/diag"
)

func newValidate(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "validate",
		Short: "Check the configuration, and ask the plugins what they think of theirs",
		Long: "Validate reads the configuration, starts every plugin that it uses and lets each check what is meant\n" +
			"for it. It runs no job and reaches no remote system. Exit code 2 says that the configuration has to be\n" +
			"mended, 3 that a plugin is broken.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runValidate(cmd.Context(), a, asJSON)
		},
	}
	addJSONFlag(c, &asJSON)
	a.addSet(c)
	return c
}

func runValidate(ctx context.Context, a *app, asJSON bool) error {
	c, diags, broken, err := checkAll(ctx, a)
	if err != nil {
		return err
	}
	diags = diags.Sorted()
	if asJSON {
		if err := diag.WriteJSON(a.out, diags); err != nil {
			return err
		}
		return silent(checkCode(diags, broken))
	}
	if err := a.finish(diags, broken); err != nil {
		return err
	}
	name := c.Path
	if name == "" {
		name = "The built-in configuration"
	}
	plugins := 0
	for _, p := range c.Pipelines {
		plugins += len(p.Uses())
	}
	_, err = fmt.Fprintf(a.out, "%s is valid: %s, %s.\n", name, count(len(c.Pipelines), "pipeline"), count(plugins, "plugin"))
	return err
}

// checkAll collects the diagnostics of the configuration and of all plugins. broken is not nil when a plugin is broken,
// err when the check could not be made.
func checkAll(ctx context.Context, a *app) (c *config.Config, diags diag.Diagnostics, broken, err error) {
	c, diags, err = a.readConfig(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if diags.HasErrors() {
		return nil, diags, nil, nil
	}
	host, err := a.newHost(c)
	if err != nil {
		return nil, nil, nil, err
	}
	defer a.closeHost(host)
	more, broken := assembly.Check(ctx, host, c)
	if ctx.Err() != nil {
		return nil, nil, nil, errInterrupted // what the plugins have failed of is no news
	}
	diags = append(diags, more...)
	return c, append(diags, c.CheckLocals()...), broken, nil
}

func checkCode(diags diag.Diagnostics, broken error) int {
	switch {
	case broken != nil:
		return exitInfrastructure
	case diags.HasErrors():
		return exitUsage
	}
	return exitSuccess
}

// count returns a number with a noun: "1 plugin", "2 plugins".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
