package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/podrunner/runner/core/internal/diag"
)

// source is a configuration file with what its expressions can refer to.
type source struct {
	file  *diag.File
	scope *scope
	// overrides are the files that diagnostics name for overrides, by the names that ranges have.
	overrides map[string]*diag.File
}

// rng turns a range of package hcl into one that can be printed.
func (s *source) rng(r hcl.Range) diag.Range {
	if override := s.overrides[r.Filename]; override != nil {
		return diag.Range{File: override}
	}
	if s.file == nil {
		return diag.Range{}
	}
	return diag.Range{File: s.file, Start: diag.Pos(r.Start), End: diag.Pos(r.End)}
}

// errorAt returns an error diagnostic.
func (s *source) errorAt(r hcl.Range, summary, detail string) diag.Diagnostic {
	return diag.Diagnostic{Severity: diag.Error, Summary: summary, Detail: detail, Range: s.rng(r)}
}

// warningAt returns a warning diagnostic.
func (s *source) warningAt(r hcl.Range, summary, detail string) diag.Diagnostic {
	return diag.Diagnostic{Severity: diag.Warning, Summary: summary, Detail: detail, Range: s.rng(r)}
}

// convert takes over diagnostics of package hcl, without the expressions and values that they carry: nothing that came
// out of the environment or a file may be printed.
func (s *source) convert(in hcl.Diagnostics) diag.Diagnostics {
	var out diag.Diagnostics
	for _, d := range in {
		x := diag.Diagnostic{Summary: d.Summary, Detail: d.Detail}
		if d.Severity == hcl.DiagWarning {
			x.Severity = diag.Warning
		}
		if d.Subject != nil {
			x.Range = s.rng(*d.Subject)
		}
		if call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d); ok {
			var own *callError
			if errors.As(call.FunctionCallError(), &own) {
				x.Summary, x.Detail = own.summary, own.detail
			}
		}
		if call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallUnknownDiagExtra](d); ok {
			known := slices.Collect(maps.Keys(s.scope.functions))
			name := call.CalledFunctionNamespace() + call.CalledFunctionName()
			x.Summary = "Unknown function"
			x.Detail = fmt.Sprintf("There is no function called %q.%s", name, suggestOr(name, known, listNames(known)))
		}
		x.Detail = s.scope.mask(x.Detail, nil)
		out = append(out, x)
	}
	return out
}

// eval returns the value of an expression and diagnostics, as scope.eval does.
func (s *source) eval(expr hclsyntax.Expression) (value, bool) {
	v, diags := s.scope.eval(expr)
	return value{Value: v, expr: expr, diags: s.convert(diags)}, !diags.HasErrors() && v.IsWhollyKnown()
}

// minMasked is the least length of a value that mask looks for. Shorter ones would hit words by chance, and are no
// secrets.
const minMasked = 4

// mask takes values that came from the environment, from files or out of secrets out of a text.
func (s *scope) mask(text string, secrets []string) string {
	s.mu.Lock()
	values := append(slices.Clone(secrets), s.read...)
	s.mu.Unlock()
	// Longest first: a value may hold another one.
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	for _, v := range values {
		if len(v) >= minMasked {
			text = strings.ReplaceAll(text, v, "(hidden)")
		}
	}
	return text
}
