package migrate

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/podrunner/runner/core/internal/diag"
	"github.com/podrunner/runner/core/internal/suggest"
)

// Line is a command line of the seed.
type Line struct {
	given map[string]*given
}

// Config returns the file that the line names with --config; "" when it names none.
func (l *Line) Config() string {
	if l == nil || l.given["config"] == nil {
		return ""
	}
	return l.given["config"].text
}

// ParseLine reads a command line of the seed, with or without the program's name and the command `run`. Its errors hold no
// values.
func ParseLine(args []string) (*Line, error) {
	set := pflag.NewFlagSet("opslevel-runner", pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	for _, f := range options {
		switch f.kind {
		case aNumber:
			set.Int64P(f.name, f.short, 0, "")
		case aTruth:
			set.BoolP(f.name, f.short, false, "")
		case texts:
			set.StringArrayP(f.name, f.short, nil, "")
		default:
			set.StringP(f.name, f.short, "", "")
		}
	}
	if err := set.Parse(args); err != nil {
		return nil, lineError(err)
	}
	if err := onlyRun(set.Args()); err != nil {
		return nil, err
	}
	l := &Line{given: map[string]*given{}}
	set.Visit(func(f *pflag.Flag) {
		g := &given{text: f.Value.String(), at: diag.Range{File: &diag.File{Name: "--" + f.Name}}}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			g.list = list.GetSlice()
		}
		l.given[f.Name] = g
	})
	return l, nil
}

// lineError says what is wrong with a line. What the parser itself says may hold a value.
func lineError(err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return errors.New("the command line of opslevel-runner asks for its help: give the one that it runs with")
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return errors.New("the command line of opslevel-runner has a short flag that is not -c, the only one it knew")
	case errors.As(err, &unknown):
		return fmt.Errorf("opslevel-runner had no flag --%s.%s", unknown.GetSpecifiedName(), suggest.Hint(unknown.GetSpecifiedName(), names()))
	case errors.As(err, &missing):
		return fmt.Errorf("the flag --%s of opslevel-runner has no value", missing.GetSpecifiedName())
	case errors.As(err, &invalid):
		return fmt.Errorf("the flag --%s of opslevel-runner takes %s", invalid.GetFlag().Name, wants(invalid.GetFlag().Value.Type()))
	}
	return errors.New("the command line of opslevel-runner can't be read: its flags are written --name=value or --name value")
}

func wants(kind string) string {
	if kind == "bool" {
		return "true or false"
	}
	return "a whole number"
}

// onlyRun checks what is left of a line without its flags.
func onlyRun(args []string) error {
	if len(args) > 0 && path.Base(args[0]) == "opslevel-runner" {
		args = args[1:]
	}
	switch {
	case len(args) == 0 || slices.Equal(args, []string{"run"}):
		return nil
	case slices.Contains([]string{"test", "enqueue", "version", "help", "completion"}, args[0]):
		return fmt.Errorf("this is the command line of `opslevel-runner %s`: give the one of `opslevel-runner run`, of which a configuration can be made", args[0])
	case strings.HasSuffix(args[0], "true") || strings.HasSuffix(args[0], "false"):
		return errors.New("a flag that is true or false has its value behind an equals sign: --scaling-enabled=true, or just --scaling-enabled")
	}
	return errors.New("the command line of opslevel-runner has something in it that is no flag: give it as it is started, such as run --mode api --job-concurrency 5")
}
