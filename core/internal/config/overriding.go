package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/podrunner/runner/core/internal/diag"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// overriding puts overrides into a body that has been parsed and not yet decoded. So all that is checked of a file is
// checked of them, and what they stand in place of is not evaluated.
type overriding struct {
	source *source
	diags  diag.Diagnostics
	// configs are the overrides that lead into the block `config` of a source or a processor. Only with the plugin's
	// schema can it be told what they mean; see Use.Decode.
	configs map[*hclsyntax.Block][]Override
}

// overridable are the blocks of the top level that have no name, and their settings.
func overridable() map[string]settings {
	return map[string]settings{
		"runner":     runnerSettings,
		"telemetry":  telemetrySettings,
		"scaling":    scalingSettings,
		"kubernetes": kubernetesSettings,
		"local":      localSettings,
	}
}

func (w *overriding) fail(o Override, summary, detail string) {
	w.diags = append(w.diags, w.source.errorAt(o.at(), summary, detail))
}

// locals overrides local values; this comes first, since other values may need them.
func (w *overriding) locals(body *hclsyntax.Body, overrides []Override) {
	for _, o := range overrides {
		if o.steps[0].name != "locals" {
			continue
		}
		var known []string
		var owner *hclsyntax.Body
		for _, block := range blocksOf(body, "locals") {
			known = slices.AppendSeq(known, maps.Keys(block.Body.Attributes))
			if len(o.steps) == 2 && block.Body.Attributes[o.steps[1].name] != nil {
				owner = block.Body
			}
		}
		switch {
		case len(o.steps) != 2:
			w.fail(o, "Unknown value", "A local value is set as a whole: --set locals.NAME=….")
		case owner == nil:
			name := o.steps[1].name
			w.fail(o, "Unknown local", fmt.Sprintf("There is no local value called %q.%s", name, suggestOr(name, known, listNames(known))))
		default:
			w.put(owner, o.steps[1].name, o, true)
		}
	}
}

// blocks overrides everything else. The locals are known by now.
func (w *overriding) blocks(body *hclsyntax.Body, overrides []Override) {
	for _, o := range overrides {
		first, rest := o.steps[0], o.steps[1:]
		if first.name == "locals" {
			continue
		}
		if first.index >= 0 {
			w.fail(o, "Unknown value", fmt.Sprintf("%q is not one of several that could be counted. Leave out the brackets.", first.name))
			continue
		}
		if s, ok := overridable()[first.name]; ok {
			w.inside(o, w.block(body, o, first.name), s, rest)
			continue
		}
		switch first.name {
		case "plugin":
			if len(rest) == 0 {
				w.nameMissing(o, "plugin")
				continue
			}
			w.inside(o, w.block(body, o, "plugin", rest[0].name), pluginSettings, rest[1:])
		case "pipeline":
			if block, rest := w.named(o, body, "pipeline", rest); block != nil {
				w.pipeline(o, block, rest)
			}
		default:
			w.short(o, body)
		}
	}
	for _, o := range overrides {
		w.shadowed(body, o)
	}
}

// short takes a name that begins in the only pipeline: source.config.queue, processor.prefix.on_error.
func (w *overriding) short(o Override, body *hclsyntax.Body) {
	known := slices.Concat(rootSettings.blocks, []string{"source", "processor", "deliver", "executor"})
	first := o.steps[0].name
	pipelines := blocksOf(body, "pipeline")
	switch {
	case !slices.Contains(known, first):
		w.fail(o, "Unknown value", fmt.Sprintf("There is nothing called %q.%s", first, suggestOr(first, known, listNames(known))))
	case len(pipelines) != 1:
		w.fail(o, "Which pipeline", fmt.Sprintf("There are %d pipelines, so name one: --set pipeline.NAME.%s=….", len(pipelines), o.name))
	default:
		w.pipeline(o, pipelines[0], o.steps)
	}
}

// pipeline follows a name into a pipeline.
func (w *overriding) pipeline(o Override, block *hclsyntax.Block, steps []step) {
	if len(steps) == 0 {
		w.inside(o, block, pipelineSettings, nil)
		return
	}
	first, rest := steps[0], steps[1:]
	switch first.name {
	case "deliver":
		w.inside(o, w.block(block.Body, o, first.name), deliverSettings, rest)
	case "kubernetes":
		w.inside(o, w.block(block.Body, o, first.name), kubernetesSettings, rest)
	case "local":
		w.inside(o, w.block(block.Body, o, first.name), localSettings, rest)
	case "source":
		w.use(o, block.Body, first.name, sourceSettings, rest)
	case "processor":
		w.use(o, block.Body, first.name, processorSettings, rest)
	default:
		w.inside(o, block, pipelineSettings, steps)
	}
}

// use follows a name into the block of a source or of a processor.
func (w *overriding) use(o Override, body *hclsyntax.Body, kind string, s settings, steps []step) {
	// A pipeline has one source, which need not be named.
	if found := blocksOf(body, kind); kind == "source" && len(found) == 1 && len(steps) > 0 && steps[0].name == "config" {
		steps = append([]step{{name: label(found[0]), index: -1}}, steps...)
	}
	block, rest := w.named(o, body, kind, steps)
	switch {
	case block == nil:
	case len(rest) > 0 && rest[0].name == "config":
		if len(rest) == 1 {
			w.blockItself(o, "config")
			return
		}
		o.steps = rest[1:]
		w.configs[block] = append(w.configs[block], o)
	default:
		w.inside(o, block, s, rest)
	}
}

// named returns the block of a type that the first step names, and the steps after it.
func (w *overriding) named(o Override, body *hclsyntax.Body, kind string, steps []step) (*hclsyntax.Block, []step) {
	if len(steps) == 0 {
		w.nameMissing(o, kind)
		return nil, nil
	}
	var names []string
	var found []*hclsyntax.Block
	for _, block := range blocksOf(body, kind) {
		names = append(names, label(block))
		if label(block) == steps[0].name {
			found = append(found, block)
		}
	}
	name, index := steps[0].name, steps[0].index
	switch {
	case len(names) == 0:
		w.fail(o, "No "+kind, fmt.Sprintf("There is no block %q here to set something in. Write one into the file.", kind))
	case len(found) == 0:
		w.fail(o, "Unknown "+kind, fmt.Sprintf("There is no %s called %q to set something in.%s", kind, name, suggestOr(name, names, "")))
	case index < 0 && len(found) > 1:
		w.fail(o, "Which "+kind, fmt.Sprintf("There are %d blocks %s %q here. Say which one is meant, counted from 0: %s[0].", len(found), kind, name, name))
	case index >= len(found):
		w.fail(o, "Unknown "+kind, fmt.Sprintf("There is no block %s %s[%d]: they are counted from 0, and there are %d.", kind, name, index, len(found)))
	default:
		return found[max(index, 0)], steps[1:]
	}
	return nil, nil
}

func label(block *hclsyntax.Block) string {
	if len(block.Labels) == 0 {
		return ""
	}
	return block.Labels[0]
}

func (w *overriding) nameMissing(o Override, kind string) {
	w.fail(o, "Missing name", fmt.Sprintf("Blocks %q have names: --set %s.NAME.ARGUMENT=….", kind, o.name))
}

// blockItself says that a name ends too early.
func (w *overriding) blockItself(o Override, kind string) {
	w.fail(o, "Not a value", fmt.Sprintf("%q is a block. Name an argument in it: --set %s.ARGUMENT=….", kind, o.name))
}

// block returns a block of a type and with these labels, and makes it if it is not there.
func (w *overriding) block(body *hclsyntax.Body, o Override, kind string, labels ...string) *hclsyntax.Block {
	for _, block := range blocksOf(body, kind) {
		if slices.Equal(block.Labels, labels) {
			return block
		}
	}
	made := newBlock(o, kind, labels...)
	body.Blocks = append(body.Blocks, made)
	return made
}

func newBlock(o Override, kind string, labels ...string) *hclsyntax.Block {
	at := o.at()
	made := &hclsyntax.Block{
		Type: kind, Labels: labels, TypeRange: at, OpenBraceRange: at, CloseBraceRange: at,
		Body: &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, SrcRange: at, EndRange: at},
	}
	for range labels {
		made.LabelRanges = append(made.LabelRanges, at)
	}
	return made
}

// inside sets an argument of one of core's own blocks.
func (w *overriding) inside(o Override, block *hclsyntax.Block, s settings, steps []step) {
	if len(steps) == 0 {
		w.blockItself(o, block.Type)
		return
	}
	if slices.Contains(s.blocks, steps[0].name) {
		w.blockItself(o, steps[0].name)
		return
	}
	w.argument(o, block.Body, s.arguments, steps)
}

// config returns a copy of the block `config` of a plugin with what overrides set in it.
func (w *overriding) config(body *hclsyntax.Body, schema *pluginv1.Schema, overrides []Override) *hclsyntax.Body {
	body = cloneBody(body)
	for _, o := range overrides {
		w.nested(o, body, schema, o.steps)
	}
	return body
}

// cloneBody returns a copy to which something can be added.
func cloneBody(body *hclsyntax.Body) *hclsyntax.Body {
	out := *body
	out.Attributes, out.Blocks = maps.Clone(body.Attributes), slices.Clone(body.Blocks)
	if out.Attributes == nil {
		out.Attributes = hclsyntax.Attributes{}
	}
	return &out
}

// nested follows a name through the blocks of a plugin's schema.
func (w *overriding) nested(o Override, body *hclsyntax.Body, schema *pluginv1.Schema, steps []step) {
	i := slices.IndexFunc(schema.GetBlocks(), func(b *pluginv1.NestedBlock) bool { return b.GetType() == steps[0].name })
	if i < 0 {
		var arguments []argument
		for _, a := range schema.GetAttributes() {
			arguments = append(arguments, argument{Attribute: a})
		}
		w.argument(o, body, arguments, steps)
		return
	}
	b := schema.GetBlocks()[i]
	block, rest := w.nestedBlock(o, body, b, steps)
	if block == nil {
		return
	}
	if len(rest) == 0 {
		w.blockItself(o, b.GetType())
		return
	}
	inner := *block
	inner.Body = cloneBody(block.Body)
	body.Blocks[slices.Index(body.Blocks, block)] = &inner
	w.nested(o, inner.Body, b.GetBody(), rest)
}

// nestedBlock returns the block of a plugin's that the first steps mean, and the steps after it; nil when there is none.
func (w *overriding) nestedBlock(o Override, body *hclsyntax.Body, b *pluginv1.NestedBlock, steps []step) (*hclsyntax.Block, []step) {
	found := blocksOf(body, b.GetType())
	switch b.GetNesting() {
	case pluginv1.Nesting_NESTING_MAP:
		if len(steps) < 2 {
			w.nameMissing(o, b.GetType())
			return nil, nil
		}
		return w.block(body, o, b.GetType(), steps[1].name), steps[2:]
	case pluginv1.Nesting_NESTING_LIST:
		index := steps[0].index
		if index < 0 && len(found) == 1 {
			index = 0
		}
		if index < 0 || index >= len(found) {
			w.fail(o, "Which block", fmt.Sprintf("There are %d blocks %q here, counted from 0. Say which one is meant, as in %s[0]; a new one is written in the file.", len(found), b.GetType(), b.GetType()))
			return nil, nil
		}
		return found[index], steps[1:]
	default:
		return w.block(body, o, b.GetType()), steps[1:]
	}
}

// argument sets an argument, or a member of it. A name that is not an argument's is set, too: the decoder says what is
// wrong with it, with a suggestion.
func (w *overriding) argument(o Override, body *hclsyntax.Body, arguments []argument, steps []step) {
	name := steps[0].name
	i := slices.IndexFunc(arguments, func(a argument) bool { return a.Name == name })
	if i < 0 {
		w.put(body, name, o, false)
		return
	}
	a := arguments[i]
	kind := a.GetType().GetKind()
	structured := a.native != nil || kind == pluginv1.Kind_KIND_LIST || kind == pluginv1.Kind_KIND_MAP
	if steps[0].index >= 0 || len(steps) > 1 && a.native == nil && kind != pluginv1.Kind_KIND_MAP {
		w.noParts(o, name)
		return
	}
	if len(steps) == 1 {
		w.put(body, name, o, structured)
		return
	}
	var before hclsyntax.Expression
	if attr := body.Attributes[name]; attr != nil {
		before = attr.Expr
	}
	typ := a.native
	if typ == nil {
		typ = reflect.TypeFor[map[string]string]()
	}
	if expr := w.member(o, before, typ, steps[1:]); expr != nil {
		body.Attributes[name] = &hclsyntax.Attribute{Name: name, Expr: expr, SrcRange: o.at(), NameRange: o.at(), EqualsRange: o.at()}
	}
}

func (w *overriding) noParts(o Override, name string) {
	w.fail(o, "Not a map", fmt.Sprintf("%q is set as a whole: it has no parts with names of their own.", name))
}

// put sets an argument to the override's value.
func (w *overriding) put(body *hclsyntax.Body, name string, o Override, structured bool) {
	expr, diags := w.source.expression(o, structured)
	w.diags = append(w.diags, diags...)
	body.Attributes[name] = &hclsyntax.Attribute{Name: name, Expr: expr, SrcRange: o.at(), NameRange: o.at(), EqualsRange: o.at()}
}

// member returns the expression of a map or an object in which the member that steps name has the override's value. before
// is what was there, or nil; the result is nil when that has no member to set.
func (w *overriding) member(o Override, before hclsyntax.Expression, typ reflect.Type, steps []step) hclsyntax.Expression {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if len(steps) == 0 {
		expr, diags := w.source.expression(o, isStructured(typ))
		w.diags = append(w.diags, diags...)
		return expr
	}
	key, inner, rest := steps[0].name, reflect.TypeFor[string](), steps[1:]
	switch {
	case typ.Kind() == reflect.Map:
		if len(rest) > 0 {
			key, rest = steps[0].rest, nil
		}
		inner = typ.Elem()
	case isStructured(typ) && typ.Kind() == reflect.Struct:
		if f, ok := fieldsOf(typ)[key]; ok {
			inner = f.typ
		} else {
			rest = nil // the decoder says that there is no such field
		}
	default:
		w.noParts(o, o.name)
		return nil
	}
	object := w.writtenOut(o, before)
	if object == nil {
		return nil
	}
	var old hclsyntax.Expression
	at := slices.IndexFunc(object.Items, func(item hclsyntax.ObjectConsItem) bool { return w.source.keyOf(item) == key })
	if at >= 0 {
		old = object.Items[at].ValueExpr
	}
	value := w.member(o, old, inner, rest)
	if value == nil {
		return nil
	}
	item := hclsyntax.ObjectConsItem{KeyExpr: &hclsyntax.LiteralValueExpr{Val: cty.StringVal(key), SrcRange: o.at()}, ValueExpr: value}
	if at >= 0 {
		object.Items[at] = item
	} else {
		object.Items = append(object.Items, item)
	}
	return object
}

// isStructured reports whether a value of a type is written in brackets or braces.
func isStructured(typ reflect.Type) bool {
	if typ == quantityType || reflect.PointerTo(typ).Implements(unmarshalerType) {
		return false
	}
	return slices.Contains([]reflect.Kind{reflect.Struct, reflect.Map, reflect.Slice}, typ.Kind())
}

// writtenOut returns a copy of an object as it is written; nil when it comes of something else, a function perhaps.
func (w *overriding) writtenOut(o Override, expr hclsyntax.Expression) *hclsyntax.ObjectConsExpr {
	if expr == nil {
		return &hclsyntax.ObjectConsExpr{SrcRange: o.at(), OpenRange: o.at()}
	}
	switch e := w.source.written(expr).(type) {
	case *hclsyntax.ObjectConsExpr:
		out := *e
		out.Items = slices.Clone(e.Items)
		return &out
	case *hclsyntax.LiteralValueExpr:
		if e.Val.IsNull() {
			return &hclsyntax.ObjectConsExpr{SrcRange: o.at(), OpenRange: o.at()}
		}
	}
	w.fail(o, "Not written out", fmt.Sprintf("What stands at %s is not a map in braces, so no member of it can be set. Set the whole.", w.source.rng(expr.Range())))
	return nil
}

// keyOf returns the key of an item of an object, "" when it can't be told.
func (s *source) keyOf(item hclsyntax.ObjectConsItem) string {
	v, diags := s.scope.eval(item.KeyExpr)
	if diags.HasErrors() || !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}

// shadowed warns of an override at the top level that a pipeline does not heed, since it has a value of its own.
func (w *overriding) shadowed(body *hclsyntax.Body, o Override) {
	kind := o.steps[0].name
	if len(o.steps) != 2 || kind != "kubernetes" && kind != "local" {
		return
	}
	argument := o.steps[1].name
	for _, pipeline := range blocksOf(body, "pipeline") {
		for _, block := range blocksOf(pipeline.Body, kind) {
			attr := block.Body.Attributes[argument]
			if attr == nil || w.source.overridden(attr.NameRange) || isMerged(kind, argument) {
				continue
			}
			w.diags = append(w.diags, w.source.warningAt(o.at(), "Override not heeded", fmt.Sprintf(
				"The pipeline %q has a value of its own at %s, which counts there. Set that one: --set pipeline.%s.%s=….",
				label(pipeline), w.source.rng(attr.NameRange), label(pipeline), o.name)))
		}
	}
}

// isMerged reports whether a pipeline adds to what the top level says.
func isMerged(kind, name string) bool {
	return slices.ContainsFunc(overridable()[kind].arguments, func(a argument) bool { return a.Name == name && a.merge })
}

// places returns the files that diagnostics name for overrides, by the names that ranges have.
func places(overrides []Override) map[string]*diag.File {
	out := map[string]*diag.File{}
	for _, o := range overrides {
		out[o.at().Filename] = o.file()
	}
	return out
}

// overridden reports whether a range is of an override and not of the file.
func (s *source) overridden(r hcl.Range) bool { return s.overrides[r.Filename] != nil }
