package e2e

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vectors are recorded from the seed's own processors.
type vectors struct {
	OutcomeVariables []struct {
		Name             string
		StdoutLines      []string
		LinesPassedOn    []string
		OutcomeVariables map[string]string
	}
	Sanitize []struct {
		Name      string
		Variables []map[string]any
		In, Out   string
	}
}

func loadVectors(t *testing.T) (v vectors) {
	t.Helper()
	raw, err := os.ReadFile("testdata/log-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// replay sends lines through processors and returns the lines and the variables that come out.
func replay(t *testing.T, lines []string, args ...string) (out []string, variables map[string]string) {
	t.Helper()
	args = append([]string{"replay", "--output", "json"}, args...)
	stdout, stderr, code := run(t, strings.NewReader(strings.Join(lines, "\n")+"\n"), append(args, "-")...)
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	log, _, result := events(t, stdout)
	for _, event := range log {
		out = append(out, event["line"].(string))
	}
	variables = map[string]string{}
	for _, v := range result["variables"].([]any) {
		v := v.(map[string]any)
		variables[v["key"].(string)] = v["value"].(string)
	}
	return out, variables
}

// TestOutcomeVectors: the variables are the seed's. The lines differ on purpose: the seed ships a captured line as an
// empty one, and here it is gone; and the lines of a block that is never closed are given back, with a warning.
func TestOutcomeVectors(t *testing.T) {
	givenBack := map[string][]string{
		"multiline never closed swallows the rest and keeps its newline": {"::start-multiline-outcome-var m", "x", "y"},
	}
	config := configOf(t, "outcome")
	for _, v := range loadVectors(t).OutcomeVariables {
		t.Run(v.Name, func(t *testing.T) {
			lines, variables := replay(t, v.StdoutLines, "-c", config)
			if diff := cmp.Diff(v.OutcomeVariables, variables); diff != "" {
				t.Error(diff)
			}
			var want []string
			for i, line := range v.LinesPassedOn {
				if line == v.StdoutLines[i] {
					want = append(want, line)
				}
			}
			want = append(want, givenBack[v.Name]...)
			warned := slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "[runner] outcome: ") })
			if _, expected := givenBack[v.Name]; warned != expected {
				t.Errorf("a warning: %v, want %v: %q", warned, expected, lines)
			}
			lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "[runner] ") })
			if diff := cmp.Diff(want, lines); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestSanitizeVectors: what the seed masks is masked. These differ on purpose, by the rules that docs/processors.md tells.
func TestSanitizeVectors(t *testing.T) {
	onPurpose := map[string]string{
		// A value of one letter is masked as a word only.
		"one letter masks everywhere": "Hello",
		// Values that overlap are masked as a whole: no tail of the longer one stays in the open.
		"shorter secret first spoils the longer one": "x ********** y",
		// Outer white space is no part of a value.
		"value with a trailing newline never matches": "**********",
		// A mask is never masked again.
		"asterisk secret masks the mask": "**********",
		// A value is masked as base64 writes it, too.
		"base64 form is not masked": "**********",
	}
	config := configOf(t, "sanitize")
	seen := 0
	for _, v := range loadVectors(t).Sanitize {
		t.Run(v.Name, func(t *testing.T) {
			want := v.Out
			if changed, ok := onPurpose[v.Name]; ok {
				want, seen = changed, seen+1
				if changed == v.Out {
					t.Error("this is no change")
				}
			}
			job, err := json.Marshal(map[string]any{"image": "x", "commands": []string{"true"}, "variables": v.Variables})
			if err != nil {
				t.Fatal(err)
			}
			lines, _ := replay(t, []string{v.In}, "-c", config, "-f", write(t, "job.json", string(job)))
			if diff := cmp.Diff([]string{want}, lines); diff != "" {
				t.Error(diff)
			}
		})
	}
	if seen != len(onPurpose) {
		t.Errorf("%d changes on purpose were seen, want %d", seen, len(onPurpose))
	}
}
