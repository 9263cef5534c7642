package config

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/podrunner/runner/core/internal/diag"
	"github.com/podrunner/runner/core/internal/suggest"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// decoder turns a body into the JSON object that fits a schema. Core's own blocks go the same way as those of plugins.
//
// It walks the body itself rather than with package hcldec, whose diagnostics know an attribute as a whole but not an
// element of it, come in random order, and print what they should not.
type decoder struct {
	source *source
	diags  diag.Diagnostics
	// secrets are the values of sensitive attributes.
	secrets []string
	// hidden are the expressions that hide has seen.
	hidden map[hclsyntax.Expression]bool
	// places, unless nil, are where core's own settings and their parts stand, by path.
	places map[string]hcl.Range
}

func (d *decoder) add(x diag.Diagnostic) { d.diags = append(d.diags, x) }

// body decodes one body. at is where something that is missing is missed: the header of the block.
func (d *decoder) body(body *hclsyntax.Body, schema *pluginv1.Schema, at hcl.Range) map[string]any {
	d.unknown(body, schema, "")
	out := map[string]any{}
	for _, a := range schema.GetAttributes() {
		if v, ok := d.attribute(body, a, at); ok {
			out[a.GetName()] = v
		}
	}
	for _, b := range schema.GetBlocks() {
		out[b.GetType()] = d.blocks(body, b, at)
	}
	return out
}

// unknown says which names of the body the schema does not have. otherwise is a sentence for an argument that no other
// is like; "" for a list of those there are.
func (d *decoder) unknown(body *hclsyntax.Body, schema *pluginv1.Schema, otherwise string) {
	attributes, blocks := names(schema)
	if otherwise == "" {
		otherwise = listNames(attributes)
	}
	secretive := slices.ContainsFunc(schema.GetAttributes(), (*pluginv1.Attribute).GetSensitive)
	for name, attr := range body.Attributes {
		if slices.Contains(attributes, name) {
			continue
		}
		if secretive || otherwise == inConfig || likelyName.MatchString(name) {
			d.hide(attr.Expr) // it may be a secret with a slip in its name, or in the wrong place
		}
		detail := fmt.Sprintf("There is no argument called %q here.%s", name, suggestOr(name, attributes, otherwise))
		if slices.Contains(blocks, name) {
			detail = fmt.Sprintf("%q is a block: write %s { … } with no equals sign.", name, name)
		}
		d.add(d.source.errorAt(attr.NameRange, "Unknown argument", detail))
	}
	for _, block := range body.Blocks {
		if slices.Contains(blocks, block.Type) {
			continue
		}
		d.hideAll(block.Body)
		d.add(d.source.errorAt(block.TypeRange, "Unknown block", unknownBlock(block.Type, blocks, attributes)))
	}
}

// unknownBlock returns the detail for a block whose type does not exist.
func unknownBlock(name string, blocks, attributes []string) string {
	if slices.Contains(attributes, name) {
		return fmt.Sprintf("%q is an argument: write %s = … with an equals sign and no braces.", name, name)
	}
	return fmt.Sprintf("There is no block called %q here.%s", name, suggestOr(name, slices.Concat(blocks, attributes), listNames(blocks)))
}

// attribute decodes one attribute; false when it is absent or wrong.
func (d *decoder) attribute(body *hclsyntax.Body, a *pluginv1.Attribute, at hcl.Range) (any, bool) {
	attr := body.Attributes[a.GetName()]
	if attr == nil {
		d.missing(a, at)
		return nil, false
	}
	if a.GetSensitive() {
		d.hide(attr.Expr)
	}
	if a.GetDeprecated() != "" {
		d.add(d.source.warningAt(attr.NameRange, "Deprecated argument", a.GetDeprecated()))
	}
	v, ok := d.source.eval(attr.Expr)
	d.diags = append(d.diags, v.diags...)
	if !ok {
		return nil, false
	}
	if v.IsNull() {
		d.missing(a, attr.Expr.Range())
		return nil, false
	}
	return d.value(v, a)
}

// missing says that a required attribute is not there.
func (d *decoder) missing(a *pluginv1.Attribute, at hcl.Range) {
	if !a.GetRequired() {
		return
	}
	detail := fmt.Sprintf("The argument %q is required: %s.", a.GetName(), kindOf(a.GetType()).wants)
	if a.GetDescription() != "" {
		detail += " " + a.GetDescription()
	}
	d.add(d.source.errorAt(at, "Missing argument", detail))
}

// blocks decodes the blocks of one type.
func (d *decoder) blocks(body *hclsyntax.Body, b *pluginv1.NestedBlock, at hcl.Range) any {
	found := blocksOf(body, b.GetType())
	d.count(b, found, at)
	switch b.GetNesting() {
	case pluginv1.Nesting_NESTING_LIST:
		list := []any{}
		for _, block := range found {
			list = append(list, d.unlabelled(block, b))
		}
		return list
	case pluginv1.Nesting_NESTING_MAP:
		return d.labelled(found, b)
	default:
		if len(found) == 0 {
			return nil
		}
		for _, more := range found[1:] {
			d.hideAll(more.Body)
		}
		return d.unlabelled(found[0], b)
	}
}

// count checks the number of blocks of one type.
func (d *decoder) count(b *pluginv1.NestedBlock, found []*hclsyntax.Block, at hcl.Range) {
	least, most := int(b.GetMinItems()), int(b.GetMaxItems())
	if b.GetNesting() != pluginv1.Nesting_NESTING_LIST && b.GetNesting() != pluginv1.Nesting_NESTING_MAP {
		most = 1
	}
	if len(found) < least {
		d.add(d.source.errorAt(at, "Missing block", fmt.Sprintf("At least %s %q must stand here.", plural(least, "block", "blocks"), b.GetType())))
	}
	if most == 1 && len(found) > 1 {
		d.add(d.source.second(found[0], found[1]))
	} else if most > 1 && len(found) > most {
		d.add(d.source.errorAt(found[most].TypeRange, "Too many blocks",
			fmt.Sprintf("At most %s %q may stand here.", plural(most, "block", "blocks"), b.GetType())))
	}
}

// second says that there are two blocks where there may be one.
func (s *source) second(first, second *hclsyntax.Block) diag.Diagnostic {
	name := first.Type
	for _, label := range first.Labels {
		name += fmt.Sprintf(" %q", label)
	}
	return s.errorAt(second.DefRange(), "Second block", fmt.Sprintf(
		"There is a block %s at %s already. Put all settings into one, or remove one of them.", name, s.rng(first.DefRange())))
}

func (d *decoder) unlabelled(block *hclsyntax.Block, b *pluginv1.NestedBlock) any {
	d.source.labels(block, 0, &d.diags)
	return d.body(block.Body, b.GetBody(), block.DefRange())
}

func (d *decoder) labelled(found []*hclsyntax.Block, b *pluginv1.NestedBlock) any {
	out := map[string]any{}
	first := map[string]*hclsyntax.Block{}
	for _, block := range found {
		value := d.body(block.Body, b.GetBody(), block.DefRange())
		if !d.source.labels(block, 1, &d.diags) {
			continue
		}
		name := block.Labels[0]
		if first[name] != nil {
			d.add(d.source.second(first[name], block))
			continue
		}
		first[name], out[name] = block, value
	}
	return out
}

// labels checks the number of a block's labels, 0 or 1.
func (s *source) labels(block *hclsyntax.Block, want int, diags *diag.Diagnostics) bool {
	switch got := len(block.Labels); {
	case got > want && want == 0:
		*diags = append(*diags, s.errorAt(block.LabelRanges[0], "Name not expected",
			fmt.Sprintf("A block %q has no name: write %s { … }.", block.Type, block.Type)))
	case got > want:
		*diags = append(*diags, s.errorAt(block.LabelRanges[want], "Second name", fmt.Sprintf("A block %q has one name.", block.Type)))
	case got < want:
		*diags = append(*diags, s.errorAt(block.TypeRange, "Missing name",
			fmt.Sprintf("A block %q has a name: write %s \"name\" { … }.", block.Type, block.Type)))
	default:
		return true
	}
	return false
}

// hide keeps an expression out of snippets, and those of the locals that it needs, unless there is nothing but names in
// it.
func (d *decoder) hide(expr hclsyntax.Expression) {
	if d.source.file == nil || d.hidden[expr] {
		return
	}
	if d.hidden == nil {
		d.hidden = map[hclsyntax.Expression]bool{}
	}
	d.hidden[expr] = true
	if r := expr.Range(); !onlyNames(expr) && !d.source.overridden(r) {
		d.source.file.Hide(r.Start.Byte, r.End.Byte)
	}
	for _, l := range d.source.scope.needs(expr) {
		d.hide(l)
	}
}

// hideAll keeps the values in a body, and in the blocks below it, out of snippets: nothing tells which of them are secret.
func (d *decoder) hideAll(body *hclsyntax.Body) {
	for _, attr := range body.Attributes {
		d.hide(attr.Expr)
	}
	for _, block := range body.Blocks {
		d.hideAll(block.Body)
	}
}

// onlyNames reports whether an expression holds no value itself: local.token, env("TOKEN"), file("token").
func onlyNames(expr hclsyntax.Expression) bool {
	switch e := expr.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		return true
	case *hclsyntax.FunctionCallExpr:
		return len(e.Args) == 1 && (e.Name == "env" || e.Name == "file")
	}
	return false
}

// blocksOf returns the blocks of one type in a body.
func blocksOf(body *hclsyntax.Body, name string) []*hclsyntax.Block {
	var out []*hclsyntax.Block
	for _, block := range body.Blocks {
		if block.Type == name {
			out = append(out, block)
		}
	}
	return out
}

// names returns the names of a schema's attributes and of its blocks.
func names(schema *pluginv1.Schema) (attributes, blocks []string) {
	for _, a := range schema.GetAttributes() {
		attributes = append(attributes, a.GetName())
	}
	for _, b := range schema.GetBlocks() {
		blocks = append(blocks, b.GetType())
	}
	return attributes, blocks
}

// listNames returns a sentence with the names there are.
func listNames(names []string) string {
	if len(names) == 0 {
		return " There are no arguments here."
	}
	return " There are: " + joinNames(names) + "."
}

// joinNames returns names in alphabetical order, separated by commas.
func joinNames(names []string) string {
	sorted := slices.Sorted(slices.Values(names))
	out := sorted[0]
	for _, name := range sorted[1:] {
		out += ", " + name
	}
	return out
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// nearest returns a hint at the value of a closed set that text may stand for, or the whole set.
func nearest(text string, set []string) string {
	return suggest.Hint(text, set) + " It is one of: " + joinNames(set) + "."
}
