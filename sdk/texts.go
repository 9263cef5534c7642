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

// writeDescription prints a plugin as JSON.
func writeDescription(w io.Writer, d *pluginv1.DescribeResponse) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	out := protocol.Describe(d)
	out.ProtocolVersions = []int{protocol.Version}
	return encoder.Encode(out)
}
