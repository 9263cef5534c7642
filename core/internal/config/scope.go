package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/podrunner/runner/core/internal/suggest"
)

// scope is what an expression of one file can refer to: functions and locals. A local is evaluated when an expression
// needs it and not before, so that what nobody uses asks for no environment variable.
type scope struct {
	mu        sync.Mutex
	functions map[string]function.Function
	locals    map[string]*local
	// read are the values that came from the environment and from files. They are kept out of diagnostics.
	read []string
}

// local is an attribute of a `locals` block.
type local struct {
	attr  *hclsyntax.Attribute
	state localState
	value cty.Value
}

type localState int

const (
	localUntouched localState = iota
	// localBroken: its diagnostics have been handed out; who uses it has nothing to add.
	localBroken
	localDone
)

// newScope returns a scope with no locals. Relative paths start at dir.
func newScope(dir string) *scope {
	s := &scope{locals: map[string]*local{}}
	s.functions = map[string]function.Function{
		"env":      s.envFunction(),
		"file":     s.fileFunction(dir),
		"hostname": hostnameFunction,
	}
	return s
}

// eval returns the value of an expression. Where it can't, the value is unknown, and there are diagnostics unless an
// earlier call has returned them.
func (s *scope) eval(expr hclsyntax.Expression) (cty.Value, hcl.Diagnostics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.evalLocked(expr)
}

func (s *scope) evalLocked(expr hclsyntax.Expression) (cty.Value, hcl.Diagnostics) {
	names, diags := s.references(expr)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	values := map[string]cty.Value{}
	for _, name := range names {
		value, more := s.localValue(name)
		diags = append(diags, more...)
		values[name] = value
		if s.locals[name].state == localBroken {
			return cty.DynamicVal, diags
		}
	}
	value, more := expr.Value(&hcl.EvalContext{
		Variables: map[string]cty.Value{"local": cty.ObjectVal(values)},
		Functions: s.functions,
	})
	diags = append(diags, more...)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return value, diags
}

// localValue evaluates a local at its first use. There is no cycle: checkLocals has broken those.
func (s *scope) localValue(name string) (cty.Value, hcl.Diagnostics) {
	l := s.locals[name]
	if l.state != localUntouched {
		return l.value, nil
	}
	l.state, l.value = localBroken, cty.DynamicVal
	value, diags := s.evalLocked(l.attr.Expr)
	if !diags.HasErrors() && value.IsWhollyKnown() {
		l.state, l.value = localDone, value
	}
	return l.value, diags
}

// references returns the names of the locals that an expression needs, and says which of its variables do not exist.
func (s *scope) references(expr hclsyntax.Expression) ([]string, hcl.Diagnostics) {
	var names []string
	var diags hcl.Diagnostics
	known := sync.OnceValue(func() []string { return slices.Sorted(maps.Keys(s.locals)) })
	for _, traversal := range expr.Variables() {
		if traversal.RootName() != "local" {
			diags = append(diags, unknownVariable(traversal, known()))
			continue
		}
		name, at, ok := localName(traversal)
		if !ok {
			names = append(names, known()...) // `local` as a whole, or an index that only evaluation can tell
			continue
		}
		if s.locals[name] == nil {
			diags = append(diags, &hcl.Diagnostic{
				Severity: hcl.DiagError,
				Summary:  "Unknown local",
				Detail:   fmt.Sprintf("There is no local value called %q.%s", name, suggestOr(name, known(), " Define it in a locals block.")),
				Subject:  at.Ptr(),
			})
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), diags
}

// needs returns the expressions of the locals that an expression refers to.
func (s *scope) needs(expr hclsyntax.Expression) []hclsyntax.Expression {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, _ := s.references(expr)
	var out []hclsyntax.Expression
	for _, name := range names {
		out = append(out, s.locals[name].attr.Expr)
	}
	return out
}

// localName returns the name in local.name or local["name"], and its place.
func localName(traversal hcl.Traversal) (string, hcl.Range, bool) {
	if len(traversal) < 2 {
		return "", hcl.Range{}, false
	}
	switch step := traversal[1].(type) {
	case hcl.TraverseAttr:
		return step.Name, step.SrcRange, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
			return step.Key.AsString(), step.SrcRange, true
		}
	}
	return "", hcl.Range{}, false
}

func unknownVariable(traversal hcl.Traversal, locals []string) *hcl.Diagnostic {
	name := traversal.RootName()
	detail := fmt.Sprintf("There is no value called %q here. A text stands in double quotes; a local value is written local.name.", name)
	if slices.Contains(locals, name) {
		detail = fmt.Sprintf("There is no value called %q here. Did you mean local.%s?", name, name)
	}
	return &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  "Unknown value",
		Detail:   detail,
		Subject:  traversal[0].SourceRange().Ptr(),
	}
}

// checkLocals finds locals that need what does not exist, or themselves, and breaks them; of a circle it says so once.
func (s *scope) checkLocals() hcl.Diagnostics {
	var diags hcl.Diagnostics
	done := map[string]bool{}
	var path []string
	var visit func(name string)
	visit = func(name string) {
		if i := slices.Index(path, name); i >= 0 {
			diags = append(diags, s.circle(path[i:]))
			return
		}
		if done[name] {
			return
		}
		path = append(path, name)
		names, more := s.references(s.locals[name].attr.Expr)
		if more.HasErrors() {
			s.locals[name].state, s.locals[name].value = localBroken, cty.DynamicVal
			diags = append(diags, more...)
		}
		for _, next := range names {
			visit(next)
		}
		path = path[:len(path)-1]
		done[name] = true
	}
	for _, name := range s.localsInOrder() {
		visit(name)
	}
	return diags
}

// circle breaks the locals of a circle and returns its diagnostic.
func (s *scope) circle(names []string) *hcl.Diagnostic {
	for _, name := range names {
		s.locals[name].state, s.locals[name].value = localBroken, cty.DynamicVal
	}
	arrows := strings.Join(append(slices.Clone(names), names[0]), " -> ")
	return &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  "Locals in a circle",
		Detail:   fmt.Sprintf("A local value can't need itself: %s. Give one of them a value that does not refer to the others.", arrows),
		Subject:  s.locals[names[0]].attr.NameRange.Ptr(),
	}
}

// localsInOrder returns the names of the locals in the order of the file.
func (s *scope) localsInOrder() []string {
	return slices.SortedFunc(maps.Keys(s.locals), func(a, b string) int {
		return s.locals[a].attr.SrcRange.Start.Byte - s.locals[b].attr.SrcRange.Start.Byte
	})
}

// evalLocals evaluates every local, also those that nobody uses.
func (s *scope) evalLocals() hcl.Diagnostics {
	s.mu.Lock()
	defer s.mu.Unlock()
	var diags hcl.Diagnostics
	for _, name := range s.localsInOrder() {
		_, more := s.localValue(name)
		diags = append(diags, more...)
	}
	return diags
}

// suggestOr returns a hint at the candidate that name may stand for, or otherwise.
func suggestOr(name string, candidates []string, otherwise string) string {
	if hint := suggest.Hint(name, candidates); hint != "" {
		return hint
	}
	return otherwise
}
