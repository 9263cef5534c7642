package pluginhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/podrunner/runner/sdk/protocol"
)

// Kind is what a plugin is for.
type Kind string

// The kinds.
const (
	Processor Kind = "processor"
	Source    Kind = "source"
)

// prefix is how the names of a kind's programs begin.
func (k Kind) prefix() string { return "runner-" + string(k) + "-" }

// Dir is a directory in which plugins are looked for.
type Dir struct {
	Path string
	// From says for people where the path comes from: "plugin_dir in runner.hcl".
	From string
}

// Found is a plugin that could be launched, or that looks like one.
type Found struct {
	Kind Kind
	// Name is the short name: "sanitize".
	Name string
	// Path is the absolute path of the program; empty for one that a developer runs.
	Path string
	// From says where the path comes from: that of its Dir, or the name of an environment variable.
	From string
	// Problem is what keeps it from being launched, an *Error; nil when nothing does so far.
	Problem error
	// Shadowed are the paths of the same name in later directories.
	Shadowed []string

	dev      bool          // checksums do not count
	reattach *reattachment // it runs already
}

func (f *Found) title() string { return fmt.Sprintf("%s %q", f.Kind, f.Name) }

var pluginName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// List returns all plugins that there are, sorted by kind and name: those of the environment variables (which name no
// kind, so they stand there only when asked for by Find, unless a directory has one of that name), and those in the
// directories. A directory that does not exist holds none; the error is for one that can't be read.
func (h *Host) List() ([]Found, error) {
	var names []string
	for _, dir := range h.opts.Dirs {
		entries, err := os.ReadDir(dir.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading plugin directory %s (%s): %w", dir.Path, dir.From, err)
		}
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	var out []Found
	for _, file := range slices.Compact(names) {
		for _, kind := range []Kind{Processor, Source} {
			name, ok := strings.CutPrefix(file, kind.prefix())
			name = strings.TrimSuffix(name, exeSuffix())
			if !ok || !pluginName.MatchString(name) {
				continue
			}
			if found, err := h.Find(kind, name); err == nil {
				out = append(out, found)
			}
		}
	}
	return out, nil
}

// Find looks for one plugin: in RUNNER_REATTACH_PLUGINS, in RUNNER_DEV_PLUGINS, then in the directories, in order. The
// first file of the name counts, even if it is not one that can be run: Found.Problem then says so. The error is for a
// plugin that is nowhere.
func (h *Host) Find(kind Kind, name string) (Found, error) {
	found := Found{Kind: kind, Name: name}
	if at, ok := h.reattach[name]; ok {
		found.From, found.reattach = protocol.EnvReattach, &at
		return found, nil
	}
	if path, ok := h.dev[name]; ok {
		found.Path, found.From, found.dev = path, EnvDev, true
		found.Problem = checkFile(found.title(), path)
		return found, nil
	}
	if !pluginName.MatchString(name) {
		return Found{}, &Error{
			Plugin: found.title(), Reason: NotFound, Detail: "has a name that no plugin has",
			Advice: "A name has lower-case letters, digits and dashes.",
		}
	}
	for _, dir := range h.opts.Dirs {
		path := filepath.Join(dir.Path, kind.prefix()+name+exeSuffix())
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		if found.Path != "" {
			found.Shadowed = append(found.Shadowed, path)
			continue
		}
		found.Path, found.From = path, dir.From
		found.Problem = checkFile(found.title(), path)
	}
	if found.Path == "" {
		return Found{}, h.notFound(kind, name)
	}
	return found, nil
}

// checkFile says what is wrong with the file of a plugin, seen from outside.
func checkFile(title, path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Error{Plugin: title, Reason: NotFound, Detail: "is not at " + path, Advice: "Build or install it there, or mend the path."}
	case err != nil:
		return &Error{Plugin: title, Reason: NotExecutable, Detail: "can't be looked at", Err: err}
	case info.IsDir():
		return &Error{Plugin: title, Reason: NotExecutable, Detail: "is a directory: " + path, Advice: "Put the plugin's program there instead."}
	case !info.Mode().IsRegular():
		return &Error{Plugin: title, Reason: NotExecutable, Detail: "is no regular file: " + path, Advice: "Put the plugin's program there instead."}
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o111 == 0:
		return errNotExecutable(title, path)
	}
	return nil
}

func errNotExecutable(title, path string) *Error {
	return &Error{Plugin: title, Reason: NotExecutable, Detail: "is not executable: " + path, Advice: "Try: chmod +x " + path}
}

// notFound says where a plugin was looked for, and which ones with such a name there are.
func (h *Host) notFound(kind Kind, name string) *Error {
	e := &Error{Plugin: fmt.Sprintf("%s %q", kind, name), Reason: NotFound, Detail: "was not found"}
	if len(h.opts.Dirs) == 0 {
		e.Advice = "No plugin directory is configured: set plugin_dir."
		return e
	}
	next := h.near(kind, name)
	if next == "" {
		next = "Put it there, or name another folder with RUNNER_PLUGIN_DIR or with plugin_dir in runner.hcl."
	}
	e.Advice = fmt.Sprintf("Looked for %s in:\n%s\n%s", kind.prefix()+name+exeSuffix(), h.Places(), next)
	return e
}

// Places says for people where plugins are looked for, one indented line a directory.
func (h *Host) Places() string {
	places := make([]string, len(h.opts.Dirs))
	for i, dir := range h.opts.Dirs {
		places[i] = fmt.Sprintf("  %s (%s)", dir.Path, dir.From)
		switch _, err := os.ReadDir(dir.Path); {
		case errors.Is(err, fs.ErrNotExist):
			places[i] += ", which does not exist"
		case err != nil: // not a directory, no right to look, links in a circle
			places[i] += fmt.Sprintf(", which can't be read: %v", errors.Unwrap(err))
		}
	}
	return strings.Join(places, "\n")
}

// near returns a sentence on the plugin that the user may have meant, or nothing.
func (h *Host) near(kind Kind, name string) string {
	all, err := h.List()
	if err != nil {
		return ""
	}
	best, distance := "", 1+max(1, len(name)/3)
	for _, f := range all {
		if f.Name == name {
			return fmt.Sprintf("There is a %s of that name.", f.Kind)
		}
		if d := levenshtein.Distance(f.Name, name, nil); f.Kind == kind && d < distance {
			best, distance = f.Name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("Did you mean %q?", best)
}

func exeSuffix() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}
