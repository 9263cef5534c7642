package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/core/internal/diag"
)

// TestScaling reads blocks that are no errors.
func TestScaling(t *testing.T) {
	with := func(change func(*Scaling)) Scaling {
		s := defaultScaling()
		change(&s)
		return s
	}
	for name, test := range map[string]struct {
		block   string
		want    Scaling
		warning string
	}{
		"none":                 {"", defaultScaling(), ""},
		"off needs no pod":     {"scaling {\n  enabled = false\n  pod = env(\"RUNNER_TEST_NONE\", \"\")\n}\n", defaultScaling(), ""},
		"pod, though it's off": {"scaling {\n  pod = \"a\"\n}\n", with(func(s *Scaling) { s.Pod = "a" }), ""},
		"on": {"scaling {\n  enabled = \"true\"\n  pod = \"a\"\n}\n", with(func(s *Scaling) {
			s.Enabled, s.Pod = true, "a"
		}), ""},
		"bounds at odds": {"scaling {\n  min_replicas = 3\n  max_replicas = 2\n}\n", with(func(s *Scaling) {
			s.MinReplicas, s.MaxReplicas = 3, 2
		}), "there are always min_replicas runners"},
	} {
		t.Run(name, func(t *testing.T) {
			c, diags := parse(&diag.File{Name: "runner.hcl", Text: []byte(test.block + "pipeline \"default\" {\n  processor \"sanitize\" {}\n}\n")})
			if c == nil {
				t.Fatal(diags)
			}
			if d := cmp.Diff(test.want, c.Scaling, sameConfig); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			switch {
			case test.warning == "" && len(diags) > 0:
				t.Errorf("there is %v", diags)
			case test.warning != "" && (len(diags) != 1 || !strings.Contains(diags[0].Detail, test.warning) || diags[0].Range.Start.Line != 3):
				t.Errorf("no warning in line 3 that %s: %v", test.warning, diags)
			}
		})
	}
}
