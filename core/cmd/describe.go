package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/podrunner/runner/core/internal/pluginhost"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// writeDescription prints a plugin for people, under the name that it is configured by: that of its file.
func writeDescription(w io.Writer, found pluginhost.Found, d *pluginv1.DescribeResponse) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q, version %s\n", found.Kind, found.Name, orDash(d.GetVersion()))
	if d.GetName() != found.Name {
		fmt.Fprintf(&b, "It calls itself %q.\n", d.GetName())
	}
	if d.GetDescription() != "" {
		fmt.Fprintf(&b, "%s\n", d.GetDescription())
	}
	for _, trait := range traits(d) {
		fmt.Fprintf(&b, "- %s\n", trait)
	}
	config := d.GetConfig()
	if len(config.GetAttributes())+len(config.GetBlocks()) == 0 {
		b.WriteString("\nIt takes no configuration.\n")
	} else {
		fmt.Fprintf(&b, "\n%s %q {\n", found.Kind, found.Name)
		writeBlock(&b, "config {", "", config, "  ")
		b.WriteString("}\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// traits says what core has to know of the plugin.
func traits(d *pluginv1.DescribeResponse) []string {
	var out []string
	for _, t := range []struct {
		has  bool
		text string
	}{
		{d.GetProcessor().GetRedacts(), "redacts: a log never passes by it"},
		{d.GetProcessor().GetNeedsSecrets(), "gets the sensitive values of jobs"},
		{d.GetProcessor().GetCheckpoints(), "goes on where it was when it is restarted"},
		{d.GetProcessor().GetReadsOutcome(), "reads the outcome files of jobs"},
		{d.GetSource().GetScales(), "says how many runners it wishes for"},
		{d.GetSource().GetResumes(), "takes back jobs of a runner that is gone"},
	} {
		if t.has {
			out = append(out, t.text)
		}
	}
	return out
}

// writeBlock prints a block as it stands in runner.hcl, each argument with a comment above it.
func writeBlock(b *strings.Builder, head, comment string, s *pluginv1.Schema, indent string) {
	inner := indent + "  "
	for _, text := range []string{comment, s.GetDescription()} {
		writeComment(b, text, indent)
	}
	fmt.Fprintf(b, "%s%s\n", indent, head)
	for _, a := range s.GetAttributes() {
		writeComment(b, a.GetDescription(), inner)
		if a.GetDeprecated() != "" {
			writeComment(b, "Deprecated: "+a.GetDeprecated(), inner)
		}
		fmt.Fprintf(b, "%s%s = %s\n", inner, a.GetName(), argumentForm(a))
	}
	for _, block := range s.GetBlocks() {
		head := block.GetType() + " {"
		if block.GetNesting() == pluginv1.Nesting_NESTING_MAP {
			head = block.GetType() + ` "name" {`
		}
		writeBlock(b, head, howMany(block), block.GetBody(), inner)
	}
	fmt.Fprintf(b, "%s}\n", indent)
}

func writeComment(b *strings.Builder, text, indent string) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(b, "%s# %s\n", indent, line)
	}
}

// argumentForm says what an argument takes: its type, whether it must stand there, its default, its set of values.
func argumentForm(a *pluginv1.Attribute) string {
	parts := []string{protocol.TypeName(a.GetType())}
	switch {
	case a.GetRequired():
		parts = append(parts, "required")
	case a.GetSensitive() || len(a.GetDefaultJson()) == 0:
		parts = append(parts, "optional")
	default:
		parts = append(parts, "default "+defaultForm(a))
	}
	if a.GetSensitive() {
		parts = append(parts, "sensitive")
	}
	if set := a.GetOneOf(); len(set) > 0 {
		parts = append(parts, "one of "+strings.Join(set, ", "))
	}
	return strings.Join(parts, ", ")
}

// defaultForm returns a default as one would write it in runner.hcl.
func defaultForm(a *pluginv1.Attribute) string {
	text := string(a.GetDefaultJson())
	if a.GetType().GetKind() == pluginv1.Kind_KIND_DURATION {
		var d time.Duration
		if json.Unmarshal(a.GetDefaultJson(), &d) == nil {
			return fmt.Sprintf("%q", d.String())
		}
	}
	return text
}

// howMany says how many blocks of a type there may be.
func howMany(b *pluginv1.NestedBlock) string {
	single := b.GetNesting() == pluginv1.Nesting_NESTING_SINGLE
	switch least, most := b.GetMinItems(), b.GetMaxItems(); {
	case single && least == 0:
		return "At most one."
	case single:
		return "Required."
	case least == 0 && most == 0:
		return "Any number."
	case most == 0:
		return fmt.Sprintf("At least %d.", least)
	case least == 0:
		return fmt.Sprintf("At most %d.", most)
	default:
		return fmt.Sprintf("From %d to %d.", least, most)
	}
}
