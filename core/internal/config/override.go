package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/podrunner/runner/core/internal/diag"
)

// Override is a value from the command line that stands in place of one of the file: --set kubernetes.namespace=jobs.
type Override struct {
	// name leads to the value through the blocks of the file; steps are its parts.
	name  string
	steps []step
	// value is as it was typed. It may be secret, so no diagnostic holds it.
	value string
}

// step is a part of an override's name: a block's type or label, an argument, a key, a position.
type step struct {
	name string
	// rest is the name from this part on. A key of a map may have dots in it, and so is all that is left.
	rest string
	// index is the position in [0]; -1 when there is none.
	index int
}

// ParseOverride takes an override apart: a name, an equals sign, a value. Its errors do not hold the text, which may be
// secret in any part when it is no override.
func ParseOverride(text string) (Override, error) {
	name, value, found := strings.Cut(text, "=")
	o := Override{name: strings.TrimSpace(name), value: strings.ToValidUTF8(value, "\uFFFD")}
	if !found || o.name == "" {
		return o, errors.New("--set takes a name, an equals sign and a value, as in --set kubernetes.namespace=jobs, and one of those given has no name or no equals sign")
	}
	for rest := o.name; rest != ""; {
		s, after, ok := cutStep(rest)
		if !ok {
			return o, fmt.Errorf("--set %s: this is no name of a value. Its parts have dots between them, as in pipeline.default.executor; a part with a dot in it is written [\"a.b\"]", o.name)
		}
		o.steps = append(o.steps, s)
		rest = after
	}
	return o, nil
}

// cutStep returns the first part of a name and what follows it.
func cutStep(text string) (step, string, bool) {
	s := step{rest: text, index: -1}
	if key, after, ok := cutKey(text); ok {
		s.name = key
		return endStep(s, after)
	}
	end := strings.IndexAny(text, `.["`)
	if end < 0 {
		end = len(text)
	}
	s.name = text[:end]
	var after string
	if after = text[end:]; strings.HasPrefix(after, "[") && !strings.HasPrefix(after, `["`) {
		position, behind, closed := strings.Cut(after[1:], "]")
		n, err := strconv.ParseUint(position, 10, 16)
		if !closed || err != nil {
			return s, "", false
		}
		s.index, after = int(n), behind
	}
	if s.name == "" {
		return s, "", false
	}
	return endStep(s, after)
}

// cutKey takes a key in quotes, with or without brackets.
func cutKey(text string) (key, after string, ok bool) {
	for _, quotes := range [][2]string{{`["`, `"]`}, {`"`, `"`}} {
		if inner, found := strings.CutPrefix(text, quotes[0]); found {
			return strings.Cut(inner, quotes[1])
		}
	}
	return "", "", false
}

// endStep takes the dot between a part and the next one; none stands before a bracket.
func endStep(s step, after string) (step, string, bool) {
	if next, dotted := strings.CutPrefix(after, "."); dotted {
		return s, next, next != ""
	}
	return s, after, after == "" || strings.HasPrefix(after, `["`)
}

// file returns the file that diagnostics name in place of a real one. It has no text, so nothing of it is shown.
func (o Override) file() *diag.File { return &diag.File{Name: "--set " + o.name} }

// at is the place of an override in a diagnostic.
func (o Override) at() hcl.Range { return hcl.Range{Filename: o.file().Name} }

// expression returns the value as an expression. Most are plain texts, which become numbers, truths, durations where
// these belong; a list or a map is looked for only where one can be (structured), as a regular expression may look like a
// list.
func (s *source) expression(o Override, structured bool) (hclsyntax.Expression, diag.Diagnostics) {
	if !s.writtenAsExpression(strings.TrimSpace(o.value), structured) {
		return &hclsyntax.LiteralValueExpr{Val: cty.StringVal(o.value), SrcRange: o.at()}, nil
	}
	nothing := &hclsyntax.LiteralValueExpr{Val: cty.NullVal(cty.DynamicPseudoType), SrcRange: o.at()}
	text := []byte(o.value)
	if _, rule := tooDeep(text, o.at().Filename); rule != "" {
		return nothing, diag.Diagnostics{s.errorAt(o.at(), "Nested too deeply", rule)}
	}
	expr, diags := hclsyntax.ParseExpression(text, o.at().Filename, hcl.InitialPos)
	if diags.HasErrors() {
		return nothing, distinct(s.convert(diags))
	}
	return expr, nil
}

// writtenAsExpression reports whether a value is meant as an expression: null, a text in quotes, a call of a function that
// there is, a local that there is, and, where one can be, a list or a map.
func (s *source) writtenAsExpression(text string, structured bool) bool {
	if text == "null" || strings.HasPrefix(text, `"`) {
		return true
	}
	if structured && (strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{")) {
		return true
	}
	if name, _, called := strings.Cut(text, "("); called {
		_, known := s.scope.functions[strings.TrimSpace(name)]
		return known
	}
	name, isLocal := strings.CutPrefix(text, "local.")
	return isLocal && s.scope.locals[name] != nil
}
