package protocol

import (
	"encoding/json"
	"strings"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// Description is a plugin's description as JSON, which `describe` of its program and `core plugins describe --json` print.
type Description struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description"`
	SDKVersion  string `json:"sdk_version"`
	// ProtocolVersions are those that the program speaks. Core, which has chosen one, leaves them out.
	ProtocolVersions []int    `json:"protocol_versions,omitempty"`
	Services         []string `json:"services"`
	// One of the two.
	Processor *ProcessorTraits `json:"processor,omitempty"`
	Source    *SourceTraits    `json:"source,omitempty"`
	Commands  []string         `json:"commands,omitempty"`
	Config    Schema           `json:"config"`
}

// ProcessorTraits are what core has to know of a processor.
type ProcessorTraits struct {
	Redacts      bool `json:"redacts"`
	NeedsSecrets bool `json:"needs_secrets"`
	Checkpoints  bool `json:"checkpoints"`
	ReadsOutcome bool `json:"reads_outcome"`
}

// SourceTraits are what core has to know of a source.
type SourceTraits struct {
	Scales  bool `json:"scales"`
	Resumes bool `json:"resumes"`
}

// Schema is what a config block, or a block in it, may hold.
type Schema struct {
	Description string      `json:"description,omitempty"`
	Attributes  []Attribute `json:"attributes,omitempty"`
	Blocks      []Block     `json:"blocks,omitempty"`
}

// Attribute is an argument of a block.
type Attribute struct {
	Name string `json:"name"`
	// Type is as TypeName writes it.
	Type        string          `json:"type"`
	Required    bool            `json:"required"`
	Sensitive   bool            `json:"sensitive,omitempty"`
	Deprecated  string          `json:"deprecated,omitempty"`
	Description string          `json:"description,omitempty"`
	Default     json.RawMessage `json:"default,omitempty"`
	OneOf       []string        `json:"one_of,omitempty"`
}

// Block is a block in a block.
type Block struct {
	Type string `json:"type"`
	// Nesting is "single", "list" or "map".
	Nesting  string `json:"nesting"`
	MinItems uint32 `json:"min_items"`
	// MaxItems is 0 when there may be any number.
	MaxItems uint32 `json:"max_items,omitempty"`
	Schema
}

// Describe makes a Description of a plugin's answer.
func Describe(d *pluginv1.DescribeResponse) Description {
	out := Description{
		Name:        d.GetName(),
		Version:     d.GetVersion(),
		Description: d.GetDescription(),
		SDKVersion:  d.GetSdkVersion(),
		Services:    d.GetServices(),
		Commands:    d.GetCommands(),
		Config:      describeSchema(d.GetConfig()),
	}
	if p := d.GetProcessor(); p != nil {
		out.Processor = &ProcessorTraits{p.GetRedacts(), p.GetNeedsSecrets(), p.GetCheckpoints(), p.GetReadsOutcome()}
	}
	if s := d.GetSource(); s != nil {
		out.Source = &SourceTraits{s.GetScales(), s.GetResumes()}
	}
	return out
}

func describeSchema(s *pluginv1.Schema) Schema {
	out := Schema{Description: s.GetDescription()}
	for _, a := range s.GetAttributes() {
		attribute := Attribute{
			Name:        a.GetName(),
			Type:        TypeName(a.GetType()),
			Required:    a.GetRequired(),
			Sensitive:   a.GetSensitive(),
			Deprecated:  a.GetDeprecated(),
			Description: a.GetDescription(),
			OneOf:       a.GetOneOf(),
		}
		// The default of a sensitive attribute is not shown, and neither is what is no JSON.
		if json.Valid(a.GetDefaultJson()) && !a.GetSensitive() {
			attribute.Default = a.GetDefaultJson()
		}
		out.Attributes = append(out.Attributes, attribute)
	}
	for _, b := range s.GetBlocks() {
		out.Blocks = append(out.Blocks, Block{
			Type:     b.GetType(),
			Nesting:  enumWord(b.GetNesting().String(), "NESTING_"),
			MinItems: b.GetMinItems(),
			MaxItems: b.GetMaxItems(),
			Schema:   describeSchema(b.GetBody()),
		})
	}
	return out
}

// TypeName writes a type as people do: "list(string)".
func TypeName(t *pluginv1.Type) string {
	name := enumWord(t.GetKind().String(), "KIND_")
	if t.GetElement() != pluginv1.Kind_KIND_UNSPECIFIED {
		name += "(" + enumWord(t.GetElement().String(), "KIND_") + ")"
	}
	return name
}

// enumWord returns the name of an enum's value as it is spoken: "list" for KIND_LIST.
func enumWord(name, prefix string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }
