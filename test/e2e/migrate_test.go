package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// variables are what a Deployment gives the runner. The token is in nothing that core prints.
var variables = []string{
	"OPSLEVEL_API_TOKEN=not-for-anybodys-eyes", "RUNNER_POD_NAME=runner-1", "OPSLEVEL_SERVICE_HOST=127.0.0.1", "OPSLEVEL_SERVICE_PORT_HTTP=80",
	"FAKTORY_URL=tcp://:not-for-anybodys-eyes@127.0.0.1:7419",
}

// with runs core in an environment with these variables.
func with(t *testing.T, variables []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	c := command(t, args...)
	c.Env = append(c.Env, variables...)
	c.start(t)
	code = c.finish(t)
	if strings.Contains(c.stdout.String()+c.stderr.String(), "not-for-anybodys-eyes") {
		t.Errorf("core %s shows a secret:\n%s%s", strings.Join(args, " "), c.stdout.String(), c.stderr.String())
	}
	return c.stdout.String(), c.stderr.String(), code
}

// TestShippedAndMigratedFilesAreValid has the real plugins look at the shipped files, and at what `core migrate` makes of the
// inputs that its own tests have.
func TestShippedAndMigratedFilesAreValid(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "core", "internal", "migrate", "testdata", "*", "runner.hcl"))
	if err != nil || len(paths) < 4 {
		t.Fatalf("found %d files, %v", len(paths), err)
	}
	for _, path := range append(paths, filepath.Join(root, "runner.hcl"), filepath.Join(root, "examples", "faktory.hcl")) {
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			if out, said, code := with(t, variables, "validate", "-c", path, "--log-level", "warn"); code != 0 || said != "" || !strings.Contains(out, "is valid") {
				t.Errorf("exit code %d\n%s%s", code, out, said)
			}
		})
	}
}

// TestMigrateAndSwitchOver does what docs/migrating.md tells: it migrates, checks, and tries a job on this machine, for which
// no token is needed.
func TestMigrateAndSwitchOver(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "runner.hcl")
	seed := write(t, "opslevel.yaml", "api-token: not-for-anybodys-eyes\njob-concurrency: 5\nkubernetes:\n  namespace: jobs\n")
	_, said, code := with(t, nil, "migrate", "--from", seed, "--out", config, "--", "opslevel-runner", "run", "--queue", "builds")
	if code != 0 || !strings.Contains(said, "Token not copied") || !strings.Contains(said, "Wrote "+config) {
		t.Fatalf("exit code %d\n%s", code, said)
	}
	text, err := os.ReadFile(config)
	if err != nil || strings.Contains(string(text), "not-for-anybodys-eyes") {
		t.Fatalf("%v, or the token is written:\n%s", err, text)
	}
	if out, said, code := with(t, variables, "validate", "-c", config); code != 0 {
		t.Errorf("exit code %d\n%s%s", code, out, said)
	}
	job := write(t, "job.yaml", "image: x\ncommands: [echo hello]\n")
	out, said, code := with(t, nil, "test", "-c", config, "-f", job, "--set", "executor=local")
	if code != 0 || !strings.Contains(out, "hello") {
		t.Errorf("exit code %d\n%s%s", code, out, said)
	}
	if out, said, code := with(t, nil, "validate", "-c", config); code != 2 || !strings.Contains(said, "OPSLEVEL_API_TOKEN is not set") {
		t.Errorf("without a token: exit code %d\n%s%s", code, out, said)
	}
	if out, said, code := with(t, nil, "validate", "-c", config, "--set", "source.config.api_token=not-for-anybodys-eyes"); code != 0 {
		t.Errorf("with another one: exit code %d\n%s%s", code, out, said)
	}
	if _, said, code := with(t, nil, "validate", "-c", config, "--set", "source.config.api_token= not-for-anybodys-eyes "); code != 2 || !strings.Contains(said, "on --set source.config.api_token") {
		t.Errorf("with a wrong one: exit code %d\n%s", code, said)
	}
}
