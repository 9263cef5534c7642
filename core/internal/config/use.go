package config

import (
	"encoding/json"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/podrunner/runner/core/internal/diag"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// Use is the use of a plugin in a pipeline: the plugin's name and the block `config {}` that is meant for it. Decode
// and Locate of one Use are for one goroutine; those of several Uses of one file are not to run at the same time, as
// they note in the file what may not be printed.
type Use struct {
	Name string
	// Range is the header of the block that uses the plugin.
	Range diag.Range

	source *source
	// body is what stands in config {}; nil when there is no such block.
	body *hclsyntax.Body
	// header is that of config {}, or of the block around it.
	header hcl.Range
	// overrides stand in place of values in config {}; Decode puts them in.
	overrides []Override
	// secrets are the values of sensitive attributes; Decode sets them.
	secrets []string
}

// Decode checks the plugin's configuration against the plugin's schema and returns it as JSON, as in ValidateRequest.
// Attributes that are absent stay absent, their defaults are the plugin's affair. The JSON is nil when there are errors.
func (u *Use) Decode(schema *pluginv1.Schema) ([]byte, diag.Diagnostics) {
	d := decoder{source: u.source}
	body := u.body
	if body == nil {
		body = &hclsyntax.Body{}
	}
	if len(u.overrides) > 0 {
		w := overriding{source: u.source}
		body = w.config(body, schema, u.overrides)
		u.body, u.overrides, d.diags = body, nil, w.diags
	}
	values := d.body(body, schema, u.header)
	u.secrets = d.secrets
	if d.diags.HasErrors() {
		return nil, d.diags.Sorted()
	}
	out, err := json.Marshal(values)
	if err != nil {
		// Values are texts, numbers, and lists and maps of them; this can't be, and must not be silent if it is.
		d.add(u.source.errorAt(u.header, "Configuration not encodable", fmt.Sprintf("It could not be encoded as JSON: %v.", err)))
		return nil, d.diags.Sorted()
	}
	return out, d.diags.Sorted()
}

// Secrets returns the values of sensitive arguments, those of lists and maps one by one. Call it after Decode, of which
// errors are no hindrance: what could be read of them is there.
func (u *Use) Secrets() []string { return u.secrets }

// Locate gives the diagnostics that a plugin has made of this configuration their places in the file, and takes the
// values out of them that must not be printed. Call it after Decode.
func (u *Use) Locate(in []*pluginv1.Diagnostic) diag.Diagnostics {
	var out diag.Diagnostics
	for _, d := range in {
		x := diag.Diagnostic{
			Severity: diag.Error,
			Summary:  u.source.scope.mask(d.GetSummary(), u.secrets),
			Detail:   u.source.scope.mask(d.GetDetail(), u.secrets),
			Range:    u.source.rng(u.locate(d.GetPath().GetSteps())),
		}
		if d.GetSeverity() == pluginv1.Severity_SEVERITY_WARNING {
			x.Severity = diag.Warning
		}
		out = append(out, x)
	}
	return out.Sorted()
}

// locate returns the deepest place that a path leads to: an element inside the expression of an attribute, the
// attribute's value, or, when what it names is absent, the header of the block where it could stand.
func (u *Use) locate(steps []*pluginv1.Path_Step) hcl.Range {
	body, at := u.body, u.header
	for body != nil && len(steps) > 0 {
		name := steps[0].GetName()
		if attr := body.Attributes[name]; attr != nil {
			return u.inside(attr.Expr, steps[1:])
		}
		block, rest := pick(blocksOf(body, name), steps[1:])
		if block == nil {
			return at
		}
		body, at, steps = block.Body, block.DefRange(), rest
	}
	return at
}

// pick returns the block that the first of steps means, and the steps after it. A step that is no position and no label
// belongs to the inside of the first block.
func pick(blocks []*hclsyntax.Block, steps []*pluginv1.Path_Step) (*hclsyntax.Block, []*pluginv1.Path_Step) {
	if len(blocks) == 0 {
		return nil, nil
	}
	if len(steps) == 0 {
		return blocks[0], nil
	}
	switch step := steps[0].GetStep().(type) {
	case *pluginv1.Path_Step_Index:
		if step.Index < 0 || step.Index >= int64(len(blocks)) {
			return nil, nil
		}
		return blocks[step.Index], steps[1:]
	case *pluginv1.Path_Step_Key:
		for _, block := range blocks {
			if len(block.Labels) == 1 && block.Labels[0] == step.Key {
				return block, steps[1:]
			}
		}
		return nil, nil
	default:
		return blocks[0], steps
	}
}

// inside follows steps into an expression as far as it is written out in the file.
func (u *Use) inside(expr hcl.Expression, steps []*pluginv1.Path_Step) hcl.Range {
	at := expr.Range()
	if len(steps) == 0 {
		return at
	}
	switch step := steps[0].GetStep().(type) {
	case *pluginv1.Path_Step_Index:
		exprs, _ := hcl.ExprList(expr)
		if step.Index >= 0 && step.Index < int64(len(exprs)) {
			return exprs[step.Index].Range()
		}
	case *pluginv1.Path_Step_Key:
		if native, ok := expr.(hclsyntax.Expression); ok {
			if r, ok := u.source.entry(native, step.Key); ok {
				return r
			}
		}
	}
	return at
}
