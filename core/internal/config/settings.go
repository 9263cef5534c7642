package config

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

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
	// durations (nanoseconds) and sizes, a string for a text; for a list it is called with each element.
	check func(v any) string
}

func attribute(name string, kind pluginv1.Kind, check func(any) string) argument {
	return argument{&pluginv1.Attribute{Name: name, Type: &pluginv1.Type{Kind: kind}}, check}
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

// inConfig says where the arguments of a plugin stand.
const inConfig = " What is meant for the plugin stands in its block config { … }."

// The blocks that core knows. docs/configuration.md describes them, and a test compares the two.
var (
	rootSettings = settings{
		blocks:    []string{"runner", "local", "plugin", "pipeline", "locals"},
		elsewhere: " Arguments stand in blocks, such as runner { concurrency = 3 }.",
	}

	runnerSettings = settings{arguments: []argument{
		attribute("name", pluginv1.Kind_KIND_STRING, matches(runnerName, "It is 1 to 63 letters, digits, dots, dashes and underscores.")),
		attribute("concurrency", pluginv1.Kind_KIND_INT, between(1, 1000, decimal)),
		attribute("plugin_dir", pluginv1.Kind_KIND_STRING, notEmpty),
	}}
	pluginSettings = settings{arguments: []argument{
		attribute("checksum", pluginv1.Kind_KIND_STRING, matches(checksum, "It is \"sha256:\" and 64 hexadecimal digits, as `core plugins list` prints it.")),
		list("env", grantable),
		oneOf("log_level", "trace", "debug", "info", "warn", "error", "off"),
	}}
	pipelineSettings = settings{
		arguments: []argument{oneOf("executor", Executors...)},
		blocks:    []string{"source", "processor", "deliver", "local"},
	}
	sourceSettings    = settings{blocks: []string{"config"}, elsewhere: inConfig}
	processorSettings = settings{
		arguments: []argument{oneOf("on_error", string(OnErrorFail), string(OnErrorPass), string(OnErrorDrop))},
		blocks:    []string{"config"},
		elsewhere: inConfig,
	}
	deliverSettings = settings{arguments: []argument{
		attribute("max_bytes", pluginv1.Kind_KIND_BYTES, between(1<<10, 8<<20, byteSize)),
		attribute("max_interval", pluginv1.Kind_KIND_DURATION, between(int64(100*time.Millisecond), int64(time.Hour), durationText)),
	}}
	localSettings = settings{arguments: []argument{
		attribute("shell", pluginv1.Kind_KIND_STRING, absolute),
		attribute("workdir", pluginv1.Kind_KIND_STRING, absolute),
		attribute("lifetime", pluginv1.Kind_KIND_DURATION, between(int64(time.Second), int64(30*24*time.Hour), durationText)),
		attribute("xtrace", pluginv1.Kind_KIND_BOOL, nil),
		attribute("grace", pluginv1.Kind_KIND_DURATION, between(0, int64(time.Hour), durationText)),
	}}
)

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
// what an outer block has said.
func (l *loader) settings(block *hclsyntax.Block, s settings, dst any) {
	d := decoder{source: l.source}
	d.unknown(block.Body, s.schema(), s.elsewhere)
	values := map[string]any{}
	for _, a := range s.arguments {
		v, ok := d.attribute(block.Body, a.Attribute, block.DefRange())
		if !ok {
			continue
		}
		d.check(a, v, block.Body.Attributes[a.Name])
		values[a.Name] = v
	}
	l.diags = append(l.diags, d.diags...)
	text, err := json.Marshal(values)
	if err == nil {
		err = json.Unmarshal(text, dst)
	}
	if err != nil {
		l.add(l.source.errorAt(block.DefRange(), "Block not readable", fmt.Sprintf("The block %s could not be read: %v.", block.Type, err)))
	}
}

// check reports what an argument's own rule has against its value.
func (d *decoder) check(a argument, v any, attr *hclsyntax.Attribute) {
	if a.check == nil {
		return
	}
	elements, isList := v.([]any)
	if !isList {
		elements = []any{v}
	}
	exprs, _ := hcl.ExprList(attr.Expr)
	for i, element := range elements {
		at := attr.Expr.Range()
		if isList && i < len(exprs) {
			at = exprs[i].Range()
		}
		if wrong := a.check(element); wrong != "" {
			d.add(d.source.errorAt(at, "Wrong value", fmt.Sprintf("%s does not take this value. %s", subjectOf(a.Attribute), wrong)))
		}
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
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprint(n)
}
