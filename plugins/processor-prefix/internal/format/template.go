// Package format makes the text that stands before a line out of a template such as "{time} [{worker}] ".
package format

import (
	"fmt"
	"strings"
)

// Field is a placeholder of a template, by its name without braces.
type Field string

// The placeholders.
const (
	Time     Field = "time"
	Worker   Field = "worker"
	Job      Field = "job"
	Step     Field = "step"
	Stream   Field = "stream"
	Runner   Field = "runner"
	Pipeline Field = "pipeline"
)

var fields = []Field{Time, Worker, Job, Step, Stream, Runner, Pipeline}

// Template is a parsed template. It is read-only.
type Template struct {
	parts []part
}

// part is a placeholder or, when field is empty, a text.
type part struct {
	field Field
	text  string
}

// Problem is what is wrong with a template or a layout, for the person who wrote it: a noun phrase, and sentences that
// say how to mend it.
type Problem struct {
	Summary, Detail string
}

// Error implements error.
func (p *Problem) Error() string { return p.Summary + ": " + p.Detail }

// Parse parses a template: text with placeholders in braces; "{{" and "}}" stand for a brace. An error is a *Problem.
func Parse(s string) (Template, error) {
	if strings.Contains(s, "\n") {
		return Template{}, &Problem{"Line end in a prefix", `A prefix stands on the line that it is put before. Remove "\n".`}
	}
	var t Template
	for s != "" {
		p, rest, err := parsePart(s)
		if err != nil {
			return Template{}, err
		}
		t.parts = append(t.parts, p)
		s = rest
	}
	return t, nil
}

// parsePart parses the beginning of s, which is not empty, and returns the rest.
func parsePart(s string) (p part, rest string, err error) {
	i := strings.IndexAny(s, "{}")
	switch {
	case i < 0:
		return part{text: s}, "", nil
	case i > 0:
		return part{text: s[:i]}, s[i:], nil
	case strings.HasPrefix(s, "{{"), strings.HasPrefix(s, "}}"):
		return part{text: s[:1]}, s[2:], nil
	}
	name, rest, closed := strings.Cut(s[1:], "}")
	if s[0] == '}' || !closed {
		return p, "", &Problem{
			"Single brace in a prefix",
			`A placeholder is a name in braces, such as "{time}". For a brace itself write it twice, "{{" or "}}".`,
		}
	}
	for _, f := range fields {
		if name == string(f) {
			return part{field: f}, rest, nil
		}
	}
	return p, "", &Problem{
		"Unknown placeholder",
		fmt.Sprintf("There is no placeholder %q. There are %s. For a brace itself write it twice.", "{"+name+"}", list()),
	}
}

// list returns the placeholders for people to read.
func list() string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = "{" + string(f) + "}"
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// has reports whether the template has a placeholder.
func (t Template) has(f Field) bool {
	for _, p := range t.parts {
		if p.field == f {
			return true
		}
	}
	return false
}

// fill returns the template with some placeholders replaced by the texts that they stand for.
func (t Template) fill(values map[Field]string) Template {
	var filled Template
	for _, p := range t.parts {
		if text, ok := values[p.field]; ok {
			p = part{text: text}
		}
		filled.parts = append(filled.parts, p)
	}
	return filled
}
