// Package migrate makes a runner.hcl of what OpsLevel Runner, "the seed", was configured by: its file opslevel.yaml, its
// command line, and the environment. It reads no file and no environment of its own accord, and writes none.
//
// What the seed's environment could override is written as env(), so the result says the same in every environment, and
// holds no secret. A value that the result would not take is refused with the place that it comes from.
package migrate

import (
	"slices"

	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/diag"
)

// Inputs are what the seed was configured by.
type Inputs struct {
	// File is the text of opslevel.yaml; nil when there is none.
	File *diag.File
	// Line is the seed's command line, as ParseLine returns it; nil when there is none.
	Line *Line
	// Getenv returns a variable of the environment, "" for one that is not set. Of all but OPSLEVEL_MODE only whether it
	// is set counts. nil stands for an empty environment.
	Getenv func(string) string
}

// Migrate returns the text of a runner.hcl, and warnings of what has no meaning any more or another one. The text is nil
// when there are errors.
func Migrate(in Inputs) ([]byte, diag.Diagnostics) {
	if in.Getenv == nil {
		in.Getenv = func(string) string { return "" }
	}
	m := &migration{in: in, values: map[string]*value{}}
	m.read()
	if !m.diags.HasErrors() {
		m.write()
		m.check()
	}
	diags := m.diags.Sorted()
	if diags.HasErrors() {
		return nil, diags
	}
	return m.text(diags), diags
}

// migration is one of them under way.
type migration struct {
	in     Inputs
	values map[string]*value
	pod    podFile
	mode   string
	doc    document
	diags  diag.Diagnostics
}

func (m *migration) fail(at diag.Range, summary, detail string) {
	m.diags = append(m.diags, diag.Diagnostic{Summary: summary, Detail: detail, Range: at})
}

func (m *migration) warn(at diag.Range, summary, detail string) {
	m.diags = append(m.diags, diag.Diagnostic{Severity: diag.Warning, Summary: summary, Detail: detail, Range: at})
}

// read collects the values and says what has none.
func (m *migration) read() {
	for _, f := range options {
		m.values[f.name] = &value{option: f}
	}
	if m.in.File != nil {
		m.readFile(m.in.File)
	}
	if m.in.Line != nil {
		for name, g := range m.in.Line.given {
			m.values[name].line = g
		}
	}
	for _, f := range options {
		v := m.values[f.name]
		v.check(m)
		for _, name := range f.env {
			if m.in.Getenv(name) != "" {
				v.variables = append(v.variables, name)
			}
		}
	}
	m.readMode()
	m.unread()
}

// check has the result checked as core will, but with the values that the files say rather than those of some
// environment, and gives what is wrong the place of the value that it comes from.
func (m *migration) check() {
	_, diags := config.Parse("runner.hcl", m.doc.plain())
	for _, d := range diags {
		if d.Severity != diag.Error {
			continue
		}
		if at := m.doc.origin(d.Range.Start.Line); at != (diag.Range{}) {
			d.Range = at
		}
		m.diags = append(m.diags, d)
	}
}

// text returns the result, in the format of `core fmt`.
func (m *migration) text(diags diag.Diagnostics) []byte {
	head := document{}
	m.head(&head, diags)
	return hclwrite.Format(slices.Concat(head.bytes(), m.doc.bytes()))
}
