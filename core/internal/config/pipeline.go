package config

import (
	"fmt"
	"maps"
	"regexp"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// pipelineName is the name of a pipeline; it goes into log lines and metrics.
var pipelineName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

const pipelineNameRule = "letters, digits, dashes and underscores, and starts with a letter or digit"

// Uses returns the plugins that a pipeline uses: the processors in order, then the source if there is one.
func (p *Pipeline) Uses() []*Use {
	var uses []*Use
	for _, processor := range p.Processors {
		uses = append(uses, &processor.Use)
	}
	if p.Source != nil {
		uses = append(uses, p.Source)
	}
	return uses
}

func (l *loader) pipeline(block *hclsyntax.Block) {
	p := &Pipeline{Deliver: defaultDeliver(), Local: l.local, Range: l.source.rng(block.DefRange())}
	l.settings(block, pipelineSettings, p)
	if deliver := l.single(blocksOf(block.Body, "deliver")); deliver != nil {
		l.source.labels(deliver, 0, &l.diags)
		l.settings(deliver, deliverSettings, &p.Deliver)
	}
	cluster := l.kubernetes.clone()
	l.kubernetesDefaults(block.Body, &cluster)
	l.checkCluster(cluster)
	p.Kubernetes = cluster.settings
	p.Local.Tools = maps.Clone(p.Local.Tools) // else what is added here would be there in all pipelines
	l.localDefaults(block.Body, &p.Local)

	sources := blocksOf(block.Body, "source")
	for i, inner := range sources {
		if i > 0 {
			l.add(l.source.errorAt(inner.DefRange(), "Second source", fmt.Sprintf(
				"This pipeline has a source at %s already. Give each source a pipeline of its own.", l.source.rng(sources[0].DefRange()))))
			continue
		}
		p.Source = l.use(inner, sourceSettings, &struct{}{})
	}
	processors := blocksOf(block.Body, "processor")
	for _, inner := range processors {
		processor := &Processor{OnError: OnErrorFail, OnErrorRange: l.source.rng(attributeRange(inner, "on_error"))}
		if u := l.use(inner, processorSettings, processor); u != nil {
			processor.Use = *u
			p.Processors = append(p.Processors, processor)
		}
	}
	if len(sources)+len(processors) == 0 {
		l.add(l.source.errorAt(block.DefRange(), "Empty pipeline",
			"This pipeline has no source and no processor, so it does nothing. Add a processor, such as processor \"sanitize\" {}, or remove it."))
	}

	name, ok := l.named(block, pipelineName, pipelineNameRule)
	if !ok {
		return
	}
	p.Name = name
	for _, first := range l.config.Pipelines {
		if first.Name == name {
			l.add(l.source.errorAt(block.DefRange(), "Second block", fmt.Sprintf(
				"There is a pipeline %q at %s already. Give this one another name.", name, first.Range)))
			return
		}
	}
	l.config.Pipelines = append(l.config.Pipelines, p)
}

// use takes a block source or processor: core's settings go into dst, config {} is kept for the plugin.
func (l *loader) use(block *hclsyntax.Block, s settings, dst any) *Use {
	l.settings(block, s, dst)
	u := &Use{Range: l.source.rng(block.DefRange()), source: l.source, header: block.DefRange(), overrides: l.overriding.configs[block]}
	if inner := l.single(blocksOf(block.Body, "config")); inner != nil {
		l.source.labels(inner, 0, &l.diags)
		u.body, u.header = inner.Body, inner.DefRange()
	}
	name, ok := l.named(block, pluginName, pluginNameRule)
	if !ok {
		return nil
	}
	u.Name = name
	return u
}
