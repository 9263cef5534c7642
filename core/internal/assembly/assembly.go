// Package assembly puts a configuration and its plugins together: it tells the plugin host what the configuration says
// of plugins, launches those of a pipeline, decodes what is meant for each against its schema, and configures them. What
// the user has to mend comes out as diagnostics with their place in the file; what is broken, as an error besides.
package assembly

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/diag"
	"github.com/podrunner/runner/core/internal/pluginhost"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// How long a plugin has for an answer, and beside that for a new process should this one die, for which the host's own
// limits have no end. Validate does no I/O; Configure may have to reach a remote system.
const (
	validateTimeout  = 10 * time.Second
	configureTimeout = time.Minute
)

// Stage is a processor of a pipeline, launched and configured.
type Stage struct {
	*config.Processor
	Plugin *pluginhost.Plugin
}

// Processors launches the processors of a pipeline, all at once, and configures them. The stages are in the order of
// the pipeline, and nil when there are errors. The error is not nil when a plugin is broken; what it says stands in the
// diagnostics as well. The plugins live until the host is closed, whatever is returned.
func Processors(ctx context.Context, host *pluginhost.Host, pipeline *config.Pipeline) ([]Stage, diag.Diagnostics, error) {
	parts := processorParts(pipeline)
	a := &assembler{host: host}
	a.launch(ctx, parts)
	a.order(parts)
	if a.diags.HasErrors() {
		return nil, a.diags.Sorted(), a.broken()
	}
	a.configure(ctx, parts)
	if a.diags.HasErrors() {
		return nil, a.diags.Sorted(), a.broken()
	}
	stages := make([]Stage, len(parts))
	for i, p := range parts {
		stages[i] = Stage{Processor: pipeline.Processors[i], Plugin: p.plugin}
	}
	return stages, a.diags.Sorted(), nil
}

// Check launches every plugin that a configuration uses, and asks each what it has against its configuration; it
// configures none. The error is as with Processors.
func Check(ctx context.Context, host *pluginhost.Host, c *config.Config) (diag.Diagnostics, error) {
	a := &assembler{host: host}
	var all []*part
	for _, pipeline := range c.Pipelines {
		parts := processorParts(pipeline)
		parts = append(parts, sourceParts(pipeline)...)
		all = append(all, parts...)
	}
	a.launchOnce(ctx, all)
	for _, pipeline := range c.Pipelines {
		a.order(partsOf(all, pipeline))
	}
	var decoded []*part
	for _, p := range all {
		if p.plugin != nil && a.decode(p) {
			decoded = append(decoded, p)
		}
	}
	a.validate(ctx, decoded)
	if c.Scaling.Enabled && !slices.ContainsFunc(all, (*part).mayScale) {
		a.diags = append(a.diags, NoOpinion(c)...)
	}
	return a.diags.Sorted(), a.broken()
}

// mayScale reports whether a part is a source that has an opinion on the number of runners, or might have one if it could
// be launched.
func (p *part) mayScale() bool {
	return p.kind == pluginhost.Source && (p.plugin == nil || Recommender(p.plugin) != nil)
}

// part is one use of a plugin.
type part struct {
	kind pluginhost.Kind
	use  *config.Use
	// processor is nil for a source.
	processor *config.Processor
	// plugin is nil when it could not be launched.
	plugin *pluginhost.Plugin
	json   []byte
}

func processorParts(pipeline *config.Pipeline) []*part {
	var parts []*part
	for _, p := range pipeline.Processors {
		parts = append(parts, &part{kind: pluginhost.Processor, use: &p.Use, processor: p})
	}
	return parts
}

// partsOf returns the parts that are the processors of a pipeline, in order.
func partsOf(all []*part, pipeline *config.Pipeline) []*part {
	var out []*part
	for _, processor := range pipeline.Processors {
		for _, p := range all {
			if p.processor == processor {
				out = append(out, p)
			}
		}
	}
	return out
}

// assembler collects what goes wrong.
type assembler struct {
	host  *pluginhost.Host
	diags diag.Diagnostics
	errs  []error
}

// broken returns the faults of plugins, nil when there are none.
func (a *assembler) broken() error { return errors.Join(a.errs...) }

// launch starts a plugin for each part.
func (a *assembler) launch(ctx context.Context, parts []*part) {
	errs := make([]error, len(parts))
	var wg sync.WaitGroup
	for i, p := range parts {
		wg.Go(func() { p.plugin, errs[i] = a.host.Launch(ctx, p.kind, p.use.Name) })
	}
	wg.Wait()
	for i, p := range parts {
		if errs[i] != nil {
			a.fault(p, errs[i])
		}
	}
}

// launchOnce starts each plugin once, however many parts use it.
func (a *assembler) launchOnce(ctx context.Context, parts []*part) {
	type key struct {
		kind pluginhost.Kind
		name string
	}
	first := map[key]*part{}
	var firsts []*part
	for _, p := range parts {
		k := key{p.kind, p.use.Name}
		if first[k] == nil {
			first[k] = p
			firsts = append(firsts, p)
		}
	}
	a.launch(ctx, firsts)
	for _, p := range parts {
		p.plugin = first[key{p.kind, p.use.Name}].plugin
	}
}

// each calls a plugin for each part, all at once, and gives the answers their places.
func (a *assembler) each(parts []*part, call func(*part) ([]*pluginv1.Diagnostic, error)) {
	answers := make([][]*pluginv1.Diagnostic, len(parts))
	errs := make([]error, len(parts))
	var wg sync.WaitGroup
	for i, p := range parts {
		wg.Go(func() { answers[i], errs[i] = call(p) })
	}
	wg.Wait()
	for i, p := range parts {
		a.diags = append(a.diags, p.use.Locate(answers[i])...)
		if errs[i] != nil {
			a.fault(p, errs[i])
		}
	}
}

// configure decodes what is meant for each part and, unless something is wrong with one of them, configures them all.
func (a *assembler) configure(ctx context.Context, parts []*part) {
	for _, p := range parts {
		a.decode(p)
	}
	if a.diags.HasErrors() {
		return
	}
	a.each(parts, func(p *part) ([]*pluginv1.Diagnostic, error) {
		ctx, cancel := context.WithTimeout(ctx, configureTimeout)
		defer cancel()
		return p.plugin.Configure(ctx, p.json)
	})
}

// validate asks for opinions on what was decoded.
func (a *assembler) validate(ctx context.Context, decoded []*part) {
	a.each(decoded, func(p *part) ([]*pluginv1.Diagnostic, error) {
		ctx, cancel := context.WithTimeout(ctx, validateTimeout)
		defer cancel()
		return p.plugin.Validate(ctx, p.json)
	})
}

// decode makes the JSON that is meant for the plugin; false when there are errors. Its sensitive values are hidden from
// then on, errors or not: what can't be decoded is still in the file, and in the environment of whoever talks of it.
func (a *assembler) decode(p *part) bool {
	json, diags := p.use.Decode(p.plugin.Description().GetConfig())
	a.host.Hide(p.use.Secrets()...)
	p.json = json
	a.diags = append(a.diags, diags...)
	return !diags.HasErrors()
}

// fault notes that a plugin can't be had: a diagnostic where it is used and, unless the user mends it there, an error.
func (a *assembler) fault(p *part, err error) {
	word := "Unusable"
	var known *pluginhost.Error
	switch {
	case !pluginhost.IsConfiguration(err):
		word = "Broken"
		a.errs = append(a.errs, err)
	case errors.As(err, &known) && known.Reason == pluginhost.NotFound:
		word = "No"
	}
	a.diags = append(a.diags, diag.Diagnostic{
		Summary: fmt.Sprintf("%s %s %q", word, p.kind, p.use.Name),
		Detail:  upperFirst(err.Error()),
		Range:   p.use.Range,
	})
}

func upperFirst(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
