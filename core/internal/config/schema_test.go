package config

import pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"

// testSchema is the schema of a plugin that has one of everything.
var testSchema = &pluginv1.Schema{
	Attributes: []*pluginv1.Attribute{
		{Name: "token", Type: scalarType(pluginv1.Kind_KIND_STRING), Required: true, Sensitive: true, Description: "The key to the remote system."},
		{Name: "grade", Type: scalarType(pluginv1.Kind_KIND_STRING), Sensitive: true, OneOf: []string{"low", "high"}},
		{Name: "min_length", Type: scalarType(pluginv1.Kind_KIND_INT)},
		{Name: "enabled", Type: scalarType(pluginv1.Kind_KIND_BOOL)},
		{Name: "retries", Type: scalarType(pluginv1.Kind_KIND_INT)},
		{Name: "ratio", Type: scalarType(pluginv1.Kind_KIND_FLOAT)},
		{Name: "interval", Type: scalarType(pluginv1.Kind_KIND_DURATION)},
		{Name: "size", Type: scalarType(pluginv1.Kind_KIND_BYTES)},
		{Name: "pattern", Type: scalarType(pluginv1.Kind_KIND_REGEXP)},
		{Name: "mode", Type: scalarType(pluginv1.Kind_KIND_STRING), OneOf: []string{"fast", "slow"}},
		{Name: "modes", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_LIST, Element: pluginv1.Kind_KIND_STRING}, OneOf: []string{"fast", "slow"}},
		{Name: "queues", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_LIST, Element: pluginv1.Kind_KIND_STRING}},
		{Name: "waits", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_LIST, Element: pluginv1.Kind_KIND_DURATION}},
		{Name: "labels", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_MAP, Element: pluginv1.Kind_KIND_STRING}},
		{Name: "weights", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_MAP, Element: pluginv1.Kind_KIND_INT}},
		{Name: "old", Type: scalarType(pluginv1.Kind_KIND_INT), Deprecated: "Use retries; old goes away with version 2."},
	},
	Blocks: []*pluginv1.NestedBlock{
		{Type: "limits", Nesting: pluginv1.Nesting_NESTING_SINGLE, Body: &pluginv1.Schema{Attributes: []*pluginv1.Attribute{
			{Name: "cpu", Type: scalarType(pluginv1.Kind_KIND_INT)},
		}}},
		{Type: "step", Nesting: pluginv1.Nesting_NESTING_LIST, MaxItems: 3, Body: &pluginv1.Schema{Attributes: []*pluginv1.Attribute{
			{Name: "name", Type: scalarType(pluginv1.Kind_KIND_STRING), Required: true},
		}}},
		{Type: "rule", Nesting: pluginv1.Nesting_NESTING_MAP, Body: &pluginv1.Schema{Attributes: []*pluginv1.Attribute{
			{Name: "words", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_LIST, Element: pluginv1.Kind_KIND_STRING}},
		}}},
	},
}

func scalarType(kind pluginv1.Kind) *pluginv1.Type { return &pluginv1.Type{Kind: kind} }
