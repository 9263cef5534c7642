package cmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/spf13/cobra"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/diag"
)

// fmtFlags are the flags of `core fmt`.
type fmtFlags struct {
	check, diff, write bool
}

func newFmt(a *app) *cobra.Command {
	var flags fmtFlags
	c := &cobra.Command{
		Use:   "fmt [FILE|-]...",
		Short: "Write configuration files in the usual format",
		Long: "Fmt rewrites configuration files in the usual format and prints the names of those that it changed.\n" +
			"Without a file it takes the one of --config; with - it reads standard input and prints the result.\n" +
			"A file that does not parse is left alone: exit code 2. With --check nothing is written, and the exit\n" +
			"code is 2 when a file is not formatted.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runFmt(cmd.Context(), a, flags, args)
		},
	}
	c.Flags().BoolVar(&flags.check, "check", false, "write nothing; exit with 2 when a file is not formatted")
	c.Flags().BoolVar(&flags.diff, "diff", false, "print the changes")
	c.Flags().BoolVar(&flags.write, "write", true, "write the files")
	return c
}

func runFmt(ctx context.Context, a *app, flags fmtFlags, paths []string) error {
	if len(paths) == 0 {
		paths = []string{a.config}
	}
	code := exitSuccess
	for _, path := range paths {
		changed, err := fmtFile(ctx, a, flags, path)
		if err != nil {
			return err
		}
		if changed.diags.HasErrors() {
			if err := a.printDiagnostics(changed.diags); err != nil {
				return err
			}
			code = exitUsage
		}
		if changed.changed && flags.check {
			code = exitUsage
		}
	}
	return silent(code)
}

// fmtResult is what fmtFile found.
type fmtResult struct {
	changed bool
	diags   diag.Diagnostics
}

// fmtFile formats one file, or standard input.
func fmtFile(ctx context.Context, a *app, flags fmtFlags, path string) (fmtResult, error) {
	name, before, err := readSource(ctx, a, "configuration file", path)
	if err != nil {
		return fmtResult{}, err
	}
	if diags := config.CheckSyntax(name, before); diags.HasErrors() {
		return fmtResult{diags: diags}, nil
	}
	after := hclwrite.Format(before)
	result := fmtResult{changed: !bytes.Equal(before, after)}
	if path == "-" {
		return result, fmtStdin(a, flags, before, after)
	}
	if !result.changed {
		return result, nil
	}
	if _, err := fmt.Fprintln(a.out, path); err != nil {
		return result, err
	}
	if flags.diff {
		if _, err := io.WriteString(a.out, unifiedDiff(path, before, after)); err != nil {
			return result, err
		}
	}
	if flags.write && !flags.check {
		return result, replaceFile(path, after)
	}
	return result, nil
}

// fmtStdin prints what became of standard input, or the changes.
func fmtStdin(a *app, flags fmtFlags, before, after []byte) error {
	text := string(after)
	switch {
	case flags.diff:
		text = unifiedDiff("<stdin>", before, after)
	case flags.check:
		return nil
	}
	_, err := io.WriteString(a.out, text)
	return err
}

// readSource reads a file of configuration, or standard input for "-", and returns its name for people. What is larger than
// a configuration may be comes with one byte too many. what is as in open, and so are errors.
func readSource(ctx context.Context, a *app, what, path string) (name string, text []byte, err error) {
	name = path
	if path == "-" {
		name = "<stdin>"
	}
	in, err := a.open(ctx, what, path)
	if err != nil {
		return "", nil, err
	}
	defer in.Close() //nolint:errcheck // it was only read
	text, err = io.ReadAll(io.LimitReader(in, config.MaxBytes+1))
	switch {
	case ctx.Err() != nil:
		return "", nil, errInterrupted
	case err != nil:
		return "", nil, usageError(fmt.Errorf("read the %s: %w", what, err))
	}
	return name, text, nil
}

// replaceFile puts a new text in the place of a file's, whole or not at all. The mode stays, and the owner and the group, as far
// as the system lets this user give a file away; a symbolic link stays one.
func replaceFile(path string, text []byte) (err error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	info, err := os.Stat(target)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	temp, err := os.CreateTemp(filepath.Dir(target), ".core-fmt-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name())
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	_, err = temp.Write(text)
	if err == nil {
		keepOwner(temp, info)
		err = temp.Chmod(info.Mode().Perm())
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), target)
}

// keepOwner gives a file the owner and the group of another one; only the group, if the owner can't be.
func keepOwner(file *os.File, as os.FileInfo) {
	if st, ok := as.Sys().(*syscall.Stat_t); ok && file.Chown(int(st.Uid), int(st.Gid)) != nil {
		_ = file.Chown(-1, int(st.Gid))
	}
}
