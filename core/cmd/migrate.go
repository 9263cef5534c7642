package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/diag"
	"github.com/podrunner/runner/core/internal/migrate"
)

// seedConfig is the file that opslevel-runner read when nobody named one.
const seedConfig = "opslevel.yaml"

type migrateFlags struct {
	from, out  string
	force, env bool
}

func newMigrate(a *app) *cobra.Command {
	var flags migrateFlags
	c := &cobra.Command{
		Use:   "migrate [-- COMMAND LINE OF OPSLEVEL-RUNNER]",
		Short: "Make a runner.hcl of what opslevel-runner was configured by",
		Long: "Migrate reads an opslevel.yaml, the command line with which opslevel-runner was started, behind --, and which of its\n" +
			"variables are set, and prints a runner.hcl that says the same. What has no meaning any more, or another one, is a warning\n" +
			"and a comment in the file. No secret is written: tokens and what comes from the environment stay there. Exit code 2 says\n" +
			"that something can't be taken over and has to be mended first.",
		Example: "  core migrate --out runner.hcl\n  core migrate --from old/opslevel.yaml -- run --mode faktory --queues runner --job-concurrency 5",
		Args: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); len(args) > 0 && dash != 0 {
				return errors.New("the command line of opslevel-runner stands behind two dashes: core migrate -- run --mode api")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("config") {
				return usageError(errors.New("migrate reads no configuration of core's: name the file of opslevel-runner with --from"))
			}
			return runMigrate(cmd.Context(), a, flags, args)
		},
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		var unknown *pflag.NotExistError
		if errors.As(err, &unknown) && migrate.IsFlag(unknown.GetSpecifiedName()) {
			return fmt.Errorf("--%s is a flag of opslevel-runner, whose command line stands behind two dashes: core migrate -- run --%s=…", unknown.GetSpecifiedName(), unknown.GetSpecifiedName())
		}
		return err
	})
	c.Flags().StringVar(&flags.from, "from", "", "`file` of opslevel-runner, - for standard input (default: the one of --config behind --, or opslevel.yaml if it is there)")
	c.Flags().StringVar(&flags.out, "out", "", "`file` to write, - for standard output; it must not exist (default: standard output)")
	c.Flags().BoolVar(&flags.force, "force", false, "write the file also when it exists")
	c.Flags().BoolVar(&flags.env, "env", true, "look at which of opslevel-runner's variables are set in this environment")
	return c
}

func runMigrate(ctx context.Context, a *app, flags migrateFlags, args []string) error {
	in := migrate.Inputs{}
	if flags.env {
		in.Getenv = os.Getenv
	}
	var err error
	if len(args) > 0 {
		if in.Line, err = migrate.ParseLine(args); err != nil {
			return usageError(err)
		}
	}
	if in.File, err = a.seedFile(ctx, flags.from, in.Line); err != nil {
		return err
	}
	text, diags := migrate.Migrate(in)
	if err := a.fail(diags); err != nil {
		return err
	}
	return a.writeMigrated(flags, text)
}

// seedFile reads the file of opslevel-runner; nil when none is named and none is there, which it took for an empty one.
func (a *app) seedFile(ctx context.Context, from string, line *migrate.Line) (*diag.File, error) {
	path := from
	if path == "" {
		path = line.Config()
	}
	if path == "." {
		path = "-" // that was its name for standard input
	}
	named := path != ""
	if !named {
		path = seedConfig
	}
	if _, err := os.Stat(path); path != "-" && errors.Is(err, fs.ErrNotExist) {
		switch {
		case !named:
			return nil, nil
		case from == "":
			return nil, usageError(fmt.Errorf("there is no file %s, which --config names: name the one of opslevel-runner with --from, a copy of its ConfigMap perhaps, or leave --config out", path))
		}
	}
	name, text, err := readSource(ctx, a, "configuration of opslevel-runner", path)
	if err != nil {
		return nil, err
	}
	if len(text) > config.MaxBytes {
		return nil, usageError(fmt.Errorf("%s is larger than %d KiB: this is no configuration of opslevel-runner", name, config.MaxBytes>>10))
	}
	return &diag.File{Name: name, Text: text}, nil
}

// writeMigrated writes the result. A file that is there stays as it is, unless it is to be replaced.
func (a *app) writeMigrated(flags migrateFlags, text []byte) error {
	if flags.out == "" || flags.out == "-" {
		_, err := a.out.Write(text)
		return err
	}
	if info, err := os.Stat(flags.out); err == nil && info.IsDir() {
		return usageError(fmt.Errorf("%s is a folder: name the file to write, as in --out %s", flags.out, filepath.Join(flags.out, defaultConfig)))
	}
	f, err := os.OpenFile(flags.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist) && flags.force:
		if err := replaceFile(flags.out, text); err != nil {
			return err
		}
		return a.sayMigrated(flags.out)
	case errors.Is(err, fs.ErrExist):
		return usageError(fmt.Errorf("%s exists, and is left as it is: name another file with --out, or replace it with --force", flags.out))
	case err != nil:
		return usageError(fmt.Errorf("write the configuration: %w", err))
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return a.sayMigrated(flags.out)
}

// sayMigrated says what to do with the file.
func (a *app) sayMigrated(path string) error {
	_, err := fmt.Fprintf(a.err, "Wrote %s. Look at it, and check it with: core validate -c %s\n", path, path)
	return err
}
