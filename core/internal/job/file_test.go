package job

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/core/internal/diag"
)

var update = flag.Bool("update", false, "write the golden files anew")

// secret is what the test files call a secret. It must not be printed.
const secret = "not-for-anybodys-eyes"

func TestBadFiles(t *testing.T) {
	for _, path := range files(t, "bad") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			j, diags := Load(path, nil)
			if j != nil || !diags.HasErrors() {
				t.Errorf("got a job, and %d diagnostics", len(diags))
			}
			checkGolden(t, path, diags)
		})
	}
}

func TestWarnings(t *testing.T) {
	path := filepath.Join("testdata", "good", "duplicate-keys.yaml")
	j, diags := Load(path, nil)
	if j == nil || len(diags) != 1 || diags[0].Severity != diag.Warning {
		t.Errorf("got job %v and %v", j, diags)
	}
	checkGolden(t, path, diags)
}

// files returns the job files of a folder in testdata.
func files(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	return paths
}

// checkGolden compares diagnostics with the golden file beside the job file.
func checkGolden(t *testing.T, path string, diags diag.Diagnostics) {
	t.Helper()
	var got, json bytes.Buffer
	if err := diag.WriteText(&got, diags, diag.Style{Width: 100}); err != nil {
		t.Fatal(err)
	}
	if err := diag.WriteJSON(&json, diags); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got.String()+json.String(), secret) {
		t.Errorf("a secret is printed:\n%s%s", got.String(), json.String())
	}
	golden := strings.TrimSuffix(path, ".yaml") + ".txt"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("%s (-want +got), run with -update when it is right:\n%s", golden, d)
	}
}

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want Job
	}{
		"least": {
			"image: alpine\ncommands: [echo]\n",
			Job{ID: "1", Image: "alpine", Commands: []string{"echo"}},
		},
		"all": {
			`id: job-7
image: alpine
commands:
  - echo one
  - |
    echo two
    echo three
initImage: busybox
initCommands: [echo init]
variables:
  - {key: A, value: a, sensitive: true, scope: init}
  - key: B
    value: |
      two
      lines
    scope: main
    sensitive: no
  - key: C
files:
  - name: check.sh
    contents: "#!/bin/sh\n"
`,
			Job{
				ID: "job-7", Image: "alpine", Commands: []string{"echo one", "echo two\necho three\n"},
				InitImage: "busybox", InitCommands: []string{"echo init"},
				Variables: []Variable{
					{Key: "A", Value: "a", Sensitive: true, Scope: ScopeInit},
					{Key: "B", Value: "two\nlines\n", Scope: ScopeMain},
					{Key: "C"},
				},
				Files: []File{{Name: "check.sh", Contents: []byte("#!/bin/sh\n")}},
			},
		},
		"JSON": {
			`{"id": "x", "image": "alpine", "commands": ["echo"]}`,
			Job{ID: "x", Image: "alpine", Commands: []string{"echo"}},
		},
		"values are taken as they are written": {
			"id: 12\nimage: alpine\ncommands: [true, 1, ]\nvariables:\n  - {key: A, value: 007}\n  - {key: B, value: 1.50}\n  - {key: C, value: Yes}\n  - {key: D, value: 2024-01-02}\n",
			Job{
				ID: "12", Image: "alpine", Commands: []string{"true", "1"},
				Variables: []Variable{{Key: "A", Value: "007"}, {Key: "B", Value: "1.50"}, {Key: "C", Value: "Yes"}, {Key: "D", Value: "2024-01-02"}},
			},
		},
		"null is nothing": {
			"id: ~\nimage: alpine\ninitImage: null\ncommands: [echo, ]\ninitCommands:\nvariables:\nfiles: ~\n",
			Job{ID: "1", Image: "alpine", Commands: []string{"echo"}},
		},
		"an empty command": {
			"image: alpine\ncommands:\n  - echo\n  -\n",
			Job{ID: "1", Image: "alpine", Commands: []string{"echo", ""}},
		},
		"anchors": {
			"image: &i alpine\ninitImage: *i\ncommands: &c [echo]\ninitCommands: *c\n",
			Job{ID: "1", Image: "alpine", Commands: []string{"echo"}, InitImage: "alpine", InitCommands: []string{"echo"}},
		},
		"line ends of other systems, and a byte order mark": {
			"\ufeffimage: alpine\r\ncommands:\r\n  - echo\r\n",
			Job{ID: "1", Image: "alpine", Commands: []string{"echo"}},
		},
		"truths": {
			"image: alpine\ncommands: [echo]\nvariables:\n  - {key: A, sensitive: yes}\n  - {key: B, sensitive: \"true\"}\n  - {key: C, sensitive: False}\n",
			Job{
				ID: "1", Image: "alpine", Commands: []string{"echo"},
				Variables: []Variable{{Key: "A", Sensitive: true}, {Key: "B", Sensitive: true}, {Key: "C"}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, diags := Parse("job.yaml", []byte(test.text))
			if len(diags) > 0 {
				t.Fatal(diags)
			}
			if d := cmp.Diff(&test.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestExample(t *testing.T) {
	j, diags := Load(filepath.Join("..", "..", "..", "examples", "job.yaml"), nil)
	if len(diags) > 0 || len(j.Commands) != 7 || len(j.Secrets()) != 1 {
		t.Errorf("got %v and %v", j, diags)
	}
}

func TestLoad(t *testing.T) {
	j, diags := Load("-", strings.NewReader("image: alpine\ncommands: [echo]\n"))
	if j == nil || len(diags) > 0 {
		t.Errorf("standard input: got %v and %v", j, diags)
	}
	for name, test := range map[string]struct {
		path  string
		stdin io.Reader
		want  string
	}{
		"empty standard input":   {"-", strings.NewReader(""), "<stdin>: Empty job file"},
		"broken standard input":  {"-", broken{}, "<stdin>: Job file not readable"},
		"bad job on stdin":       {"-", strings.NewReader("image: alpine\n"), "<stdin>:1:1: No commands"},
		"endless standard input": {"-", endless{}, "<stdin>: Job file too large"},
		"missing file":           {"testdata/none.yaml", nil, "testdata/none.yaml: No job file"},
		"folder":                 {"testdata", nil, "testdata: Job file not readable"},
	} {
		t.Run(name, func(t *testing.T) {
			j, diags := Load(test.path, test.stdin)
			if j != nil || len(diags) != 1 {
				t.Fatalf("got %v and %v", j, diags)
			}
			if got := diags[0].Range.String() + ": " + diags[0].Summary; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '#'
	}
	return len(p), nil
}

func TestTooLarge(t *testing.T) {
	big := strings.Repeat("x", 600<<10)
	for name, test := range map[string]struct{ text, want string }{
		"files":     {"image: a\ncommands: [echo]\nfiles:\n- {name: a, contents: " + big + "}\n- {name: b, contents: " + big + "}\n", "4:23: Job too large"},
		"commands":  {"image: a\ncommands:\n- " + big + "\n- " + big + "\n", "3:1: Job too large"},
		"aliases":   {"image: a\ncommands: [&c " + big + strings.Repeat(", *c", 1000) + "]\n", "2:11: Job too large"},
		"variable":  {"image: a\ncommands: [echo]\nvariables:\n- {key: A, value: " + strings.Repeat("x", 128<<10) + "}\n", "4:19: Variable too large"},
		"variables": {"image: a\ncommands: [echo]\nvariables:" + strings.Repeat("\n- {key: A, scope: main, value: "+strings.Repeat("x", 100<<10)+"}", 11) + "\n", "4:1: Variables too large"},
	} {
		t.Run(name, func(t *testing.T) {
			j, diags := Parse("job.yaml", []byte(test.text))
			var got []string
			for _, d := range diags {
				if d.Severity == diag.Error {
					got = append(got, d.Range.String()+": "+d.Summary)
				}
			}
			if j != nil || len(got) != 1 || got[0] != "job.yaml:"+test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, dir := range []string{"bad", "good"} {
		paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		j, diags := Parse("job.yaml", text)
		if (j == nil) != diags.HasErrors() {
			t.Fatalf("got job %v with %v", j, diags)
		}
		if j != nil && j.Validate() != nil {
			t.Fatalf("a job that was accepted is not valid: %v", j.Validate())
		}
		if err := diag.WriteText(io.Discard, diags, diag.Style{Width: 10, Color: true}); err != nil {
			t.Fatal(err)
		}
		if err := diag.WriteJSON(io.Discard, diags); err != nil {
			t.Fatal(err)
		}
	})
}
