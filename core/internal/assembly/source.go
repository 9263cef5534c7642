package assembly

import (
	"context"
	"fmt"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/diag"
	"github.com/podrunner/runner/core/internal/pluginhost"
)

// Source launches the source of a pipeline and configures it; no processor is started. The plugin is nil when there are
// errors, and a pipeline without a source is one. The rest is as with Processors.
func Source(ctx context.Context, host *pluginhost.Host, pipeline *config.Pipeline) (*pluginhost.Plugin, diag.Diagnostics, error) {
	a := &assembler{host: host}
	p := a.launchSource(ctx, pipeline)
	if p != nil {
		a.configure(ctx, []*part{p})
	}
	if a.diags.HasErrors() {
		return nil, a.diags.Sorted(), a.broken()
	}
	return p.plugin, a.diags.Sorted(), nil
}

// Decoded is a plugin that was launched, and the configuration that it has found nothing wrong with, as JSON. It is not
// configured: it has reached no remote system.
type Decoded struct {
	Plugin *pluginhost.Plugin
	JSON   []byte
}

// DecodeSource launches the source of a pipeline and has it look at its configuration, for someone else to use. The rest
// is as with Source.
func DecodeSource(ctx context.Context, host *pluginhost.Host, pipeline *config.Pipeline) (*Decoded, diag.Diagnostics, error) {
	a := &assembler{host: host}
	p := a.launchSource(ctx, pipeline)
	if p != nil && a.decode(p) {
		a.validate(ctx, []*part{p})
	}
	if a.diags.HasErrors() {
		return nil, a.diags.Sorted(), a.broken()
	}
	return &Decoded{Plugin: p.plugin, JSON: p.json}, a.diags.Sorted(), nil
}

// sourceParts returns the source of a pipeline, if it has one.
func sourceParts(pipeline *config.Pipeline) []*part {
	if pipeline.Source == nil {
		return nil
	}
	return []*part{{kind: pluginhost.Source, use: pipeline.Source}}
}

// launchSource returns the source of a pipeline, launched, or nil and what keeps it from that.
func (a *assembler) launchSource(ctx context.Context, pipeline *config.Pipeline) *part {
	parts := sourceParts(pipeline)
	if parts == nil {
		a.diags = append(a.diags, diag.Diagnostic{
			Summary: "No source",
			Detail:  fmt.Sprintf("The pipeline %q has nothing that hands out jobs. Add a block source \"name\" { … } to it; `core plugins list` prints which there are.", pipeline.Name),
			Range:   pipeline.Range,
		})
		return nil
	}
	a.launch(ctx, parts)
	if parts[0].plugin == nil {
		return nil
	}
	return parts[0]
}
