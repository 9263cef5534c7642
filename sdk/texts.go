package sdk

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/go-plugin"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// writeHelp tells a person what the program is.
func writeHelp(w io.Writer, d *pluginv1.DescribeResponse, commands []Command) error {
	kind, what := "processor", "a log processor"
	if d.GetSource() != nil {
		kind, what = "source", "a job source"
	}
	var own strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&own, "  %-10s %s\n", c.Name, c.Description)
	}
	_, err := fmt.Fprintf(w, `%[1]s %[2]s: %[5]s for Runner
%[3]s
This program is a plugin: core starts it, people do not. To use it, put it into core's plugin_dir under the name
runner-%[4]s-%[1]s, and add to a pipeline in runner.hcl:

    %[4]s "%[1]s" {
      config {}
    }

Commands:
%[6]s  describe   print what the plugin is and what config {} may hold, as JSON
  --debug    serve a core that was not started yet, from a debugger for instance
  --help     print this text
`, d.Name, d.Version, paragraph(d.Description), kind, what, own.String())
	return err
}

// paragraph puts an empty line after a text that is not empty.
func paragraph(s string) string {
	if s == "" {
		return ""
	}
	return s + "\n"
}

// writeReattach prints the variable that makes core use this process.
func writeReattach(w io.Writer, name string, c *plugin.ReattachConfig) error {
	type addr struct{ Network, String string }
	type config struct {
		Protocol        string
		ProtocolVersion int
		Pid             int
		Test            bool
		Addr            addr
	}
	variable, err := json.Marshal(map[string]config{name: {
		Protocol:        string(c.Protocol),
		ProtocolVersion: c.ProtocolVersion,
		Pid:             c.Pid,
		Test:            c.Test,
		Addr:            addr{Network: c.Addr.Network(), String: c.Addr.String()},
	}})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `The plugin runs. Start core with this variable, as often as you like:

    %s='%s'

Ctrl-C ends the plugin.
`, protocol.EnvReattach, variable)
	return err
}

// description is what `describe` prints.
type description struct {
	Name             string   `json:"name"`
	Version          string   `json:"version"`
	Description      string   `json:"description"`
	SDKVersion       string   `json:"sdk_version"`
	ProtocolVersions []int    `json:"protocol_versions"`
	Services         []string `json:"services"`
	// One of the two.
	Processor *processorDescription `json:"processor,omitempty"`
	Source    *sourceDescription    `json:"source,omitempty"`
	Commands  []string              `json:"commands,omitempty"`
	Config    schemaDescription     `json:"config"`
}

type sourceDescription struct {
	Scales  bool `json:"scales"`
	Resumes bool `json:"resumes"`
}

type processorDescription struct {
	Redacts      bool `json:"redacts"`
	NeedsSecrets bool `json:"needs_secrets"`
	Checkpoints  bool `json:"checkpoints"`
	ReadsOutcome bool `json:"reads_outcome"`
}

type schemaDescription struct {
	Description string                 `json:"description,omitempty"`
	Attributes  []attributeDescription `json:"attributes,omitempty"`
	Blocks      []blockDescription     `json:"blocks,omitempty"`
}

type attributeDescription struct {
	Name        string          `json:"name"`
	Type        string          `json:"type"`
	Required    bool            `json:"required"`
	Sensitive   bool            `json:"sensitive,omitempty"`
	Deprecated  string          `json:"deprecated,omitempty"`
	Description string          `json:"description,omitempty"`
	Default     json.RawMessage `json:"default,omitempty"`
	OneOf       []string        `json:"one_of,omitempty"`
}

type blockDescription struct {
	Type     string `json:"type"`
	Nesting  string `json:"nesting"`
	MinItems uint32 `json:"min_items"`
	MaxItems uint32 `json:"max_items,omitempty"`
	schemaDescription
}

// writeDescription prints a plugin as JSON.
func writeDescription(w io.Writer, d *pluginv1.DescribeResponse) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	out := description{
		Name:             d.Name,
		Version:          d.Version,
		Description:      d.Description,
		SDKVersion:       d.SdkVersion,
		ProtocolVersions: []int{protocol.Version},
		Services:         d.Services,
		Commands:         d.Commands,
		Config:           describeSchema(d.Config),
	}
	if p := d.Processor; p != nil {
		out.Processor = &processorDescription{
			Redacts: p.Redacts, NeedsSecrets: p.NeedsSecrets, Checkpoints: p.Checkpoints, ReadsOutcome: p.ReadsOutcome,
		}
	}
	if s := d.Source; s != nil {
		out.Source = &sourceDescription{Scales: s.Scales, Resumes: s.Resumes}
	}
	return encoder.Encode(out)
}

func describeSchema(s *pluginv1.Schema) schemaDescription {
	d := schemaDescription{Description: s.Description}
	for _, a := range s.Attributes {
		d.Attributes = append(d.Attributes, attributeDescription{
			Name:        a.Name,
			Type:        typeName(a.Type),
			Required:    a.Required,
			Sensitive:   a.Sensitive,
			Deprecated:  a.Deprecated,
			Description: a.Description,
			Default:     a.DefaultJson,
			OneOf:       a.OneOf,
		})
	}
	for _, b := range s.Blocks {
		d.Blocks = append(d.Blocks, blockDescription{
			Type:              b.Type,
			Nesting:           nestingNames[b.Nesting],
			MinItems:          b.MinItems,
			MaxItems:          b.MaxItems,
			schemaDescription: describeSchema(b.Body),
		})
	}
	return d
}

var kindNames = map[pluginv1.Kind]string{
	pluginv1.Kind_KIND_STRING:   "string",
	pluginv1.Kind_KIND_BOOL:     "bool",
	pluginv1.Kind_KIND_INT:      "int",
	pluginv1.Kind_KIND_FLOAT:    "float",
	pluginv1.Kind_KIND_DURATION: "duration",
	pluginv1.Kind_KIND_BYTES:    "bytes",
	pluginv1.Kind_KIND_REGEXP:   "regexp",
	pluginv1.Kind_KIND_LIST:     "list",
	pluginv1.Kind_KIND_MAP:      "map",
}

var nestingNames = map[pluginv1.Nesting]string{
	pluginv1.Nesting_NESTING_SINGLE: "single",
	pluginv1.Nesting_NESTING_LIST:   "list",
	pluginv1.Nesting_NESTING_MAP:    "map",
}

// typeName writes a type as people do: "list(string)".
func typeName(t *pluginv1.Type) string {
	if t.Element == pluginv1.Kind_KIND_UNSPECIFIED {
		return kindNames[t.Kind]
	}
	return kindNames[t.Kind] + "(" + kindNames[t.Element] + ")"
}
