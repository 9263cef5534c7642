package job

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/podrunner/runner/core/internal/diag"
)

// lines knows where the lines of a YAML text start. The parser tells places as line and column and never where
// something ends.
type lines struct {
	text   []byte
	starts []int
}

// breaks are what YAML takes for the end of a line; the two that belong together come first.
var breaks = [][]byte{[]byte("\r\n"), []byte("\n"), []byte("\r"), []byte("\u0085"), []byte("\u2028"), []byte("\u2029")}

func newLines(text []byte) lines {
	l := lines{text: text, starts: []int{0}}
	for i := 0; i < len(text); {
		n := 0
		if c := text[i]; c > '\r' && c < utf8.RuneSelf {
			i++ // most bytes begin no line end
			continue
		}
		for _, b := range breaks {
			if bytes.HasPrefix(text[i:], b) {
				n = len(b)
				break
			}
		}
		if n == 0 {
			i++
			continue
		}
		i += n
		l.starts = append(l.starts, i)
	}
	return l
}

// with returns the number of the first line that has a match, from 1; 1 when none has.
func (l lines) with(what *regexp.Regexp) int {
	at := what.FindIndex(l.text)
	if at == nil {
		return 1
	}
	number, found := slices.BinarySearch(l.starts, at[0])
	if found {
		number++
	}
	return number
}

// offset returns the byte at a line and column, both from 1, as far as the text goes.
func (l lines) offset(line, column int) int {
	if line < 1 || line > len(l.starts) {
		return len(l.text)
	}
	at := l.starts[line-1]
	for range column - 1 {
		if at >= len(l.text) {
			break
		}
		_, size := utf8.DecodeRune(l.text[at:])
		at += size
	}
	return at
}

// end returns the end of a line, without its line end.
func (l lines) end(line int) int {
	if line >= len(l.starts) {
		return len(l.text)
	}
	text := l.text[:l.starts[line]]
	for _, b := range breaks {
		if bytes.HasSuffix(text, b) {
			return len(text) - len(b)
		}
	}
	return len(text)
}

// line returns the range of a whole line, without the spaces before and after it.
func (l lines) line(file *diag.File, number int) diag.Range {
	number = min(number, len(l.starts))
	start, end := l.starts[number-1], l.end(number)
	text := l.text[start:end]
	column := len(text) - len(bytes.TrimLeft(text, " \t"))
	length := len(bytes.TrimSpace(text))
	return diag.Range{
		File:  file,
		Start: diag.Pos{Line: number, Column: column + 1, Byte: start + column},
		End:   diag.Pos{Line: number, Column: column + 1 + utf8.RuneCount(text[column:column+length]), Byte: start + column + length},
	}
}

// rng returns the range of a node: of a scalar of one line the whole, of anything else its first character.
func (f *jobFile) rng(node *yaml.Node) diag.Range {
	if node == nil || node.Line == 0 {
		return diag.Range{File: f.file}
	}
	start := f.text.offset(node.Line, node.Column)
	width := 1
	if node.Kind == yaml.ScalarNode && node.Style == 0 && bytes.HasPrefix(f.text.text[start:], []byte(node.Value)) {
		width = max(1, len(node.Value))
	}
	if node.Kind == yaml.ScalarNode && node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		if quoted := f.text.text[start:]; len(quoted) >= len(node.Value)+2 && bytes.HasPrefix(quoted[1:], []byte(node.Value)) {
			width = len(node.Value) + 2
		}
	}
	end := min(start+width, len(f.text.text))
	columns := utf8.RuneCount(f.text.text[start:end])
	return diag.Range{
		File:  f.file,
		Start: diag.Pos{Line: node.Line, Column: node.Column, Byte: start},
		End:   diag.Pos{Line: node.Line, Column: node.Column + columns, Byte: end},
	}
}

// shownFields are the fields of a variable that may be printed.
var shownFields = []string{"key", "sensitive", "scope"}

// hideValues keeps the values of variables out of snippets, whether they are sensitive or not: a slip in the word
// `sensitive` must not show a secret. What stands in unknown fields is hidden, too; it may be variables.
func (f *jobFile) hideValues(root *yaml.Node) {
	var all, hidden []*yaml.Node
	walk(root, func(n *yaml.Node) { all = append(all, n) })
	hide := func(n *yaml.Node) { walk(n, func(n *yaml.Node) { hidden = append(hidden, n) }) }
	for key, value := range pairs(root) {
		switch key.Value {
		case "id", "image", "commands", "initImage", "initCommands", "files":
		case "variables":
			f.hideVariables(value, hide)
		default:
			hide(value)
		}
	}
	slices.SortFunc(all, func(a, b *yaml.Node) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	for _, n := range hidden {
		if n.Kind == yaml.ScalarNode {
			f.file.Hide(f.text.offset(n.Line, n.Column), f.endOf(n, all))
		}
	}
}

func (f *jobFile) hideVariables(list *yaml.Node, hide func(*yaml.Node)) {
	if list.Kind != yaml.SequenceNode {
		hide(list)
		return
	}
	for _, variable := range list.Content {
		variable = resolve(variable)
		if variable.Kind != yaml.MappingNode {
			hide(variable)
		}
		for key, value := range pairs(variable) {
			if !slices.Contains(shownFields, key.Value) {
				hide(value)
			}
		}
	}
}

// endOf returns an offset that a scalar does not reach beyond: the next node if that is in the same line, else the end
// of the line before the next node's. all are the nodes of the file in their order.
func (f *jobFile) endOf(n *yaml.Node, all []*yaml.Node) int {
	i, _ := slices.BinarySearchFunc(all, n, func(a, b *yaml.Node) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	for ; i < len(all); i++ {
		next := all[i]
		switch {
		case next.Line == n.Line && next.Column > n.Column:
			end := f.text.offset(next.Line, next.Column)
			start := f.text.offset(n.Line, n.Column)
			return start + len(bytes.TrimRight(f.text.text[start:end], " ,"))
		case next.Line > n.Line:
			return f.text.end(next.Line - 1)
		}
	}
	return len(f.text.text)
}

// pairs calls yield with the keys and values of a mapping, aliases resolved.
func pairs(node *yaml.Node) func(func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if node.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if !yield(node.Content[i], resolve(node.Content[i+1])) {
				return
			}
		}
	}
}

// walk calls visit with a node and all below it. It does not follow aliases: what they stand for is in the file
// elsewhere, and may hold the alias itself.
func walk(node *yaml.Node, visit func(*yaml.Node)) {
	visit(node)
	for _, child := range node.Content {
		walk(child, visit)
	}
}
