package sdk

import (
	"slices"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// Diagnostics collects what is wrong with a configuration. Core prints it with file, line and column. It is for one
// goroutine, until the call that it was given to returns.
type Diagnostics struct {
	list []*pluginv1.Diagnostic
}

// Error says that the configuration cannot be used. summary is a short noun phrase with no full stop ("No queues");
// detail is whole sentences that say how to mend it. Neither holds a sensitive value.
func (d *Diagnostics) Error(path Path, summary, detail string) {
	d.add(pluginv1.Severity_SEVERITY_ERROR, path, summary, detail)
}

// Warn says that the configuration can be used, but that its author should know something. Texts as in Error.
func (d *Diagnostics) Warn(path Path, summary, detail string) {
	d.add(pluginv1.Severity_SEVERITY_WARNING, path, summary, detail)
}

// HasErrors reports whether Error has been called.
func (d *Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(d.list, func(x *pluginv1.Diagnostic) bool {
		return x.Severity == pluginv1.Severity_SEVERITY_ERROR
	})
}

func (d *Diagnostics) add(severity pluginv1.Severity, path Path, summary, detail string) {
	d.list = append(d.list, &pluginv1.Diagnostic{
		Severity: severity,
		Summary:  summary,
		Detail:   detail,
		Path:     path.proto(),
	})
}

// Path leads from the configuration to a value inside it: At("rule").Index(0).Name("pattern"). The zero Path is the
// configuration as a whole. Paths are values; every method returns a new one.
type Path struct {
	steps []*pluginv1.Path_Step
}

// At returns the path to an attribute or block of the configuration.
func At(name string) Path { return Path{}.Name(name) }

// Name goes on to an attribute or block inside a block.
func (p Path) Name(name string) Path {
	return p.with(&pluginv1.Path_Step{Step: &pluginv1.Path_Step_Name{Name: name}})
}

// Index goes on to an element of a list, or to one of several blocks, from 0.
func (p Path) Index(i int) Path {
	return p.with(&pluginv1.Path_Step{Step: &pluginv1.Path_Step_Index{Index: int64(i)}})
}

// Key goes on to an element of a map, or to the block with a label.
func (p Path) Key(key string) Path {
	return p.with(&pluginv1.Path_Step{Step: &pluginv1.Path_Step_Key{Key: key}})
}

func (p Path) with(step *pluginv1.Path_Step) Path {
	return Path{steps: append(slices.Clip(p.steps), step)}
}

func (p Path) proto() *pluginv1.Path {
	if len(p.steps) == 0 {
		return nil
	}
	return &pluginv1.Path{Steps: p.steps}
}
