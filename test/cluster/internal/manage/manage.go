// Package manage is the command line of the cluster.
package manage

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/podrunner/runner/test/cluster/internal/cluster"
)

// New returns the command that brings a cluster up, down, and everything between.
func New() *cobra.Command {
	c := &cluster.Cluster{}
	root := &cobra.Command{
		Use:           "cluster",
		Short:         "A real Kubernetes of one node on this machine, for tests",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			c.Out = cmd.OutOrStdout()
			c.Program, err = os.Executable()
			return err
		},
	}
	root.PersistentFlags().StringVar(&c.Dir, "dir", cluster.DefaultDir, "where all of its state is")
	do := func(use, short string, args cobra.PositionalArgs, run func(context.Context, []string) error) {
		root.AddCommand(&cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
			return run(cmd.Context(), args)
		}})
	}
	do("up", "Make it run", cobra.NoArgs, func(ctx context.Context, _ []string) error { return c.Up(ctx) })
	do("down", "End it and remove all that it has made", cobra.NoArgs, func(ctx context.Context, _ []string) error { return c.Down(ctx) })
	do("status", "Say which components run", cobra.NoArgs, func(ctx context.Context, _ []string) error { return c.Status(ctx) })
	do("start COMPONENT…", "Start components", cobra.MinimumNArgs(1), c.Start)
	do("stop COMPONENT…", "Stop components; the containers of pods run on", cobra.MinimumNArgs(1), c.Stop)
	do("restart COMPONENT…", "Stop components and start them again", cobra.MinimumNArgs(1), c.Restart)
	do("load ARCHIVE…", "Load the images of OCI or Docker archives", cobra.MinimumNArgs(1), c.Load)
	do("images ARCHIVE", "Write the images that it has into an archive", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return c.WriteImages(ctx, args[0])
	})
	do("kubeconfig", "Print the path of the administrator's kubeconfig file", cobra.NoArgs, func(context.Context, []string) error {
		fmt.Fprintln(c.Out, c.Kubeconfig())
		return nil
	})
	return root
}
