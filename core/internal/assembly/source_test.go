package assembly_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/podrunner/runner/core/internal/assembly"
	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/diag"
	"github.com/podrunner/runner/core/internal/pluginhost"
	"github.com/podrunner/runner/core/internal/pluginhost/hosttest"
	"github.com/podrunner/runner/core/internal/redact"
)

// sourceTest is a pipeline and a host that has the sources echo, scales and exit-at-start. What the two have to say is in log.
type sourceTest struct {
	host     *pluginhost.Host
	pipeline *config.Pipeline
	log      *bytes.Buffer
}

func newSourceTest(t *testing.T, pipeline string) sourceTest {
	t.Helper()
	dir := t.TempDir()
	for _, mode := range []string{"echo", "scales", "exit-at-start"} {
		hosttest.Link(t, filepath.Join(dir, "runner-source-"+mode))
	}
	path := filepath.Join(t.TempDir(), "runner.hcl")
	if err := os.WriteFile(path, []byte("pipeline \"default\" {\n"+pipeline+"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, diags := config.Load(path)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var log bytes.Buffer
	redactor := &redact.Redactor{}
	host := newHost(t, pluginhost.Options{
		Dirs: []pluginhost.Dir{{Path: dir, From: "the test"}}, Hide: redactor.Always,
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: redactor.Writer(&log)}),
	})
	host.SetRedact(redactor.Bytes)
	return sourceTest{host, c.Pipelines[0], &log}
}

// wrongSources are pipelines whose source is no good, with what is said of each.
var wrongSources = map[string]struct {
	pipeline string
	summary  string
	broken   bool
}{
	"none":           {`processor "echo" {}`, "No source", false},
	"not found":      {`source "ecko" {}`, `No source "ecko"`, false},
	"does not start": {`source "exit-at-start" {}`, `Broken source "exit-at-start"`, true},
	"wrong setting":  {"source \"echo\" {\n config {\n after = \"x\"\n }\n }", "Wrong value", false},
	"refused":        {"source \"echo\" {\n config {\n refuse = true\n }\n }", "Refused", false},
}

func TestSource(t *testing.T) {
	s := newSourceTest(t, "source \"echo\" {\n config {\n prefix = \"x\"\n }\n }\n processor \"is-not-started\" {}")
	plugin, diags, err := assembly.Source(t.Context(), s.host, s.pipeline)
	if err != nil || len(diags) > 0 || plugin.Description().GetSource() == nil || plugin.Found().Name != "echo" {
		t.Errorf("got %v, %v, %v", plugin, diags, err)
	}
}

func TestSourceFails(t *testing.T) {
	for name, test := range wrongSources {
		t.Run(name, func(t *testing.T) {
			s := newSourceTest(t, test.pipeline)
			plugin, diags, err := assembly.Source(t.Context(), s.host, s.pipeline)
			if plugin != nil {
				t.Errorf("got a plugin")
			}
			check(t, test.summary, test.broken, diags, err)
		})
	}
}

// check compares what is said of a pipeline.
func check(t *testing.T, summary string, broken bool, diags diag.Diagnostics, err error) {
	t.Helper()
	if len(diags) != 1 || diags[0].Summary != summary || diags[0].Range.File == nil || (err != nil) != broken {
		t.Errorf("got %v, %v; want %q", diags, err, summary)
	}
}

func TestDecodeSource(t *testing.T) {
	s := newSourceTest(t, "source \"echo\" {\n config {\n prefix = \"x\"\n }\n }")
	decoded, diags, err := assembly.DecodeSource(t.Context(), s.host, s.pipeline)
	if err != nil || len(diags) > 0 || string(decoded.JSON) != `{"prefix":"x"}` {
		t.Errorf("got %v, %v, %v", decoded, diags, err)
	}
	for name, test := range wrongSources {
		t.Run(name, func(t *testing.T) {
			s := newSourceTest(t, test.pipeline)
			decoded, diags, err := assembly.DecodeSource(t.Context(), s.host, s.pipeline)
			if decoded != nil {
				t.Errorf("got %v", decoded)
			}
			check(t, test.summary, test.broken, diags, err)
		})
	}
}

// TestSecretsOfAConfiguration: a plugin that logs and quotes its token does not show it.
func TestSecretsOfAConfiguration(t *testing.T) {
	const secret = "not-for-anybodys-eyes"
	s := newSourceTest(t, "source \"echo\" {\n config {\n refuse = true\n token = \""+secret+"\"\n }\n }")
	_, diags, err := assembly.Source(t.Context(), s.host, s.pipeline)
	check(t, "Refused", false, diags, err)
	if detail := diags[0].Detail; strings.Contains(detail, secret) || !strings.Contains(detail, redact.Mask) {
		t.Errorf("the detail is %q", detail)
	}
	if err := s.host.Close(t.Context()); err != nil {
		t.Error(err)
	}
	// It is killed once it has refused, and its line may be lost with it.
	if text := s.log.String(); strings.Contains(text, secret) || strings.Contains(text, "the token is ") && !strings.Contains(text, "the token is "+redact.Mask) {
		t.Errorf("the log is %s", text)
	}
}

// TestRecommender: a source with an opinion is asked for it, over gRPC; one without is not.
func TestRecommender(t *testing.T) {
	for name, scales := range map[string]bool{"echo": false, "scales": true} {
		t.Run(name, func(t *testing.T) {
			s := newSourceTest(t, `source "`+name+`" {}`)
			plugin, _, err := assembly.Source(t.Context(), s.host, s.pipeline)
			if err != nil {
				t.Fatal(err)
			}
			r := assembly.Recommender(plugin)
			if (r != nil) != scales {
				t.Fatalf("the recommender is %v", r)
			}
			if !scales {
				return
			}
			if n, err := r.Recommend(t.Context(), 3, 300); n != 303 || err != nil {
				t.Errorf("got %d, %v", n, err)
			}
			if n, err := r.Recommend(t.Context(), 3, 0); err == nil || err.Error() != "the queue is away" {
				t.Errorf("got %d, %v; want what the source has said", n, err)
			}
			if err := s.host.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n, err := r.Recommend(t.Context(), 3, 300); err == nil {
				t.Errorf("a source that is gone answers %d", n)
			}
		})
	}
}
