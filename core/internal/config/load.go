package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/podrunner/runner/core/internal/diag"
)

// MaxBytes bounds a configuration file.
const MaxBytes = 1 << 20

// Load reads a configuration file, with overrides in place of what it says; of two for the same value the later one
// counts. The Config is nil when there are errors; the diagnostics are sorted. It evaluates everything but the blocks
// `config {}`, the locals that only those need, and what is overridden.
func Load(path string, overrides ...Override) (*Config, diag.Diagnostics) {
	file := &diag.File{Name: path}
	text, err := readConfig(path)
	if err != nil {
		return nil, diag.Diagnostics{unreadable(file, err)}
	}
	file.Text = text
	return parse(file, overrides...)
}

// Parse is Load of a text. The name is for diagnostics; relative paths start at its folder.
func Parse(name string, text []byte) (*Config, diag.Diagnostics) {
	return parse(&diag.File{Name: name, Text: text})
}

// parse is Load of a file that has been read.
func parse(file *diag.File, overrides ...Override) (*Config, diag.Diagnostics) {
	dir := filepath.Dir(file.Name)
	s := &source{file: file, scope: newScope(dir), overrides: places(overrides)}
	for _, o := range overrides {
		s.scope.read = append(s.scope.read, o.value)
	}
	l := &loader{source: s, config: &Config{Path: file.Name, source: s}, dir: dir}
	l.overriding = overriding{source: s, configs: map[*hclsyntax.Block][]Override{}}
	body, diags := parseBody(l.source)
	if diags.HasErrors() {
		return nil, diags.Sorted()
	}
	l.load(body, overrides)
	diags = slices.Concat(diags, l.diags, l.overriding.diags).Sorted()
	if diags.HasErrors() {
		s.hideUnread(body)
		return nil, diags
	}
	return l.config, diags
}

// CheckSyntax reports whether a text could be read as a configuration at all, whatever it says. The name is for the
// diagnostics.
func CheckSyntax(name string, text []byte) diag.Diagnostics {
	_, diags := parseBody(&source{file: &diag.File{Name: name, Text: text}, scope: newScope(".")})
	return diags.Sorted()
}

// readConfig reads the file, and a little more than its bound at most.
func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, MaxBytes+1))
}

func unreadable(file *diag.File, err error) diag.Diagnostic {
	d := diag.Diagnostic{
		Summary: "Configuration not readable",
		Detail:  fmt.Sprintf("The configuration file could not be read: %v.", withoutPath(err)),
		Range:   diag.Range{File: file},
	}
	if errors.Is(err, syscall.EISDIR) {
		d.Detail = fmt.Sprintf("%s is a folder. Name the configuration file itself with --config or RUNNER_CONFIG.", file.Name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		d.Summary = "No configuration file"
		d.Detail = fmt.Sprintf("There is no file %s. Name another one with --config or RUNNER_CONFIG.", file.Name)
	}
	return d
}

// parseBody parses the file's syntax.
func parseBody(s *source) (*hclsyntax.Body, diag.Diagnostics) {
	text := s.file.Text
	if len(text) > MaxBytes {
		return nil, diag.Diagnostics{s.errorAt(hcl.Range{}, "Configuration too large", fmt.Sprintf("A configuration has at most %d KiB.", MaxBytes>>10))}
	}
	if !utf8.Valid(text) {
		return nil, diag.Diagnostics{s.errorAt(hcl.Range{}, "Not a text file", "A configuration is written in UTF-8. Save the file in this encoding.")}
	}
	if at, rule := tooDeep(text, s.file.Name); rule != "" {
		return nil, diag.Diagnostics{s.errorAt(at, "Nested too deeply", rule)}
	}
	parsed, hclDiags := hclsyntax.ParseConfig(text, s.file.Name, hcl.InitialPos)
	if hclDiags.HasErrors() {
		hideLikelySecrets(s.file)
		return nil, distinct(s.convert(hclDiags))
	}
	body, ok := parsed.Body.(*hclsyntax.Body)
	if !ok {
		return nil, diag.Diagnostics{s.errorAt(hcl.Range{}, "Not a configuration", "The file is not in HCL's native syntax.")}
	}
	return body, s.convert(hclDiags)
}

// distinct returns the first of all diagnostics that say the same: a string with no end makes one for each line.
func distinct(in diag.Diagnostics) diag.Diagnostics {
	var out diag.Diagnostics
	for _, d := range in {
		if !slices.ContainsFunc(out, func(o diag.Diagnostic) bool { return o.Summary == d.Summary && o.Detail == d.Detail }) {
			out = append(out, d)
		}
	}
	return out
}

// likelySecret is a telling name and what follows, in its line, the equals sign or the colon after it. A list or a map in
// several lines is taken up to the line that begins with its bracket.
var (
	likelySecret = regexp.MustCompile(`(?mi)(?:` + tellingName + `|pod_overlay)[a-z0-9_-]*"?[ \t]*[=:][ \t]*((?:[\[{(][^\]})\n]*\n(?:[ \t]*(?:[^\]}) \t\n][^\n]*)?\n)*)?.*)$`)
	likelyName   = regexp.MustCompile(`(?i)` + tellingName)
)

const tellingName = `(?:token|secret|passw|credential|private|key|dsn)`

// hideLikelySecrets keeps values with a telling name out of snippets. It is for a file that does not parse: no schema
// can tell what is sensitive in it.
func hideLikelySecrets(file *diag.File) {
	end := 0
	for _, m := range likelySecret.FindAllSubmatchIndex(file.Text, -1) {
		if m[3] > end {
			end = max(m[3], m[2]+heredocBytes(file.Text[m[2]:]))
			file.Hide(m[2], end)
		}
	}
}

// heredocBegin is the first line of a here-document, with the word that ends it.
var heredocBegin = regexp.MustCompile(`^<<-?[ \t]*([^ \t\r\n]+)[ \t\r]*\n`)

// heredocBytes returns the bytes of the here-document that a text begins with, without its last line; 0 when it begins with none.
// One that has no end goes on to the end of the text.
func heredocBytes(text []byte) int {
	m := heredocBegin.FindSubmatchIndex(text)
	if m == nil {
		return 0
	}
	word := text[m[2]:m[3]]
	end := m[1]
	for line := range bytes.Lines(text[m[1]:]) {
		if bytes.Equal(bytes.TrimSpace(line), word) {
			break
		}
		end += len(line)
	}
	return end
}

// hideUnread keeps out of snippets what is meant for plugins. It is for a file with mistakes: the schemas of the plugins,
// which tell what is sensitive, are not asked any more.
func (s *source) hideUnread(body *hclsyntax.Body) {
	d := decoder{source: s}
	for _, pipeline := range blocksOf(body, "pipeline") {
		for _, use := range slices.Concat(blocksOf(pipeline.Body, "source"), blocksOf(pipeline.Body, "processor")) {
			for _, block := range blocksOf(use.Body, "config") {
				d.hideAll(block.Body)
			}
		}
	}
}

// loader makes a Config of a body.
type loader struct {
	source *source
	config *Config
	dir    string
	diags  diag.Diagnostics
	// kubernetes and local are the top-level blocks of these names, from which pipelines start.
	kubernetes cluster
	local      Local
	overriding overriding
}

func (l *loader) add(d diag.Diagnostic) { l.diags = append(l.diags, d) }

// load takes the blocks of the file, those first on which others rest.
func (l *loader) load(body *hclsyntax.Body, overrides []Override) {
	d := decoder{source: l.source}
	d.unknown(body, rootSettings.schema(), rootSettings.elsewhere)
	l.diags = append(l.diags, d.diags...)

	l.overriding.locals(body, overrides)
	l.locals(blocksOf(body, "locals"))
	l.overriding.blocks(body, overrides)
	l.runner(blocksOf(body, "runner"))
	l.telemetry(blocksOf(body, "telemetry"))
	l.scaling(blocksOf(body, "scaling"))
	l.kubernetes = cluster{settings: defaultKubernetes(), places: map[string]hcl.Range{}}
	l.kubernetesDefaults(body, &l.kubernetes)
	l.local = defaultLocal()
	l.localDefaults(body, &l.local)
	for _, block := range blocksOf(body, "plugin") {
		l.plugin(block)
	}
	pipelines := blocksOf(body, "pipeline")
	for _, block := range pipelines {
		l.pipeline(block)
	}
	if len(pipelines) == 0 {
		l.add(l.source.errorAt(hcl.Range{}, "No pipeline",
			"The configuration has no pipeline. Write at least one: pipeline \"default\" { processor \"sanitize\" {} }."))
	}
	l.unusedPlugins()
}

// locals notes the locals of all `locals` blocks; there may be several.
func (l *loader) locals(blocks []*hclsyntax.Block) {
	locals, d := l.source.scope.locals, decoder{source: l.source}
	for _, block := range blocks {
		l.source.labels(block, 0, &l.diags)
		for _, inner := range block.Body.Blocks {
			d.hideAll(inner.Body)
			l.add(l.source.errorAt(inner.TypeRange, "Unknown block",
				fmt.Sprintf("A locals block holds values only: write %s = { … } for a map.", inner.Type)))
		}
		for _, attr := range sortedAttributes(block.Body) {
			if first := locals[attr.Name]; first != nil {
				d.hide(attr.Expr)
				l.add(l.source.errorAt(attr.NameRange, "Second value", fmt.Sprintf(
					"The local value %q is defined at %s already. Remove one of them.", attr.Name, l.source.rng(first.attr.NameRange))))
				continue
			}
			locals[attr.Name] = &local{attr: attr}
			if likelyName.MatchString(attr.Name) {
				d.hide(attr.Expr)
			}
		}
	}
	l.diags = append(l.diags, l.source.convert(l.source.scope.checkLocals())...)
}

// sortedAttributes returns a body's attributes in the order of the file.
func sortedAttributes(body *hclsyntax.Body) []*hclsyntax.Attribute {
	var out []*hclsyntax.Attribute
	for _, attr := range body.Attributes {
		out = append(out, attr)
	}
	slices.SortFunc(out, func(a, b *hclsyntax.Attribute) int { return a.SrcRange.Start.Byte - b.SrcRange.Start.Byte })
	return out
}

func (l *loader) runner(blocks []*hclsyntax.Block) {
	l.config.Runner = defaultRunner()
	block := l.single(blocks)
	if block == nil {
		return
	}
	l.source.labels(block, 0, &l.diags)
	l.settings(block, runnerSettings, &l.config.Runner)
	r := &l.config.Runner
	r.LogLevel, r.LogFormat = strings.ToLower(r.LogLevel), strings.ToLower(r.LogFormat)
	if dir := l.config.Runner.PluginDir; dir != "" && !filepath.IsAbs(dir) {
		l.config.Runner.PluginDir = filepath.Join(l.dir, dir)
	}
}

// localDefaults puts what the block `local` of a body says into dst.
func (l *loader) localDefaults(body *hclsyntax.Body, dst *Local) {
	if block := l.single(blocksOf(body, "local")); block != nil {
		l.source.labels(block, 0, &l.diags)
		l.settings(block, localSettings, dst)
	}
}

// single returns the only block, or nil; a second one is an error.
func (l *loader) single(blocks []*hclsyntax.Block) *hclsyntax.Block {
	if len(blocks) == 0 {
		return nil
	}
	for _, more := range blocks[1:] {
		l.add(l.source.second(blocks[0], more))
	}
	return blocks[0]
}

// pluginName is the name of a plugin; it becomes a part of a file's name.
var pluginName = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

// named checks the label of a block against a pattern and returns it.
func (l *loader) named(block *hclsyntax.Block, pattern *regexp.Regexp, rule string) (string, bool) {
	if !l.source.labels(block, 1, &l.diags) {
		return "", false
	}
	name := block.Labels[0]
	if !pattern.MatchString(name) {
		l.add(l.source.errorAt(block.LabelRanges[0], "Bad name", fmt.Sprintf("The name of a %s is made of %s.", block.Type, rule)))
		return "", false
	}
	return name, true
}

const pluginNameRule = "lower-case letters, digits and dashes, and starts with a letter or digit"

func (l *loader) plugin(block *hclsyntax.Block) {
	p := &Plugin{Range: l.source.rng(block.DefRange())}
	l.settings(block, pluginSettings, p)
	name, ok := l.named(block, pluginName, pluginNameRule)
	if !ok {
		return
	}
	p.Name = name
	if first := l.config.Plugin(name); first != nil {
		l.add(l.source.errorAt(block.DefRange(), "Second block", fmt.Sprintf(
			"There is a block plugin %q at %s already. Put all settings into one.", name, first.Range)))
		return
	}
	l.config.Plugins = append(l.config.Plugins, p)
}

// unusedPlugins warns of plugin blocks that nobody needs: a slip in a name would otherwise leave a plugin unpinned.
func (l *loader) unusedPlugins() {
	var used []string
	for _, p := range l.config.Pipelines {
		for _, u := range p.Uses() {
			used = append(used, u.Name)
		}
	}
	for _, p := range l.config.Plugins {
		if !slices.Contains(used, p.Name) {
			l.add(diag.Diagnostic{
				Severity: diag.Warning,
				Summary:  "Plugin not used",
				Detail:   fmt.Sprintf("No pipeline uses the plugin %q, so this block does nothing.%s", p.Name, suggestOr(p.Name, used, "")),
				Range:    p.Range,
			})
		}
	}
}
