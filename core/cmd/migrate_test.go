package cmd

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// seedText is a file of opslevel-runner.
const seedText = `api-token: hunter2
job-concurrency: 5
kubernetes:
  namespace: jobs
`

// noSeed takes the variables of opslevel-runner away that migrate looks at.
func noSeed(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "OPSLEVEL_") || strings.HasPrefix(name, "FAKTORY_") || strings.HasPrefix(name, "RUNNER_POD_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("SENTRY_DSN", "")
}

// TestMigrate compares what migrate says. What it makes of its inputs the tests of its package have.
func TestMigrate(t *testing.T) {
	for name, c := range map[string]struct {
		file, stdin string
		args        []string
	}{
		"file":            {file: seedText, args: []string{"migrate"}},
		"nothing":         {args: []string{"migrate"}},
		"stdin":           {stdin: seedText, args: []string{"migrate", "--from", "-"}},
		"line":            {file: seedText, args: []string{"migrate", "--", "opslevel-runner", "run", "--mode=faktory", "--queues", "runner"}},
		"line-config":     {file: seedText, args: []string{"migrate", "--", "run", "-c", "opslevel.yaml"}},
		"line-stdin":      {stdin: seedText, args: []string{"migrate", "--", "run", "-c", "."}},
		"refused":         {file: "job-concurrency: many\n", args: []string{"migrate", "--out", "runner.hcl"}},
		"missing":         {args: []string{"migrate", "--from", "none.yaml"}},
		"line-missing":    {args: []string{"migrate", "--", "run", "--config=/opslevel/none.yaml"}},
		"no-dashes":       {args: []string{"migrate", "run"}},
		"no-dashes-flags": {args: []string{"migrate", "--mode=faktory"}},
		"core-config":     {args: []string{"migrate", "-c", "opslevel.yaml"}},
		"line-unknown":    {args: []string{"migrate", "--", "run", "--mod=faktory"}},
		"out":             {file: seedText, args: []string{"migrate", "--out", "runner.hcl"}},
		"out-no-folder":   {file: seedText, args: []string{"migrate", "--out", "none/runner.hcl"}},
		"out-folder":      {args: []string{"migrate", "--out", "plugins", "--force"}},
		"out-stdout":      {args: []string{"migrate", "--out", "-"}},
		"folder":          {args: []string{"migrate", "--from", "plugins"}},
		"endless":         {args: []string{"migrate", "--from", "/dev/zero"}},
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, "")
			noSeed(t)
			if c.file != "" {
				writeFile(t, seedConfig, c.file)
			}
			r := core(t, c.stdin, c.args...)
			if strings.Contains(r.stdout+r.err, "hunter2") {
				t.Errorf("a secret is shown:\n%s%s", r.stdout, r.err)
			}
			golden(t, "migrate-"+name, r)
		})
	}
}

// TestMigrateKeepsFiles writes over a file only when it is told to.
func TestMigrateKeepsFiles(t *testing.T) {
	inFolder(t, "# mine\n")
	noSeed(t)
	golden(t, "migrate-exists", core(t, "", "migrate", "--out", "runner.hcl"))
	if text, err := os.ReadFile("runner.hcl"); err != nil || string(text) != "# mine\n" {
		t.Fatalf("it was written over: %v, %s", err, text)
	}
	want := core(t, "", "migrate").stdout
	golden(t, "migrate-force", core(t, "", "migrate", "--out", "runner.hcl", "--force"))
	if text, err := os.ReadFile("runner.hcl"); err != nil || string(text) != want {
		t.Errorf("%v, %s", err, text)
	}
	if names, err := os.ReadDir("."); err != nil || len(names) != 2 { // the plugins' folder
		t.Errorf("%v, %v", err, names)
	}
}

// TestMigrateLooksAtTheEnvironment unless it is told not to.
func TestMigrateLooksAtTheEnvironment(t *testing.T) {
	inFolder(t, "")
	noSeed(t)
	t.Setenv("OPSLEVEL_QUEUE", "hunter2")
	const want = `env("OPSLEVEL_QUEUE", null)`
	for _, c := range []struct {
		args []string
		want bool
	}{{[]string{"migrate"}, true}, {[]string{"migrate", "--env=false"}, false}} {
		r := core(t, "", c.args...)
		if strings.Contains(r.stdout, want) != c.want || strings.Contains(r.stdout, "hunter2") {
			t.Errorf("%v: got %s", c.args, r.stdout)
		}
	}
}

// TestMigrateAsDocumented runs each `core migrate` of docs/migrating.md.
func TestMigrateAsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "migrating.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?m)(?:^|`)core (migrate --[^`\n]+)").FindAllStringSubmatch(string(text), -1)
	if len(commands) < 2 {
		t.Fatalf("found %d", len(commands))
	}
	for _, command := range commands {
		if command[1] == "migrate --from" {
			continue // in a sentence
		}
		t.Run(command[1], func(t *testing.T) {
			inFolder(t, "")
			noSeed(t)
			writeFile(t, seedConfig, "poll-interval: 5\n")
			if r := core(t, "", strings.Fields(strings.ReplaceAll(command[1], "'", ""))...); r.code != exitSuccess || strings.Contains(r.err, "Warning") {
				t.Errorf("exit code %d\n%s", r.code, r.err)
			}
		})
	}
}
