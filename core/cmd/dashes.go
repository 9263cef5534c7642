package cmd

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// doubleDashes lets people write a long flag with one dash, as they do with HashiCorp's tools: -json is --json. Only
// names of flags that exist are touched, so that a short flag with its value attached, such as -fjob.yaml, stays.
func doubleDashes(root *cobra.Command, args []string) []string {
	long := map[string]bool{"help": true}
	collectFlags(root, long)
	out := append([]string{}, args...) // never nil: cobra would take the process's own arguments
	for i, arg := range out {
		if arg == "--" {
			break
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if len(name) > 1 && strings.HasPrefix(arg, "-") && long[name] {
			out[i] = "-" + arg
		}
	}
	return out
}

// collectFlags adds the long names of all flags of the command and those below it.
func collectFlags(c *cobra.Command, names map[string]bool) {
	add := func(f *pflag.Flag) { names[f.Name] = true }
	c.Flags().VisitAll(add)
	c.PersistentFlags().VisitAll(add)
	for _, sub := range c.Commands() {
		collectFlags(sub, names)
	}
}
