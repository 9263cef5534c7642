package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/podrunner/runner/core/internal/tool"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// settings are the arguments of one of core's own blocks, and the blocks that may stand in it. They are described as a
// plugin describes its own, and decoded in the same way.
type settings struct {
	arguments []argument
	// blocks are the types of blocks that the loader takes out of the body itself.
	blocks []string
	// elsewhere is a sentence on where arguments stand that are none of these.
	elsewhere string
}

// argument is an argument of one of core's own blocks.
type argument struct {
	*pluginv1.Attribute
	// check says what is wrong with a value of the right type; "" for nothing. The value is an int64 for numbers,
	// durations (nanoseconds) and sizes, a string for a text; for a list it is called with each element, for a map with
	// each value.
	check func(v any) string
	// checkKey does the same for the keys of a map.
	checkKey func(key string) string
	// native is the type of a value that is Kubernetes' own; nil for all others.
	native reflect.Type
	// merge: a map is merged with what an outer block has said, key by key, and null takes out a key of a native one.
	merge bool
}

func attribute(name string, kind pluginv1.Kind, check func(any) string) argument {
	return argument{Attribute: &pluginv1.Attribute{Name: name, Type: &pluginv1.Type{Kind: kind}}, check: check}
}

// sensitive marks an argument whose value is never shown.
func sensitive(a argument) argument {
	a.Sensitive = true
	return a
}

func oneOf(name string, values ...string) argument {
	a := attribute(name, pluginv1.Kind_KIND_STRING, nil)
	a.OneOf = values
	return a
}

func list(name string, check func(any) string) argument {
	a := attribute(name, pluginv1.Kind_KIND_LIST, check)
	a.Type.Element = pluginv1.Kind_KIND_STRING
	return a
}

// stringMap is a map of texts that is merged with that of an outer block.
func stringMap(name string, checkKey func(string) string, check func(any) string) argument {
	a := attribute(name, pluginv1.Kind_KIND_MAP, check)
	a.Type.Element = pluginv1.Kind_KIND_STRING
	a.checkKey, a.merge = checkKey, true
	return a
}

// native is an argument whose value is one of Kubernetes' own, with the names of Kubernetes' API in it.
func native[T any](name string) argument {
	a := attribute(name, pluginv1.Kind_KIND_UNSPECIFIED, nil)
	a.native = reflect.TypeFor[T]()
	return a
}

// inConfig says where the arguments of a plugin stand.
const inConfig = " What is meant for the plugin stands in its block config { … }."

// The blocks that core knows. docs/configuration.md describes them, and a test compares the two.
var (
	rootSettings = settings{
		blocks:    []string{"runner", "telemetry", "scaling", "kubernetes", "local", "plugin", "pipeline", "locals"},
		elsewhere: " Arguments stand in blocks, such as runner { concurrency = 3 }.",
	}

	runnerSettings = settings{arguments: []argument{
		attribute("name", pluginv1.Kind_KIND_STRING, matches(runnerName, "It is 1 to 63 letters, digits, dots, dashes and underscores.")),
		attribute("concurrency", pluginv1.Kind_KIND_INT, between(1, 1000, decimal)),
		attribute("plugin_dir", pluginv1.Kind_KIND_STRING, notEmpty),
		attribute("drain_timeout", pluginv1.Kind_KIND_DURATION, between(0, int64(24*time.Hour), durationText)),
		attribute("log_level", pluginv1.Kind_KIND_STRING, anyCase(logLevels...)),
		attribute("log_format", pluginv1.Kind_KIND_STRING, anyCase("text", "json")),
	}}
	pluginSettings = settings{arguments: []argument{
		attribute("checksum", pluginv1.Kind_KIND_STRING, matches(checksum, "It is \"sha256:\" and 64 hexadecimal digits, as `core plugins list` prints it.")),
		list("env", grantable),
		oneOf("log_level", logLevels...),
	}}
	pipelineSettings = settings{
		arguments: []argument{
			oneOf("executor", Executors...),
			attribute("concurrency", pluginv1.Kind_KIND_INT, between(1, 1000, decimal)),
		},
		blocks: []string{"source", "processor", "deliver", "kubernetes", "local"},
	}
	sourceSettings    = settings{blocks: []string{"config"}, elsewhere: inConfig}
	processorSettings = settings{
		arguments: []argument{oneOf("on_error", string(OnErrorFail), string(OnErrorPass), string(OnErrorDrop))},
		blocks:    []string{"config"},
		elsewhere: inConfig,
	}
	deliverSettings = settings{arguments: []argument{
		attribute("max_bytes", pluginv1.Kind_KIND_BYTES, between(1<<10, 8<<20, byteSize)),
		attribute("max_interval", pluginv1.Kind_KIND_DURATION, between(int64(10*time.Millisecond), int64(time.Hour), durationText)),
		attribute("give_up", pluginv1.Kind_KIND_DURATION, between(int64(time.Second), int64(7*24*time.Hour), durationText)),
	}}
	localSettings = settings{arguments: []argument{
		attribute("shell", pluginv1.Kind_KIND_STRING, absolute),
		attribute("workdir", pluginv1.Kind_KIND_STRING, absolute),
		attribute("lifetime", pluginv1.Kind_KIND_DURATION, between(int64(time.Second), int64(30*24*time.Hour), durationText)),
		attribute("xtrace", pluginv1.Kind_KIND_BOOL, nil),
		tools,
		attribute("grace", pluginv1.Kind_KIND_DURATION, between(0, int64(time.Hour), durationText)),
	}}
)

// tools are the programs that jobs find at /mount. Both executors have the setting.
var tools = stringMap("tools", tool.WrongName, func(v any) string {
	text, _ := v.(string)
	return tool.WrongProgram(text)
})

// logLevels are the levels of the logs of core and of plugins.
var logLevels = []string{"trace", "debug", "info", "warn", "error", "off"}

var (
	runnerName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,63}$`)
	checksum   = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	envName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// schema returns the settings in the form that the decoder takes.
func (s settings) schema() *pluginv1.Schema {
	schema := &pluginv1.Schema{}
	for _, a := range s.arguments {
		schema.Attributes = append(schema.Attributes, a.Attribute)
	}
	for _, name := range s.blocks {
		schema.Blocks = append(schema.Blocks, &pluginv1.NestedBlock{Type: name})
	}
	return schema
}

// settings decodes the arguments of a block into dst. What the block does not say stays as it is in dst: a default, or
// what an outer block has said. It returns the values as they go into dst, and the places of them and of their parts, by
// path.
func (l *loader) settings(block *hclsyntax.Block, s settings, dst any) (map[string]any, map[string]hcl.Range) {
	d := decoder{source: l.source, places: map[string]hcl.Range{}}
	d.unknown(block.Body, s.schema(), s.elsewhere)
	values, replaced := map[string]any{}, map[string]any{}
	for _, a := range s.arguments {
		v, ok := d.argument(a, block)
		if !ok {
			continue
		}
		values[a.Name] = v
		if !a.merge {
			replaced[a.Name] = nil
		}
	}
	l.diags = append(l.diags, d.diags...)
	// Decoding into a list or a struct that is there would mix the two; null makes it empty first.
	err := decodeInto(dst, replaced)
	if err == nil {
		err = decodeInto(dst, values)
	}
	if err != nil {
		l.add(l.source.errorAt(block.DefRange(), "Block not readable", fmt.Sprintf("The block %s could not be read: %v.", block.Type, err)))
	}
	return values, d.places
}

func decodeInto(dst any, values map[string]any) error {
	text, err := json.Marshal(values)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, dst)
}

// argument decodes one argument of a block and checks it; false when it is absent or not of its type.
func (d *decoder) argument(a argument, block *hclsyntax.Block) (any, bool) {
	attr := block.Body.Attributes[a.Name]
	if attr == nil {
		return nil, false
	}
	if a.native != nil {
		return d.native(a, attr)
	}
	v, ok := d.attribute(block.Body, a.Attribute, block.DefRange())
	if ok {
		d.places[a.Name] = attr.Expr.Range()
		d.check(a, v, attr)
	}
	return v, ok
}

// native decodes a value that is Kubernetes' own.
func (d *decoder) native(a argument, attr *hclsyntax.Attribute) (any, bool) {
	v, ok := d.source.eval(attr.Expr)
	d.diags = append(d.diags, v.diags...)
	if !ok || v.IsNull() {
		return nil, false
	}
	s := &shape{
		lenient:   true,
		removable: a.merge,
		problem: func(_ string, at place, summary, detail string) {
			d.add(d.source.errorAt(at.rng, summary, d.source.scope.mask(detail, nil)))
		},
		found: func(path string, at place) { d.places[path] = at.rng },
	}
	return s.fit(d.source.tree(v.Value, attr.Expr), a.native, a.Name)
}

// check reports what an argument's own rules have against its value.
func (d *decoder) check(a argument, v any, attr *hclsyntax.Attribute) {
	switch v := v.(type) {
	case []any:
		exprs, _ := hcl.ExprList(attr.Expr)
		for i, element := range v {
			at := attr.Expr.Range()
			if i < len(exprs) {
				at = exprs[i].Range()
			}
			d.rule(a.check, element, at, subjectOf(a.Attribute), "value")
		}
	case map[string]any:
		entries := d.source.entries(d.source.written(attr.Expr))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			keyAt, valueAt := attr.Expr.Range(), attr.Expr.Range()
			if e, ok := entries[key]; ok {
				keyAt, valueAt = e.key.Range(), e.value.Range()
			}
			d.rule(func(any) string { return a.checkKey(key) }, key, keyAt, argumentNamed(a.Attribute), "key")
			d.rule(a.check, v[key], valueAt, subjectOf(a.Attribute), "value")
		}
	default:
		d.rule(a.check, v, attr.Expr.Range(), argumentNamed(a.Attribute), "value")
	}
}

// rule applies a rule, unless it is nil, to a value or a key.
func (d *decoder) rule(rule func(any) string, v any, at hcl.Range, subject, what string) {
	if rule == nil {
		return
	}
	if wrong := rule(v); wrong != "" {
		d.add(d.source.errorAt(at, "Wrong "+what, fmt.Sprintf("%s does not take this %s. %s", subject, what, wrong)))
	}
}

// attributeRange returns the range of an argument's value, or of the block's header when it is absent.
func attributeRange(block *hclsyntax.Block, name string) hcl.Range {
	if attr := block.Body.Attributes[name]; attr != nil {
		return attr.Expr.Range()
	}
	return block.DefRange()
}

// between takes numbers from least to most, which show prints.
func between(least, most int64, show func(int64) string) func(any) string {
	return func(v any) string {
		if n, ok := v.(int64); ok && n >= least && n <= most {
			return ""
		}
		return fmt.Sprintf("It is from %s to %s.", show(least), show(most))
	}
}

func matches(pattern *regexp.Regexp, rule string) func(any) string {
	return func(v any) string {
		if text, ok := v.(string); ok && pattern.MatchString(text) {
			return ""
		}
		return rule
	}
}

// anyCase takes one of some words, whatever the case of its letters: opslevel-runner had them in capitals.
func anyCase(words ...string) func(any) string {
	return func(v any) string {
		text, _ := v.(string)
		if slices.Contains(words, strings.ToLower(text)) {
			return ""
		}
		return strings.TrimSpace(nearest(text, words))
	}
}

// grantable takes the name of an environment variable that a plugin may be given; those that start a plugin are core's.
func grantable(v any) string {
	text, ok := v.(string)
	switch {
	case !ok || !envName.MatchString(text):
		return "It is the name of an environment variable: letters, digits and underscores, no digit first."
	case strings.HasPrefix(text, "PLUGIN_") || strings.HasPrefix(text, "RUNNER_PLUGIN_"):
		return "Variables that begin with PLUGIN_ or RUNNER_PLUGIN_ are set by core itself."
	}
	return ""
}

func notEmpty(v any) string {
	if v == "" {
		return "It must not be empty."
	}
	return ""
}

// absolute takes the absolute path of something other than the root.
func absolute(v any) string {
	text, ok := v.(string)
	if ok && path.IsAbs(text) && path.Clean(text) != "/" && !slices.Contains([]byte(text), 0) {
		return ""
	}
	return "It is an absolute path, such as /bin/sh or /jobs."
}

func decimal(n int64) string      { return fmt.Sprint(n) }
func durationText(n int64) string { return time.Duration(n).String() }

func byteSize(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%dGiB", n>>30)
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprint(n)
}
