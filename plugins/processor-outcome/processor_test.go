package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

const (
	setLine   = "::set-outcome-var "
	startLine = "::start-multiline-outcome-var "
	endLine   = "::end-multiline-outcome-var"
)

func variables(result *sdktest.Result) map[string]string {
	m := map[string]string{}
	for _, v := range result.End.Variables {
		m[v.Key] = string(v.Value)
	}
	return m
}

// TestVectors runs the seed's vectors over the plugin protocol, with a crash at every line. What becomes of the lines is
// in the tests of package capture; here it is enough that no captured line is shipped empty, which the seed does.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/outcome-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name             string
		StdoutLines      []string
		OutcomeVariables map[string]string
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			result := sdktest.Replay(t, plugin, sdktest.Job{}, sdktest.Lines(v.StdoutLines...)...)
			if d := cmp.Diff(v.OutcomeVariables, variables(result)); d != "" {
				t.Errorf("variables (-want +got):\n%s", d)
			}
			for _, l := range result.Lines {
				if l.Text == "" {
					t.Error("an empty line came out")
				}
			}
		})
	}
}

func TestStandardErrorPassesUntouched(t *testing.T) {
	stderr := func(text string) sdktest.Line { return sdktest.Line{Text: text, Stream: sdk.Stderr} }
	result := sdktest.Replay(t, plugin, sdktest.Job{},
		stderr(setLine+"a=1"), sdktest.Line{Text: startLine + "m"}, stderr("not in the block"), stderr(endLine),
		sdktest.Line{Text: "in the block"}, sdktest.Line{Text: endLine})
	sdktest.AssertLines(t, result, setLine+"a=1", "not in the block", endLine)
	if d := cmp.Diff(map[string]string{"m": "in the block"}, variables(result)); d != "" {
		t.Errorf("variables (-want +got):\n%s", d)
	}
}

func TestLongLines(t *testing.T) {
	value := strings.Repeat("0123456789abcdef", 80<<10/16)
	other := strings.Repeat("x", 80<<10)
	result := sdktest.Replay(t, plugin, sdktest.Job{}, sdktest.Lines(
		setLine+"a="+value, other, startLine+"m", value, endLine)...)
	sdktest.AssertLines(t, result, other)
	if d := cmp.Diff(map[string]string{"a": value, "m": value}, variables(result)); d != "" {
		t.Errorf("variables (-want +got):\n%s", d)
	}
}

func TestTheLongestValue(t *testing.T) {
	longest := strings.Repeat("0123456789abcdef", 256<<10/16)
	result := sdktest.Run(t, plugin, sdktest.Job{}, sdktest.Lines(setLine+"a="+longest, setLine+"b="+longest+"!")...)
	sdktest.AssertLines(t, result, setLine+"b="+longest+"!",
		`[runner] outcome: variable "b" is dropped: its value is larger than 256 KiB`)
	if d := cmp.Diff(map[string]string{"a": longest}, variables(result)); d != "" {
		t.Errorf("variables (-want +got):\n%s", d)
	}
}

func TestVariablesThatAreThereAlready(t *testing.T) {
	job := sdktest.Job{End: sdk.End{Outcome: "success", Variables: []sdk.Variable{
		{Key: "theirs", Value: []byte("1")}, {Key: "both", Value: []byte("2")}, {Key: "last", Value: []byte("3")},
	}}}
	result := sdktest.Run(t, plugin, job, sdktest.Lines(setLine+"mine=4", setLine+"both=5")...)
	want := []sdk.Variable{
		{Key: "theirs", Value: []byte("1")},
		{Key: "both", Value: []byte("5")},
		{Key: "last", Value: []byte("3")},
		{Key: "mine", Value: []byte("4")},
	}
	if d := cmp.Diff(want, result.End.Variables); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestBlockWithNoEnd(t *testing.T) {
	result := sdktest.Replay(t, plugin, sdktest.Job{}, sdktest.Lines("before", startLine+"m", "x", "y")...)
	sdktest.AssertLines(t, result, "before",
		`[runner] outcome: the block of variable "m" has no end; the variable is set all the same, and the lines were:`,
		startLine+"m", "x", "y")
	if d := cmp.Diff(map[string]string{"m": "x\ny\n"}, variables(result)); d != "" {
		t.Errorf("variables (-want +got):\n%s", d)
	}
}

func TestOutcomeFile(t *testing.T) {
	file := func(text string) sdktest.Line { return sdktest.Line{Text: text, Stream: sdk.Outcome} }
	long := strings.Repeat("0123456789abcdef", 80<<10/16)
	result := sdktest.Replay(t, plugin, sdktest.Job{},
		sdktest.Line{Text: setLine + "a=printed"}, sdktest.Line{Text: "last line"},
		file("a=written"), file("not a variable"), file("m<<END"), file(long), file(""), file("END"), file("n<<END"))
	sdktest.AssertLines(t, result, "last line",
		`[runner] outcome: line 2 of the outcome file of step "job" is left out: it is neither KEY=VALUE nor KEY<<DELIMITER`,
		`[runner] outcome: variable "n" is dropped: its block in the outcome file has no line that is equal to its delimiter`)
	for _, l := range result.Lines {
		if l.Stream != sdk.Stdout {
			t.Errorf("%q is of stream %s", l.Text, l.Stream)
		}
	}
	if d := cmp.Diff(map[string]string{"a": "written", "m": long + "\n"}, variables(result)); d != "" {
		t.Errorf("variables (-want +got):\n%s", d)
	}
}

func TestConformance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runner-processor-outcome")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	sdktest.Conformance(t, sdktest.Binary{
		Path: path,
		Lines: sdktest.Lines(setLine+"a=1", startLine+"m", "in the block", endLine,
			setLine+"long="+strings.Repeat("x", 100<<10)),
	})
}
