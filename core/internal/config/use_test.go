package config

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// use returns the use of a plugin with a config block.
func use(t *testing.T, body string) *Use {
	t.Helper()
	c := load(t, "pipeline \"default\" {\n  processor \"test\" {\n    config {\n"+body+"\n    }\n  }\n}\n")
	return &c.Pipelines[0].Processors[0].Use
}

func TestDecode(t *testing.T) {
	t.Setenv("RUNNER_TEST_SECONDS", "90")
	for name, test := range map[string]struct {
		body string
		want map[string]any
	}{
		"absent stays absent": {``, map[string]any{}},
		"scalars": {
			`min_length = 3
			 enabled    = true
			 ratio      = 0.5
			 pattern    = "^a+$"
			 mode       = "fast"`,
			map[string]any{"min_length": 3.0, "enabled": true, "ratio": 0.5, "pattern": "^a+$", "mode": "fast"},
		},
		"texts for numbers, as the environment has them": {
			`min_length = "3"
			 enabled    = "true"
			 interval   = env("RUNNER_TEST_SECONDS")
			 size       = "2048"`,
			map[string]any{"min_length": 3.0, "enabled": true, "interval": 90e9, "size": 2048.0},
		},
		"durations": {
			`interval = "1m30s"
			 waits    = [1, 0.25, "2", "500ms"]`,
			map[string]any{"interval": 90e9, "waits": []any{1e9, 0.25e9, 2e9, 0.5e9}},
		},
		"size in KiB":   {`size = "31KiB"`, map[string]any{"size": 31744.0}},
		"size in MB":    {`size = "1.5 MB"`, map[string]any{"size": 1.5e6}},
		"size in bytes": {`size = "12B"`, map[string]any{"size": 12.0}},
		"lists and maps": {
			`queues  = ["a", 1]
			 labels  = { team = "x", (upper) = "y" }
			 weights = { a = 1 }
			 modes   = []`,
			nil,
		},
		"lists and maps with values": {
			`queues  = ["a", 1]
			 labels  = { team = "x" }
			 weights = { a = "1" }
			 modes   = []`,
			map[string]any{"queues": []any{"a", "1"}, "labels": map[string]any{"team": "x"}, "weights": map[string]any{"a": 1.0}, "modes": []any{}},
		},
		"null is absent": {`mode = null`, map[string]any{}},
		"blocks": {
			`limits {
			   cpu = 2
			 }
			 step {
			   name = "one"
			 }
			 step {
			   name = "two"
			 }
			 rule "a" {
			   words = ["x"]
			 }
			 rule "b" {}`,
			map[string]any{
				"limits": map[string]any{"cpu": 2.0},
				"step":   []any{map[string]any{"name": "one"}, map[string]any{"name": "two"}},
				"rule":   map[string]any{"a": map[string]any{"words": []any{"x"}}, "b": map[string]any{}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			text, diags := use(t, `token = "x"`+"\n"+test.body).Decode(testSchema)
			if test.want == nil {
				if text != nil || !diags.HasErrors() {
					t.Fatalf("got %s", text)
				}
				return
			}
			if len(diags) > 0 {
				t.Fatal(diags)
			}
			var got map[string]any
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{"token": "x", "limits": nil, "step": []any{}, "rule": map[string]any{}}
			for k, v := range test.want {
				want[k] = v
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestDecodeKeepsLargeNumbers(t *testing.T) {
	text, diags := use(t, "token = \"x\"\nretries = 9223372036854775807").Decode(testSchema)
	if len(diags) > 0 || !strings.Contains(string(text), `"retries":9223372036854775807`) {
		t.Errorf("got %s and %v", text, diags)
	}
}

func TestDecodeUnknownKind(t *testing.T) {
	schema := &pluginv1.Schema{Attributes: []*pluginv1.Attribute{{Name: "a", Type: scalarType(99)}}}
	text, diags := use(t, "a = 1").Decode(schema)
	if text != nil || len(diags) != 1 || diags[0].Summary != "Argument of an unknown kind" {
		t.Errorf("got %s and %v", text, diags)
	}
}

func TestLocate(t *testing.T) {
	t.Setenv("RUNNER_TEST_SECRET", secret)
	// Lines are counted from the first line of the file; the body begins at line 4.
	u := use(t, `token  = "`+fileSecret+`"
mode   = env("RUNNER_TEST_SECRET")
queues = ["a", "b"]
labels = { x = "1", y = "2" }
limits {
  cpu = 1
}
step {
  name = "one"
}
step {
  name = "two"
}
rule "a" {
  words = ["p", "q"]
}`)
	u.Decode(testSchema)
	for name, test := range map[string]struct {
		path []*pluginv1.Path_Step
		want string
	}{
		"the whole":                  {nil, "3:5"},
		"an attribute":               {steps("mode"), "5:10"},
		"an absent attribute":        {steps("size"), "3:5"},
		"an element":                 {steps("queues", 1), "6:16"},
		"an element too many":        {steps("queues", 7), "6:10"},
		"a negative element":         {steps("queues", -1), "6:10"},
		"a value of a map":           {steps("labels", key("y")), "7:25"},
		"a value that is not there":  {steps("labels", key("z")), "7:10"},
		"a block":                    {steps("limits"), "8:1"},
		"in a block":                 {steps("limits", "cpu"), "9:9"},
		"absent in a block":          {steps("limits", "memory"), "8:1"},
		"in the second block":        {steps("step", 1, "name"), "15:10"},
		"in a block that is not":     {steps("step", 2, "name"), "3:5"},
		"in a block with a name":     {steps("rule", key("a"), "words", 1), "18:17"},
		"in no block with this name": {steps("rule", key("b"), "words", 1), "3:5"},
		"an empty step":              {[]*pluginv1.Path_Step{{}}, "3:5"},
	} {
		t.Run(name, func(t *testing.T) {
			diags := u.Locate([]*pluginv1.Diagnostic{{Summary: "S", Path: &pluginv1.Path{Steps: test.path}}})
			if got := diags[0].Range.String(); got != "runner.hcl:"+test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestLocateMasks(t *testing.T) {
	t.Setenv("RUNNER_TEST_SECRET", secret)
	u := use(t, `token = "`+fileSecret+"\"\nqueues = [env(\"RUNNER_TEST_SECRET\")]")
	u.Decode(testSchema)
	diags := u.Locate([]*pluginv1.Diagnostic{{
		Severity: pluginv1.Severity_SEVERITY_WARNING,
		Summary:  "Token " + fileSecret,
		Detail:   "It is " + fileSecret + ", and the queue is " + secret + ".",
	}})
	if d := diags[0]; d.Summary != "Token (hidden)" || d.Detail != "It is (hidden), and the queue is (hidden)." {
		t.Errorf("got %q: %q", d.Summary, d.Detail)
	}
}

// key is a step to a key of a map or to the label of a block.
type key string

// steps makes a path of names, keys and positions.
func steps(in ...any) []*pluginv1.Path_Step {
	var out []*pluginv1.Path_Step
	for _, s := range in {
		switch s := s.(type) {
		case string:
			out = append(out, &pluginv1.Path_Step{Step: &pluginv1.Path_Step_Name{Name: s}})
		case key:
			out = append(out, &pluginv1.Path_Step{Step: &pluginv1.Path_Step_Key{Key: string(s)}})
		case int:
			out = append(out, &pluginv1.Path_Step{Step: &pluginv1.Path_Step_Index{Index: int64(s)}})
		}
	}
	return out
}
