package cmd

import (
	"strings"
	"testing"

	"github.com/podrunner/runner/core/internal/pluginhost"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// TestDescribeRenamed: the block that is shown has the name under which core finds the plugin, whatever it calls itself.
func TestDescribeRenamed(t *testing.T) {
	var out strings.Builder
	description := &pluginv1.DescribeResponse{Name: "shout", Version: "1", Config: &pluginv1.Schema{Attributes: []*pluginv1.Attribute{
		{Name: "suffix", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_STRING}},
	}}}
	if err := writeDescription(&out, pluginhost.Found{Kind: pluginhost.Processor, Name: "whisper"}, description); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"processor \"whisper\", version 1\nIt calls itself \"shout\".\n", "processor \"whisper\" {\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got:\n%s\nwant %q in it", out.String(), want)
		}
	}
}
