package config

import (
	"io"
	"os"
	"slices"
	"testing"

	"github.com/podrunner/runner/core/internal/diag"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// FuzzLoad reads anything as a configuration, decodes what is meant for plugins, and prints what comes of it.
func FuzzLoad(f *testing.F) {
	for _, dir := range []string{"bad", "good", "plugin"} {
		entries, err := os.ReadDir("testdata/" + dir)
		if err != nil {
			f.Fatal(err)
		}
		for _, entry := range entries {
			text, err := os.ReadFile("testdata/" + dir + "/" + entry.Name())
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, diags := parse(&diag.File{Name: "runner.hcl", Text: text})
		if (c == nil) != diags.HasErrors() {
			t.Fatalf("got a configuration %v with %v", c, diags)
		}
		if c != nil {
			diags = append(diags, c.CheckLocals()...)
			for _, p := range c.Pipelines {
				for _, u := range p.Uses() {
					_, more := u.Decode(testSchema)
					diags = append(diags, more...)
					diags = append(diags, u.Locate([]*pluginv1.Diagnostic{{Path: &pluginv1.Path{Steps: steps("rule", key("a"), "words", 1)}}})...)
				}
			}
		}
		for _, style := range []diag.Style{{}, {Width: 10, Color: true}} {
			if err := diag.WriteText(io.Discard, diags, style); err != nil {
				t.Fatal(err)
			}
		}
		if err := diag.WriteJSON(io.Discard, diags); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzOverride puts any override into a file, and into a plugin's configuration: none may make it panic.
func FuzzOverride(f *testing.F) {
	for _, set := range []string{
		"kubernetes.labels.a.b=c", `kubernetes.resources.limits["nvidia.com/gpu"]=1`, "kubernetes.security_context={ runAsUser = 1 }",
		"source.config.rule.a.words=[1]", "source.config.step[0].name=x", "locals.team=${a}", `runner.name=env("X", "y")`, "pipeline.default.source.test.config.token=null",
		"kubernetes.tolerations=[{ key = 1 }]", "kubernetes.pod_overlay=spec: {}", "plugin.a.env=[]", "processor.prefix[1].config.x.y=1",
	} {
		f.Add(set)
	}
	var overrides []Override
	for _, set := range append(slices.Clone(needed), "source.config.token=xyzzy") {
		o, err := ParseOverride(set)
		if err != nil {
			f.Fatal(err)
		}
		overrides = append(overrides, o)
	}
	f.Fuzz(func(t *testing.T, set string) {
		o, err := ParseOverride(set)
		if err != nil {
			return
		}
		c, diags := parse(&diag.File{Name: "runner.hcl", Text: []byte(overriddenFile)}, append(slices.Clone(overrides), o)...)
		if c != nil {
			_, diags = c.Pipelines[0].Source.Decode(testSchema)
		}
		if err := diag.WriteText(io.Discard, diags, diag.Style{}); err != nil {
			t.Fatal(err)
		}
	})
}
