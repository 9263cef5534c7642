package sdktest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/podrunner/runner/sdk"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// Diagnostic is what a plugin finds wrong with its configuration.
type Diagnostic struct {
	// Severity is "error" or "warning".
	Severity string
	// Path is where it is: `rule[0].pattern`, `labels["k"]`; empty for the configuration as a whole.
	Path            string
	Summary, Detail string
}

// Validate returns what a plugin finds wrong with a configuration, written as in [Job], in the order in which it is found.
func Validate(t testing.TB, plugin sdk.Plugin, config map[string]any) []Diagnostic {
	t.Helper()
	response, err := pluginv1.NewPluginClient(dial(t, plugin)).Validate(t.Context(),
		&pluginv1.ValidateRequest{ConfigJson: configJSON(t, config)})
	if err != nil {
		t.Fatalf("sdktest.Validate: %v", err)
	}
	return diagnosticsOf(response.Diagnostics)
}

func diagnosticsOf(list []*pluginv1.Diagnostic) []Diagnostic {
	var out []Diagnostic
	for _, d := range list {
		severity := "warning"
		if d.Severity == pluginv1.Severity_SEVERITY_ERROR {
			severity = "error"
		}
		out = append(out, Diagnostic{Severity: severity, Path: pathText(d.Path), Summary: d.Summary, Detail: d.Detail})
	}
	return out
}

func pathText(p *pluginv1.Path) string {
	var b strings.Builder
	for _, step := range p.GetSteps() {
		switch s := step.Step.(type) {
		case *pluginv1.Path_Step_Name:
			if b.Len() > 0 {
				_ = b.WriteByte('.')
			}
			_, _ = b.WriteString(s.Name)
		case *pluginv1.Path_Step_Key:
			_, _ = fmt.Fprintf(&b, "[%q]", s.Key)
		case *pluginv1.Path_Step_Index:
			_, _ = fmt.Fprintf(&b, "[%d]", s.Index)
		}
	}
	return b.String()
}
