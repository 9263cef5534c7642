package job

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/podrunner/runner/core/internal/diag"
	"github.com/podrunner/runner/core/internal/suggest"
)

// maxJobFileBytes bounds a job file: what a job may hold, and room for its notation.
const maxJobFileBytes = 4 << 20

// defaultID is the id of a job whose file has none.
const defaultID = "1"

// Load reads a job file; the path "-" stands for stdin. See Parse.
func Load(path string, stdin io.Reader) (*Job, diag.Diagnostics) {
	name := path
	var data []byte
	var err error
	if path == "-" {
		name = "<stdin>"
		data, err = io.ReadAll(io.LimitReader(stdin, maxJobFileBytes+1))
	} else {
		data, err = readFile(path)
	}
	if err == nil {
		return Parse(name, data)
	}
	d := diag.Diagnostic{Summary: "Job file not readable", Range: diag.Range{File: &diag.File{Name: name}}}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	d.Detail = fmt.Sprintf("The job file could not be read: %v.", err)
	if errors.Is(err, syscall.EISDIR) {
		d.Detail = fmt.Sprintf("%s is a folder. Name the job file itself with -f.", path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		d.Summary = "No job file"
		d.Detail = fmt.Sprintf("There is no file %s. Name the job file with -f, or use -f - to read it from standard input.", path)
	}
	return nil, diag.Diagnostics{d}
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxJobFileBytes+1))
}

// Parse reads a job from YAML. The job is nil when there are errors. A number or a truth value where a text belongs is
// taken as it is written: `value: 007` is the text "007". The name is for the diagnostics, which are sorted and never
// show a variable's value.
func Parse(name string, data []byte) (*Job, diag.Diagnostics) {
	f := &jobFile{file: &diag.File{Name: name, Text: data}}
	if root := f.document(data); root != nil {
		f.text = newLines(data)
		f.hideValues(root)
		f.job(root)
	}
	if !f.diags.HasErrors() {
		f.check()
	}
	if f.diags.HasErrors() {
		return nil, f.diags.Sorted()
	}
	return &f.out, f.diags.Sorted()
}

// jobFile is a job file that is being read.
type jobFile struct {
	file  *diag.File
	text  lines
	out   Job
	diags diag.Diagnostics
	// nodes are where the parts of the job stand.
	nodes map[place]*yaml.Node
}

// fail adds an error at a node.
func (f *jobFile) fail(at *yaml.Node, summary, detail string) {
	f.diags = append(f.diags, diag.Diagnostic{Summary: summary, Detail: detail, Range: f.rng(at)})
}

// failFile adds an error about the file as a whole.
func (f *jobFile) failFile(summary, detail string) {
	f.diags = append(f.diags, diag.Diagnostic{Summary: summary, Detail: detail, Range: diag.Range{File: f.file}})
}

// document returns the root of the file's only document, or nil.
func (f *jobFile) document(data []byte) *yaml.Node {
	switch {
	case len(data) > maxJobFileBytes:
		f.failFile("Job file too large", fmt.Sprintf("A job file has at most %d MiB.", maxJobFileBytes>>20))
		return nil
	case !utf8.Valid(data):
		f.failFile("Not a text file", "A job file is YAML in UTF-8. Save the file in this encoding; binary contents of files can't be carried.")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, more yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) || err == nil && isNull(document.Content[0]) {
		f.failFile("Empty job file", "There is no job in it. A job has at least an image and commands.")
		return nil
	}
	if err == nil {
		err = decoder.Decode(&more)
		if err == nil {
			f.text = newLines(data)
			f.fail(&more, "Second document", "A job file holds one job. Put each job into a file of its own.")
			return nil
		}
	}
	if !errors.Is(err, io.EOF) {
		f.syntaxError(err)
		return nil
	}
	return document.Content[0]
}

// syntaxError reports what the YAML parser says, which knows a line at most. The line itself is not shown when the file
// has variables: it may be a part of a secret.
func (f *jobFile) syntaxError(err error) {
	problem := strings.TrimPrefix(err.Error(), "yaml: ")
	number := 1 // the parser does not name the first one
	if n, _ := fmt.Sscanf(problem, "line %d:", &number); n == 1 {
		_, problem, _ = strings.Cut(problem, ": ")
	}
	l, where := newLines(f.file.Text), " at this line or near it"
	switch {
	case strings.HasPrefix(problem, "unknown anchor"):
		number, where = l.with(unknownAlias(problem)), " at this line"
		problem = "an alias (*name) has no anchor (&name); a text that starts with * needs quotes"
	case strings.HasPrefix(problem, "did not find expected alphabetic"):
		problem = "a text that starts with * or & needs quotes"
	case strings.HasPrefix(problem, "control characters"):
		number, where = l.with(controlCharacter), " at this line"
		problem = "it has a control character, perhaps pasted from a terminal; in double quotes it can be written as \\xNN"
	}
	at := l.line(f.file, number)
	before := l.text[:at.Start.Byte]
	if strings.HasPrefix(problem, "found character that cannot start") && bytes.Contains(append([]byte("\n"), before...), []byte("\n\t")) {
		problem = "a line is indented with a tab, and YAML takes spaces only"
	}
	if variableWord.Match(f.file.Text) {
		f.file.Text = nil
	}
	f.diags = append(f.diags, diag.Diagnostic{
		Summary: "Not YAML",
		Detail:  fmt.Sprintf("The file is not valid YAML%s: %s.", where, problem),
		Range:   at,
	})
}

// variableWord is a word of variables, or of what people call them; their values may be anywhere around it.
var variableWord = regexp.MustCompile(`(?i)value|varia|env`)

// controlCharacter is what YAML takes nowhere.
var controlCharacter = regexp.MustCompile(`[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x{80}-\x{84}\x{86}-\x{9f}\x{fffe}\x{ffff}]`)

// unknownAlias finds the alias that the parser's problem, unknown anchor 'NAME' referenced, is about.
func unknownAlias(problem string) *regexp.Regexp {
	_, name, _ := strings.Cut(problem, "'")
	name, _, _ = strings.Cut(name, "'")
	return regexp.MustCompile(`\*` + regexp.QuoteMeta(name) + `([^A-Za-z0-9_-]|$)`)
}

// field takes the value of one field of a mapping.
type field struct {
	name string
	take func(*yaml.Node)
}

// mapping takes the fields of a mapping. what names the thing for people: "job", "variable".
func (f *jobFile) mapping(node *yaml.Node, what string, fields []field) {
	var known []string
	for _, x := range fields {
		known = append(known, x.name)
	}
	if node.Kind != yaml.MappingNode {
		f.fail(node, "Wrong type", fmt.Sprintf("A %s is a mapping with the fields %s.", what, strings.Join(known, ", ")))
		return
	}
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], resolve(node.Content[i+1])
		n := slices.Index(known, key.Value)
		switch {
		case key.Kind != yaml.ScalarNode || n < 0:
			f.unknownField(key, what, known)
		case first[key.Value] != nil:
			f.fail(key, "Field twice", fmt.Sprintf("The field %q stands at %s already. Remove one of them.", key.Value, f.rng(first[key.Value])))
		default:
			first[key.Value] = key
			fields[n].take(value)
		}
	}
}

func (f *jobFile) unknownField(key *yaml.Node, what string, known []string) {
	if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
		f.fail(key, "Unknown field", fmt.Sprintf("The fields of a %s have plain names: %s.", what, strings.Join(known, ", ")))
		return
	}
	hint := suggest.Hint(key.Value, known)
	if hint == "" {
		hint = " There are: " + strings.Join(known, ", ") + "."
	}
	f.fail(key, "Unknown field", fmt.Sprintf("A %s has no field %q.%s", what, key.Value, hint))
}

// job takes the whole file.
func (f *jobFile) job(root *yaml.Node) {
	f.nodes = map[place]*yaml.Node{}
	text := func(name string, dst *string) field {
		return field{name, func(n *yaml.Node) { f.nodes[place{name, -1, ""}] = n; f.str(n, name, dst) }}
	}
	commands := func(name string, dst *[]string) field {
		return field{name, func(n *yaml.Node) {
			f.list(n, name, "commands", func(i int, n *yaml.Node) {
				var command string
				f.str(n, "command", &command)
				*dst = append(*dst, command)
			})
		}}
	}
	f.mapping(root, "job", []field{
		text("id", &f.out.ID),
		text("image", &f.out.Image),
		commands("commands", &f.out.Commands),
		text("initImage", &f.out.InitImage),
		commands("initCommands", &f.out.InitCommands),
		{"variables", func(n *yaml.Node) { f.list(n, "variables", "variables", f.variable) }},
		{"files", func(n *yaml.Node) { f.list(n, "files", "files", f.fileEntry) }},
	})
	f.nodes[place{"", -1, ""}] = root
	if f.out.ID == "" {
		f.out.ID = defaultID
	}
}

// list takes the elements of a list. Null is the empty list.
func (f *jobFile) list(node *yaml.Node, name, of string, take func(int, *yaml.Node)) {
	f.nodes[place{name, -1, ""}] = node
	if isNull(node) {
		return
	}
	if node.Kind != yaml.SequenceNode {
		f.fail(node, "Wrong type", fmt.Sprintf("The field %q is a list of %s: write each with a dash before it.", name, of))
		return
	}
	for i, element := range node.Content {
		f.nodes[place{name, i, ""}] = element
		take(i, resolve(element))
	}
}

func (f *jobFile) variable(i int, node *yaml.Node) {
	var v Variable
	note := func(name string, n *yaml.Node) { f.nodes[place{"variables", i, name}] = n }
	f.mapping(node, "variable", []field{
		{"key", func(n *yaml.Node) { note("key", n); f.str(n, "key", &v.Key) }},
		{"value", func(n *yaml.Node) { note("value", n); f.str(n, "value", &v.Value) }},
		{"sensitive", func(n *yaml.Node) { f.truth(n, "sensitive", &v.Sensitive) }},
		{"scope", func(n *yaml.Node) { note("scope", n); f.str(n, "scope", (*string)(&v.Scope)) }},
	})
	f.out.Variables = append(f.out.Variables, v)
}

func (f *jobFile) fileEntry(i int, node *yaml.Node) {
	var entry File
	note := func(name string, n *yaml.Node) { f.nodes[place{"files", i, name}] = n }
	f.mapping(node, "file", []field{
		{"name", func(n *yaml.Node) { note("name", n); f.str(n, "name", &entry.Name) }},
		{"contents", func(n *yaml.Node) {
			var text string
			note("contents", n)
			f.str(n, "contents", &text)
			entry.Contents = []byte(text)
		}},
	})
	f.out.Files = append(f.out.Files, entry)
}

// textTags are the scalars that are taken as their text.
var textTags = []string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}

// str takes a text. Null is the empty text.
func (f *jobFile) str(node *yaml.Node, name string, dst *string) {
	switch {
	case isNull(node):
		*dst = ""
	case node.Kind == yaml.ScalarNode && slices.Contains(textTags, node.ShortTag()):
		*dst = node.Value
	default:
		f.fail(node, "Wrong type", fmt.Sprintf("The %s is a text.%s", name, quotesHelp(node)))
	}
}

// quotesHelp says how a text that looks like something else to YAML is written.
func quotesHelp(node *yaml.Node) string {
	if node.Kind == yaml.MappingNode || node.Kind == yaml.SequenceNode {
		return " One that holds \": \", or starts with a bracket, a brace or a dash, needs quotes around it."
	}
	return " Tags (!name) have no meaning here; a text that starts with ! needs quotes around it."
}

// truths are the words for true and false, those of older YAML too: a secret must not pass as none for a `yes`.
var truths = map[string]bool{"true": true, "yes": true, "on": true, "false": false, "no": false, "off": false}

func (f *jobFile) truth(node *yaml.Node, name string, dst *bool) {
	value, ok := truths[strings.ToLower(node.Value)]
	if node.Kind != yaml.ScalarNode || !ok {
		f.fail(node, "Wrong type", fmt.Sprintf("The field %q is true or false.", name))
		return
	}
	*dst = value
}

// check reports what is wrong with the job that the file describes.
func (f *jobFile) check() {
	for _, p := range f.out.problems() {
		d := diag.Diagnostic{Summary: p.summary, Detail: p.detail, Range: f.rng(f.nodeAt(p.at))}
		if p.warning {
			d.Severity = diag.Warning
		}
		f.diags = append(f.diags, d)
	}
}

// nodeAt returns the node of a place, or the nearest one around it when the place is absent from the file.
func (f *jobFile) nodeAt(at place) *yaml.Node {
	for _, p := range []place{at, {at.field, at.index, ""}, {at.field, -1, ""}, {"", -1, ""}} {
		if n := f.nodes[p]; n != nil {
			return n
		}
	}
	return nil
}

// resolve returns what an alias stands for. The fields of a job are at most four levels deep, and this is called once
// for each, so an alias of itself leads nowhere but to a wrong type.
func resolve(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode && node.Alias != nil {
		node = node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}
