// Package tool is about the programs that jobs find at /mount: what they may be called, and how the helper puts them
// there.
package tool

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Dir is where the helper's image has the programs.
const Dir = "/tools"

// CodeMissing is the exit code of a helper whose image lacks a program. What it says then is for the job's result.
const CodeMissing = 78

// reserved are names that core itself takes at /mount.
var reserved = []string{"runner-helper", "spool", "outcome"}

var fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

const fileNameRule = "It is a file's name: up to 64 letters, digits, dots, dashes and underscores, a letter or digit first."

// WrongName says what is wrong with a name at /mount; "" for nothing.
func WrongName(name string) string {
	if slices.Contains(reserved, name) {
		return "Core has a file of its own there. Choose another name."
	}
	return WrongProgram(name)
}

// WrongProgram says what is wrong with the name of a program; "" for nothing.
func WrongProgram(name string) string {
	if fileName.MatchString(name) {
		return ""
	}
	return fileNameRule
}

// Tool is one program that jobs find at /mount.
type Tool struct{ Name, Program string }

// String is the form in which core tells the helper of it.
func (t Tool) String() string { return t.Name + "=" + t.Program }

// List returns the tools of a setting, by their names.
func List(setting map[string]string) []Tool {
	var tools []Tool
	for _, name := range slices.Sorted(maps.Keys(setting)) {
		tools = append(tools, Tool{name, setting[name]})
	}
	return tools
}

// Args returns the arguments that tell the helper of tools: a flag for each.
func Args(tools []Tool) []string {
	var args []string
	for _, t := range tools {
		args = append(args, "-tool", t.String())
	}
	return args
}

// Flag collects the tools of a command line.
type Flag []Tool

// String implements flag.Value.
func (f *Flag) String() string { return "" }

// Set implements flag.Value.
func (f *Flag) Set(text string) error {
	name, program, _ := strings.Cut(text, "=")
	if wrong := WrongName(name); wrong != "" {
		return fmt.Errorf("the tool %q: %s", name, wrong)
	}
	if wrong := WrongProgram(program); wrong != "" {
		return fmt.Errorf("the program %q: %s", program, wrong)
	}
	*f = append(*f, Tool{name, program})
	return nil
}

// Missing says which of the tools a folder has no program for; nil when all are there.
func Missing(dir string, tools []Tool) error {
	var errs []error
	for _, t := range tools {
		if info, err := os.Stat(filepath.Join(dir, t.Program)); err != nil || !info.Mode().IsRegular() {
			errs = append(errs, fmt.Errorf("the tool %q is to be the program %q, and there is none of that name in %s", t.Name, t.Program, dir))
		}
	}
	if errs == nil {
		return nil
	}
	return fmt.Errorf("%w; there %s", errors.Join(errs...), contents(dir))
}

// contents lists the files of a folder for people.
func contents(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "can't be told what is: " + err.Error()
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if len(names) == 0 {
		return "is no program at all"
	}
	return "is: " + strings.Join(names, ", ")
}
