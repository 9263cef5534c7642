package job

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Limits of a job. They come from what carries it: script and files travel in a ConfigMap, sensitive variables in a
// Secret, each at most 1 MiB; the kernel takes no more than 128 KiB for one variable.
const (
	maxPayloadBytes   = 1 << 20
	maxVariablesBytes = 1 << 20
	maxVariableBytes  = 128 << 10
	maxIDBytes        = 1 << 10
	maxIDPartBytes    = 255 // what a file system takes for the name of a folder
	maxFileNameBytes  = 253
)

var (
	// variableName is what Kubernetes takes for the name of an environment variable.
	variableName = regexp.MustCompile(`^[A-Za-z_.-][A-Za-z0-9_.-]*$`)
	// fileName is what Kubernetes takes for a key of a ConfigMap.
	fileName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
)

// problem is something wrong with a job. It holds no value of a variable.
type problem struct {
	at      place
	warning bool
	// summary is a noun phrase, detail says how to mend it.
	summary, detail string
}

// place is a part of a job by the names of a job file: a field, an element of it, and a field of that.
type place struct {
	field string
	// index counts from 0; -1 for the field as a whole.
	index int
	sub   string
}

// Validate reports all that is wrong with the job, as one error of one line; nil when it can be run.
func (j *Job) Validate() error {
	var errs []string
	for _, p := range j.problems() {
		if !p.warning {
			errs = append(errs, p.String())
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errors.New(strings.Join(errs, "; "))
}

// String returns the problem with its place in words.
func (p problem) String() string {
	where := p.at.field
	if p.at.index >= 0 {
		where = fmt.Sprintf("%s[%d]", where, p.at.index)
	}
	if p.at.sub != "" {
		where += "." + p.at.sub
	}
	return fmt.Sprintf("%s: %s", where, lowerFirst(p.summary))
}

// lowerFirst takes the capital from the first word, unless it is an abbreviation.
func lowerFirst(text string) string {
	if len(text) > 1 && text[1] >= 'A' && text[1] <= 'Z' {
		return text
	}
	return strings.ToLower(text[:1]) + text[1:]
}

// problems checks the whole job.
func (j *Job) problems() []problem {
	return slices.Concat(j.idProblems(), j.stepProblems(), j.variableProblems(), j.fileProblems(), j.sizeProblems())
}

func (j *Job) idProblems() []problem {
	at, parts := place{"id", -1, ""}, strings.Split(j.ID, "/")
	switch {
	case len(j.ID) > maxIDBytes:
		return []problem{{at: at, summary: "Id too long", detail: fmt.Sprintf("An id has at most %d bytes.", maxIDBytes)}}
	case hasControl(j.ID):
		return []problem{{at: at, summary: "Control character in the id", detail: "An id is one line of printable text."}}
	case slices.ContainsFunc(parts, func(part string) bool { return len(part) > maxIDPartBytes }):
		return []problem{{
			at: at, summary: "Id too long",
			detail: fmt.Sprintf("The id is the name of the working directory, and a file system takes at most %d bytes for one.", maxIDPartBytes),
		}}
	case slices.Contains(parts, ".."):
		return []problem{{at: at, summary: "Id leads elsewhere", detail: `The id is a part of the working directory's path, so it can't hold "..".`}}
	case j.ID != "" && path.Join("/", j.ID) == "/":
		return []problem{{at: at, summary: "Id with no name", detail: "The id is the name of the working directory, so it has more than dots and slashes."}}
	}
	return nil
}

// stepProblems checks what the two steps run, and in which image.
func (j *Job) stepProblems() []problem {
	var out []problem
	if j.Image == "" {
		out = append(out, problem{at: place{"image", -1, ""}, summary: "No image", detail: "A job names the image that it runs in: image: alpine."})
	}
	out = append(out, imageProblems("image", j.Image)...)
	out = append(out, imageProblems("initImage", j.InitImage)...)
	if len(j.Commands) == 0 {
		out = append(out, problem{at: place{"commands", -1, ""}, summary: "No commands", detail: "A job has at least one command, in a list: commands: [echo hello]."})
	}
	out = append(out, commandProblems("commands", j.Commands)...)
	return append(out, commandProblems("initCommands", j.InitCommands)...)
}

func imageProblems(field, image string) []problem {
	if hasControl(image) || strings.ContainsAny(image, " ") {
		return []problem{{at: place{field, -1, ""}, summary: "Space in an image", detail: "The name of an image has no spaces and no control characters."}}
	}
	return nil
}

func commandProblems(field string, commands []string) []problem {
	var out []problem
	for i, command := range commands {
		if strings.ContainsRune(command, 0) {
			out = append(out, problem{at: place{field, i, ""}, summary: "NUL in a command", detail: "A command can't hold the character NUL; the shell's script would end there."})
		}
	}
	return out
}

func (j *Job) variableProblems() []problem {
	var out []problem
	total := 0
	for i, v := range j.Variables {
		if v.Key == "" {
			out = append(out, problem{at: place{"variables", i, "key"}, summary: "Variable with no key", detail: "A variable has a key, its name: key: NAME."})
		} else if !variableName.MatchString(v.Key) {
			out = append(out, problem{
				at: place{"variables", i, "key"}, summary: "Bad variable name",
				detail: "The name of an environment variable has letters, digits, underscores, dashes and dots, and does not start with a digit.",
			})
		}
		if !slices.Contains([]Scope{ScopeBoth, ScopeInit, ScopeMain}, v.Scope) {
			out = append(out, problem{
				at: place{"variables", i, "scope"}, summary: "Unknown scope",
				detail: "A scope is init, main, or absent for both.",
			})
		}
		switch {
		case strings.ContainsRune(v.Value, 0):
			out = append(out, problem{
				at: place{"variables", i, "value"}, summary: "NUL in a value",
				detail: "An environment variable can't hold the character NUL. Put binary data into a file, or encode it.",
			})
		case len(v.Key)+len(v.Value)+len("=")+1 > maxVariableBytes:
			out = append(out, problem{
				at: place{"variables", i, "value"}, summary: "Variable too large",
				detail: fmt.Sprintf("The kernel takes at most %d KiB for one variable. Put the data into a file.", maxVariableBytes>>10),
			})
		}
		total += len(v.Key) + len(v.Value)
		if first := slices.IndexFunc(j.Variables[:i], v.collides); first >= 0 && v.Key != "" {
			out = append(out, problem{
				at: place{"variables", i, "key"}, warning: true, summary: "Variable set twice",
				detail: fmt.Sprintf("The variable %q is set by entry %d already. This later one counts.", v.Key, first+1),
			})
		}
	}
	if total > maxVariablesBytes {
		out = append(out, problem{
			at: place{"variables", -1, ""}, summary: "Variables too large",
			detail: fmt.Sprintf("All variables together have at most %d KiB; these have %d.", maxVariablesBytes>>10, total>>10),
		})
	}
	return out
}

// collides reports whether a step sees both variables under one name.
func (v Variable) collides(other Variable) bool {
	return v.Key == other.Key && (v.Scope == other.Scope || v.Scope == ScopeBoth || other.Scope == ScopeBoth)
}

func (j *Job) fileProblems() []problem {
	var out []problem
	first := map[string]int{}
	for i, f := range j.Files {
		at := place{"files", i, "name"}
		if p := fileNameProblem(f.Name); p != "" {
			out = append(out, problem{at: at, summary: "Bad file name", detail: p})
			continue
		}
		if n, ok := first[f.Name]; ok {
			out = append(out, problem{
				at: at, summary: "File name twice",
				detail: fmt.Sprintf("Entry %d has the file %q already. Give this one another name.", n+1, f.Name),
			})
			continue
		}
		first[f.Name] = i
	}
	return out
}

// fileNameProblem says what is wrong with the name of a file, "" for nothing.
func fileNameProblem(name string) string {
	switch {
	case name == "":
		return "A file has a name; the job finds it at /opslevel/<name>."
	case strings.Contains(name, "/"):
		return "Files lie side by side in /opslevel; a name has no slash."
	case strings.HasPrefix(name, "..") || name == ".":
		return `A name is not "." and does not start with "..".`
	case len(name) > maxFileNameBytes:
		return fmt.Sprintf("A name has at most %d bytes.", maxFileNameBytes)
	case !fileName.MatchString(name):
		return "A name has letters, digits, dots, dashes and underscores."
	}
	return ""
}

// sizeProblems checks script and files together.
func (j *Job) sizeProblems() []problem {
	total, largest, most := 0, place{"commands", -1, ""}, 0
	count := func(at place, n int) {
		total += n
		if n > most {
			largest, most = at, n
		}
	}
	count(place{"commands", -1, ""}, scriptBytes(j.Commands))
	count(place{"initCommands", -1, ""}, scriptBytes(j.InitCommands))
	for i, f := range j.Files {
		count(place{"files", i, "contents"}, len(f.Name)+len(f.Contents))
	}
	if total <= maxPayloadBytes {
		return nil
	}
	return []problem{{
		at: largest, summary: "Job too large",
		detail: fmt.Sprintf("Commands and files together have at most %d KiB, the limit of a ConfigMap; these have %d, and this is the largest part. "+
			"Put large data into the image, or let the job fetch it.", maxPayloadBytes>>10, (total+1023)>>10),
	}}
}

// scriptBytes returns the size of the script that commands make.
func scriptBytes(commands []string) int {
	n := 0
	for _, c := range commands {
		n += len(c) + 1
	}
	return n
}

func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f })
}
