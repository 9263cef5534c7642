package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/podrunner/runner/core/internal/suggest"
)

// misused is the error of a command line that c does not take, in words for people and with a way on.
func misused(c *cobra.Command, err error) error {
	if c.Name() == "help" {
		c = c.Root()
	}
	return usageError(fmt.Errorf("%w\nRun '%s --help' for usage", flagError(c, err), c.CommandPath()))
}

// flagError puts what the parser of flags says into plain words; an error that is not of its making stays as it is.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var bare *pflag.ValueRequiredError
	switch {
	case errors.As(err, &bare):
		return fmt.Errorf("--%s needs a value", bare.GetFlag().Name)
	case errors.As(err, &unknown):
		return unknownFlag(c, unknown)
	case errors.As(err, &invalid):
		flag := invalid.GetFlag()
		if errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("--%s: the number %s is too large", flag.Name, invalid.GetValue())
		}
		return fmt.Errorf("--%s takes %s, not %q", flag.Name, flagTakes(flag), invalid.GetValue())
	}
	return err
}

// unknownFlag says that a command has no such flag, and what may have been meant: a flag of that command, with one dash or
// two, or a command.
func unknownFlag(c *cobra.Command, err *pflag.NotExistError) error {
	dashes, name := "--", err.GetSpecifiedName()
	if several := err.GetSpecifiedShortnames(); several != "" {
		dashes = "-"
		name, _, _ = strings.Cut(several, "=")
	}
	for _, sub := range c.Commands() {
		if sub.Name() == name {
			return fmt.Errorf("unknown flag %s%s; it is a command: %s", dashes, name, sub.CommandPath())
		}
	}
	var flags []string
	c.Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f.Name) })
	if near := suggest.Name(name, flags); near != "" {
		return fmt.Errorf("unknown flag %s%s. Did you mean --%s?", dashes, name, near)
	}
	return fmt.Errorf("unknown flag %s%s", dashes, name)
}

// flagTakes says what the value of a flag is, for those types whose parsers refuse anything.
func flagTakes(flag *pflag.Flag) string {
	switch flag.Value.Type() {
	case "int":
		return "a whole number"
	case "bool":
		return "true or false"
	}
	return "names with commas between them"
}

// noArgs refuses arguments. To a command that has others below it, an argument is one of those that is misspelt.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !c.HasAvailableSubCommands() {
		return fmt.Errorf("%s takes no arguments, and there is %q", c.Name(), args[0])
	}
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	return fmt.Errorf("unknown command %q for %q.%s There are: %s", args[0], c.CommandPath(), suggest.Hint(args[0], names), strings.Join(names, ", "))
}

// refuseUnknown has the commands help and completion, which are cobra's own, fail for what there is not.
func refuseUnknown(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Args = func(_ *cobra.Command, args []string) error {
				_, _, err := root.Find(args)
				return err
			}
		case "completion":
			// Only what can be run has its arguments looked at.
			c.Args, c.RunE = noArgs, func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
}
