package main

import (
	"os"
	"strings"
	"testing"
)

// TestGuideShowsThisProgram keeps docs/plugins.md and this example the same.
func TestGuideShowsThisProgram(t *testing.T) {
	guide, err := os.ReadFile("../../../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"main.go"} {
		program, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(guide), "```go\n"+string(program)+"```\n") {
			t.Errorf("docs/plugins.md does not show %s as it is", name)
		}
	}
}
