package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/podrunner/runner/core/internal/diag"
)

// root is the folder of the repository.
var root = filepath.Join("..", "..", "..")

// TestShipped reads the configuration that is shipped.
func TestShipped(t *testing.T) {
	c, diags := Load(filepath.Join(root, "runner.hcl"))
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if diags := c.CheckLocals(); len(diags) > 0 {
		t.Error(diags)
	}
	if c.Pipeline("") == nil {
		t.Error("no pipeline is the one that is meant by default")
	}
}

// TestExamplesOfTheDocs reads every example in docs/configuration.md.
func TestExamplesOfTheDocs(t *testing.T) {
	examples := regexp.MustCompile("(?ms)^```hcl\n(.*?)^```$").FindAllStringSubmatch(docs(t), -1)
	if len(examples) < 6 {
		t.Fatalf("found %d examples", len(examples))
	}
	for _, example := range examples {
		text := example[1]
		if !strings.Contains(text, "pipeline ") {
			text += "\npipeline \"default\" {\n  processor \"sanitize\" {}\n}\n"
		}
		c, diags := parse(&diag.File{Name: "runner.hcl", Text: []byte(text)})
		if c != nil {
			diags = append(diags, c.CheckLocals()...)
		}
		if len(diags) > 0 {
			t.Errorf("%s\n%v", text, diags)
		}
	}
}

// TestDocsAreComplete looks for every block, argument and function that core knows.
func TestDocsAreComplete(t *testing.T) {
	text := docs(t)
	for name := range newScope(".").functions {
		if !strings.Contains(text, "`"+name+"(") {
			t.Errorf("the function %s is not described", name)
		}
	}
	for heading, s := range map[string]settings{
		"## `runner`":              runnerSettings,
		"## `local`":               localSettings,
		"## `plugin \"NAME\"`":     pluginSettings,
		"## `pipeline \"NAME\"`":   pipelineSettings,
		"### `source \"NAME\"`":    sourceSettings,
		"### `processor \"NAME\"`": processorSettings,
		"### `deliver`":            deliverSettings,
		"# Configuration":          rootSettings,
	} {
		_, section, ok := strings.Cut(text, "\n"+heading+"\n")
		if !ok && !strings.HasPrefix(text, heading+"\n") {
			t.Errorf("there is no section %s", heading)
			continue
		}
		level := strings.Repeat("#", strings.IndexByte(heading, ' '))
		if next := strings.Index(section, "\n"+level+" "); next >= 0 {
			section = section[:next]
		}
		for _, a := range s.arguments {
			if !strings.Contains(section, "| `"+a.Name+"` |") {
				t.Errorf("%s: the argument %s is not described", heading, a.Name)
			}
		}
		for _, block := range s.blocks {
			if !regexp.MustCompile("(?m)^##.*`"+block+"\\b").MatchString(text) && block != "locals" {
				t.Errorf("%s: the block %s is not described", heading, block)
			}
		}
	}
}

func docs(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
