package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podrunner/runner/sdk/sdktest"
)

func TestShout(t *testing.T) {
	job := sdktest.Job{Config: map[string]any{"suffix": "?"}}
	result := sdktest.Replay(t, plugin, job, sdktest.Lines("hello", "", "grüße \xff")...)
	sdktest.AssertLines(t, result, "HELLO?", "?", "GRüßE \xff?")
}

func TestLongLine(t *testing.T) {
	long := strings.Repeat("la", 50_000)
	result := sdktest.Run(t, plugin, sdktest.Job{}, sdktest.Lines(long)...)
	sdktest.AssertLines(t, result, strings.ToUpper(long)+"!")
}

func TestSuffixIsOneLine(t *testing.T) {
	found := sdktest.Validate(t, plugin, map[string]any{"suffix": "a\nb"})
	if len(found) != 1 || found[0].Path != "suffix" {
		t.Errorf("found %v", found)
	}
}

func TestConformance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runner-processor-shout")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sdktest.Conformance(t, sdktest.Binary{Path: path})
}
