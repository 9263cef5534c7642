package migrate

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v3"

	"github.com/podrunner/runner/core/internal/diag"
	"github.com/podrunner/runner/core/internal/suggest"
)

// podSection is the key of the file that holds the settings of pods.
const podSection = "kubernetes"

// readFile takes opslevel.yaml apart: the flags' names at the top level, whatever the case of their letters, and the
// section with the settings of pods.
func (m *migration) readFile(f *diag.File) {
	var document yaml.Node
	err := yaml.NewDecoder(strings.NewReader(string(f.Text))).Decode(&document)
	switch {
	case errors.Is(err, io.EOF):
		return
	case err != nil:
		m.fail(errorAt(f, err), "Not YAML", "The file can't be read: "+reasonOf(err)+".")
		return
	case len(document.Content) == 0:
		return
	}
	root := follow(document.Content[0])
	if isNull(root) {
		return
	}
	if root.Kind != yaml.MappingNode {
		m.fail(nodeAt(f, root), "Not a mapping", "The file of opslevel-runner holds a name and a value on each line, such as job-concurrency: 5.")
		return
	}
	for _, p := range m.pairs(f, root) {
		name := strings.ToLower(p.key.Value)
		switch {
		case name == podSection:
			m.readPod(f, p.value)
		case m.values[name] != nil && name != "config":
			m.values[name].file = m.fileValue(f, p, m.values[name].option)
		default:
			hide(f, p.value)
			m.warn(nodeAt(f, p.key), "Unknown key", fmt.Sprintf("opslevel-runner passed over %q, and so does this.%s",
				p.key.Value, suggest.Hint(p.key.Value, append(names(), podSection))))
		}
	}
}

// fileValue returns what the file says of a flag; nil when it says nothing.
func (m *migration) fileValue(f *diag.File, p pair, of option) *given {
	if of.name == "api-token" || of.name == "api-url" && strings.Contains(p.value.Value, "@") {
		hide(f, p.value)
	}
	g := &given{text: p.value.Value, at: nodeAt(f, p.value)}
	switch {
	case isNull(p.value):
		return nil
	case of.kind == texts && p.value.Kind == yaml.SequenceNode:
		for _, element := range p.value.Content {
			element = follow(element)
			if element.Kind != yaml.ScalarNode {
				m.fail(nodeAt(f, element), "Wrong value", fmt.Sprintf("%q takes a list of texts.", of.name))
			}
			g.list = append(g.list, element.Value)
		}
		return g
	case p.value.Kind != yaml.ScalarNode:
		m.fail(g.at, "Wrong value", fmt.Sprintf("%q takes a single value.", of.name))
		return nil
	case of.kind == texts:
		g.list = strings.Fields(g.text)
	}
	return g
}

// pair is a key of a mapping and its value.
type pair struct{ key, value *yaml.Node }

// pairs returns the pairs of a mapping, those that it merges by << among them. A name that is there twice, whatever the
// case of its letters, is an error.
func (m *migration) pairs(f *diag.File, node *yaml.Node, within ...*yaml.Node) []pair {
	var out, merged []pair
	within = append(within, node)
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], follow(node.Content[i+1])
		name := strings.ToLower(key.Value)
		switch {
		case key.Tag == "!!merge":
			from := []*yaml.Node{value}
			if value.Kind == yaml.SequenceNode {
				from = value.Content
			}
			for _, one := range from {
				// One that merges itself has no end.
				if one = follow(one); one.Kind == yaml.MappingNode && !slices.Contains(within, one) {
					merged = append(merged, m.pairs(f, one, within...)...)
				}
			}
			continue
		case seen[name]:
			m.fail(nodeAt(f, key), "Key set twice", fmt.Sprintf("%q is in this mapping already. Remove one of the two.", key.Value))
			continue
		}
		seen[name] = true
		out = append(out, pair{key, value})
	}
	for _, p := range merged {
		if name := strings.ToLower(p.key.Value); !seen[name] {
			seen[name] = true
			out = append(out, p)
		}
	}
	return out
}

// maxAliases bounds how far an alias of an alias is followed.
const maxAliases = 100

// follow returns the node that an alias stands for.
func follow(node *yaml.Node) *yaml.Node {
	for range maxAliases {
		if node.Kind != yaml.AliasNode {
			break
		}
		node = node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

// yesWords are the truths of YAML 1.1, which the seed's reader of the section kubernetes knew.
var yesWords = map[string]bool{"y": true, "yes": true, "on": true, "n": false, "no": false, "off": false}

// truth returns the text of a truth, or the value as it is.
func truth(node *yaml.Node) string {
	word := strings.ToLower(node.Value)
	if yes, ok := yesWords[word]; ok && node.Style == 0 {
		return strconv.FormatBool(yes)
	}
	return word
}

// nodeAt returns the place of a node.
func nodeAt(f *diag.File, node *yaml.Node) diag.Range {
	start := diag.Pos{Line: node.Line, Column: node.Column, Byte: offset(f.Text, node.Line, node.Column)}
	end := start
	if node.Kind == yaml.ScalarNode {
		text := node.Value
		if node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			text = "'" + text + "'"
		}
		end.Column += utf8.RuneCountInString(text)
		end.Byte = min(end.Byte+len(text), len(f.Text))
	}
	return diag.Range{File: f, Start: start, End: end}
}

// offset returns the byte at a line and a column, both counted from 1, the column in characters.
func offset(text []byte, line, column int) int {
	at := 0
	for ; line > 1 && at < len(text); at++ {
		if text[at] == '\n' {
			line--
		}
	}
	for ; column > 1 && at < len(text); column-- {
		_, size := utf8.DecodeRune(text[at:])
		at += size
	}
	return at
}

// hide keeps a value, and all lines of it, out of what is printed.
func hide(f *diag.File, node *yaml.Node) {
	from := offset(f.Text, node.Line, node.Column)
	to := offset(f.Text, lastLine(node)+1, 1)
	if node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		to = offset(f.Text, node.Line+2+strings.Count(node.Value, "\n"), 1)
	}
	f.Hide(from, to)
}

// lastLine returns the last line on which a part of a node begins.
func lastLine(node *yaml.Node) int {
	last := node.Line
	for _, inner := range node.Content {
		last = max(last, lastLine(inner))
	}
	return last
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

// errorAt returns the place of an error of the parser.
func errorAt(f *diag.File, err error) diag.Range {
	found := yamlLine.FindStringSubmatch(err.Error())
	n, parseErr := strconv.Atoi(found[1])
	if parseErr != nil {
		return diag.Range{File: f}
	}
	// No text: what does not parse may be a secret anywhere.
	return diag.Range{File: &diag.File{Name: f.Name}, Start: diag.Pos{Line: n, Column: 1, Byte: 1}, End: diag.Pos{Line: n, Column: 1, Byte: 1}}
}

func reasonOf(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(text, yamlLine.FindString(text))
}
