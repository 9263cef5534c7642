package migrate

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/diag"
)

var update = flag.Bool("update", false, "write the golden files anew")

// secret is what the test files have where secrets are. It is in no result and in no diagnostic.
const secret = "hunter2"

// example reads the inputs in a folder of testdata: opslevel.yaml, line (an argument a line), environment (names of the
// variables that are set, or name=value).
func example(t *testing.T, dir string) Inputs {
	t.Helper()
	in := Inputs{}
	if text, err := os.ReadFile(filepath.Join(dir, "opslevel.yaml")); err == nil {
		in.File = &diag.File{Name: "opslevel.yaml", Text: text}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "line")); err == nil {
		if in.Line, err = ParseLine(strings.Split(strings.TrimSpace(string(text)), "\n")); err != nil {
			t.Fatal(err)
		}
	}
	variables := map[string]string{}
	if text, err := os.ReadFile(filepath.Join(dir, "environment")); err == nil {
		for _, line := range strings.Fields(string(text)) {
			name, value, given := strings.Cut(line, "=")
			if !given {
				value = secret
			}
			variables[name] = value
		}
	}
	in.Getenv = func(name string) string { return variables[name] }
	return in
}

// TestExamples compares what becomes of the inputs in testdata with golden files.
func TestExamples(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join("testdata", "*"))
	if err != nil || len(dirs) < 5 {
		t.Fatalf("found %v, %v", dirs, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			text, diags := Migrate(example(t, dir))
			var said bytes.Buffer
			if err := diag.WriteText(&said, diags, diag.Style{Width: 100}); err != nil {
				t.Fatal(err)
			}
			compare(t, filepath.Join(dir, "runner.hcl"), text)
			compare(t, filepath.Join(dir, "said.txt"), said.Bytes())
			if (text == nil) != diags.HasErrors() {
				t.Error("there are errors and a result, or neither")
			}
			if !bytes.Equal(text, hclwrite.Format(text)) {
				t.Error("`core fmt` would change it")
			}
			if text != nil && !bytes.HasSuffix(text, []byte("}\n")) {
				t.Error("the last line has no end")
			}
			for line := range strings.Lines(string(text)) {
				if len([]rune(line)) > 130 {
					t.Errorf("a long line: %s", line)
				}
			}
			again, _ := Migrate(example(t, dir))
			if !bytes.Equal(text, again) {
				t.Error("made again it is something else")
			}
		})
	}
}

// compare compares a text with a file, which is not there when there is no text.
func compare(t *testing.T, path string, got []byte) {
	t.Helper()
	if bytes.Contains(got, []byte(secret)) {
		t.Errorf("a secret is shown:\n%s", got)
	}
	if *update {
		_ = os.Remove(path)
		if len(got) > 0 {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil && len(got) > 0 {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got), run with -update when it is right:\n%s", path, d)
	}
}

// TestPrecedence gives the same setting everywhere.
func TestPrecedence(t *testing.T) {
	for name, c := range map[string]struct {
		line []string
		env  string
		yaml string
		want time.Duration
	}{
		"all, the line wins":           {[]string{"--job-pod-max-lifetime=10"}, "20", "job-pod-max-lifetime: 30", 10 * time.Second},
		"no line, the variable wins":   {nil, "20", "job-pod-max-lifetime: 30", 20 * time.Second},
		"only the file":                {nil, "", "job-pod-max-lifetime: 30", 30 * time.Second},
		"the pod file wins over all":   {[]string{"--job-pod-max-lifetime=10"}, "20", "job-pod-max-lifetime: 30\nkubernetes: {lifetime: 40}", 40 * time.Second},
		"the standard, on the line":    {[]string{"--job-pod-max-lifetime=3600"}, "20", "", time.Hour},
		"the standard in the pod file": {[]string{"--job-pod-max-lifetime=10"}, "20", "kubernetes: {lifetime: 3600}", time.Hour},
		"nothing":                      {nil, "", "", time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t)
			t.Setenv("OPSLEVEL_JOB_POD_MAX_LIFETIME", c.env)
			got, _ := migrated(t, c.yaml, c.line)
			if got.kubernetes().Lifetime != c.want {
				t.Errorf("got %s, want %s", got.kubernetes().Lifetime, c.want)
			}
		})
	}
}

// TestLaterEnvironment makes sure that a variable wins over the file as it did, also when it is set after the migration.
func TestLaterEnvironment(t *testing.T) {
	environment(t)
	text, _ := Migrate(Inputs{File: &diag.File{Name: "opslevel.yaml", Text: []byte("api-url: https://a.example.com\njob-pod-namespace: a\nqueue: a\n")}})
	path := filepath.Join(t.TempDir(), "runner.hcl")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OPSLEVEL_APP_URL", "https://b.example.com")
	t.Setenv("OPSLEVEL_JOB_POD_NAMESPACE", "b")
	t.Setenv("OPSLEVEL_QUEUE", "b")
	got := load(t, path)
	if got.kubernetes().Namespace != "b" || got.Source["queue"] != "b" || got.Source["api_url"] != "https://b.example.com" {
		t.Errorf("got %s and %v", got.kubernetes().Namespace, got.Source)
	}
	t.Setenv("OPSLEVEL_API_URL", "https://c.example.com")
	if got := load(t, path); got.Source["api_url"] != "https://c.example.com" {
		t.Errorf("got %v", got.Source)
	}
}

// TestModes says where jobs come from.
func TestModes(t *testing.T) {
	for name, c := range map[string]struct {
		line []string
		env  string
		yaml string
		want string
	}{
		"nothing":                   {nil, "", "", "opslevel"},
		"the line":                  {[]string{"run", "--mode", "faktory"}, "", "", "faktory"},
		"the variable":              {nil, "faktory", "mode: api", "faktory"},
		"the file":                  {nil, "", "mode: faktory", "faktory"},
		"the line wins":             {[]string{"--mode=api"}, "faktory", "mode: faktory", "opslevel"},
		"an empty value is not one": {nil, "", "mode:", "opslevel"},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t)
			t.Setenv("OPSLEVEL_MODE", c.env)
			got, warnings := migrated(t, c.yaml, c.line)
			if got.Pipelines[0].Source.Name != c.want || len(warnings) > 0 {
				t.Errorf("got %s, %v", got.Pipelines[0].Source.Name, warnings)
			}
		})
	}
}

// TestOtherVariables sets the variables that are no flags.
func TestOtherVariables(t *testing.T) {
	t.Run("OPSLEVEL_USER_AGENT_EXTRAS", func(t *testing.T) {
		environment(t)
		t.Setenv("OPSLEVEL_USER_AGENT_EXTRAS", "extra")
		if got, _ := migrated(t, "", nil); got.Source["user_agent_extras"] != "extra" {
			t.Errorf("got %v", got.Source)
		}
		if got := load(t, filepath.Join("..", "..", "..", "runner.hcl")); got.Source["user_agent_extras"] != "extra" {
			t.Errorf("shipped: got %v", got.Source)
		}
	})
	t.Run("SENTRY_DSN", func(t *testing.T) {
		environment(t)
		const dsn = "https://0123456789abcdef@sentry.example.com/1"
		t.Setenv("SENTRY_DSN", dsn)
		for _, mode := range modes {
			if got, _ := migrated(t, "", []string{"--mode", mode}); got.Telemetry.SentryDSN != dsn {
				t.Errorf("%s: got %v", mode, got.Telemetry)
			}
		}
		for _, file := range []string{"runner.hcl", filepath.Join("examples", "faktory.hcl")} {
			if got := load(t, filepath.Join("..", "..", "..", file)); got.Telemetry.SentryDSN != dsn {
				t.Errorf("%s: got %v", file, got.Telemetry)
			}
		}
	})
	t.Run("FAKTORY_URL and FAKTORY_PROVIDER", func(t *testing.T) {
		environment(t)
		shipped := filepath.Join("..", "..", "..", "examples", "faktory.hcl")
		check := func(want map[string]any) {
			t.Helper()
			want["queues"], want["pass_url"] = []any{"default"}, true
			got, _ := migrated(t, "", []string{"--mode=faktory"})
			if d := cmp.Diff(want, got.Source); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if d := cmp.Diff(want, load(t, shipped).Source); d != "" {
				t.Errorf("shipped, -want +got:\n%s", d)
			}
		}
		check(map[string]any{"url": "tcp://localhost:7419"})
		t.Setenv("FAKTORY_URL", "tcp://one:7419")
		check(map[string]any{"url": "tcp://one:7419"})
		t.Setenv("FAKTORY_PROVIDER", "RUNNER_TEST_FAKTORY")
		t.Setenv("RUNNER_TEST_FAKTORY", "tcp://two:7419")
		check(map[string]any{"url": "tcp://two:7419", "provider": "RUNNER_TEST_FAKTORY"})
	})
}

// TestQueues writes queues as they were meant.
func TestQueues(t *testing.T) {
	for name, c := range map[string]struct {
		line      []string
		env, yaml string
		want      []any
		warn      int
	}{
		"flags":              {[]string{"--queues", "a", "--queues", "b"}, "x", "", []any{"a", "b"}, 0},
		"a flag with commas": {[]string{"--queues", "a,b", "--queues", "c"}, "", "", []any{"a", "b", "c"}, 1},
		"the variable":       {nil, "a b", "queues: [c]", []any{"a b"}, 0},
		"a list":             {nil, "", "queues: [a, b]", []any{"a b"}, 0},
		"a text":             {nil, "", "queues: a b", []any{"a b"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t)
			t.Setenv("OPSLEVEL_QUEUES", c.env)
			got, warnings := migrated(t, c.yaml, append([]string{"--mode=faktory"}, c.line...))
			if d := cmp.Diff(c.want, got.Source["queues"]); d != "" || len(warnings) != c.warn {
				t.Errorf("%v, -want +got:\n%s", warnings, d)
			}
		})
	}
}

// TestValuesOfOldMeaning are values that the seed took for others.
func TestValuesOfOldMeaning(t *testing.T) {
	for name, c := range map[string]struct {
		line []string
		yaml string
		edit func(*settled)
		warn []string
	}{
		"concurrency 0":        {[]string{"--job-concurrency=0"}, "", func(s *settled) { s.Runner.Concurrency = 1 }, []string{"Less than 1"}},
		"concurrency negative": {nil, "job-concurrency: -5", func(s *settled) { s.Runner.Concurrency = 1 }, []string{"Less than 1"}},
		"a format":             {[]string{"--log-format=console"}, "", func(s *settled) { s.Runner.LogFormat = "json" }, []string{"Unknown format"}},
		"a level":              {[]string{"--log-level=loud"}, "", func(s *settled) { s.Runner.LogLevel = "info" }, []string{"Unknown level"}},
		"a long request":       {[]string{"--job-pod-exec-max-wait=3600"}, "", nil, []string{"Not taken over"}},
		"a request of no time": {[]string{"--job-pod-exec-max-wait=0"}, "", nil, []string{"Not taken over"}},
		"an unknown key":       {nil, "queus: hunter2", nil, []string{"Unknown key"}},
		"the path of the file": {[]string{"--config", "/opslevel/opslevel.yaml"}, "", nil, nil},
		"a merged mapping":     {nil, "base: &base\n  namespace: jobs\n  shell: /bin/bash\nkubernetes:\n  <<: *base\n  shell: /bin/sh\n", func(s *settled) { s.kubernetes().Namespace = "jobs" }, []string{"Unknown key"}},
		"several merged": {nil, "base: &base {namespace: jobs}\nmore: &more {namespace: other, shell: /bin/bash}\nkubernetes:\n  <<: [*base, *more]\n", func(s *settled) {
			s.kubernetes().Namespace, s.kubernetes().Shell = "jobs", "/bin/bash"
		}, []string{"Unknown key", "Unknown key"}},
		"merged with itself": {nil, "kubernetes: &k\n  <<: *k\n  namespace: jobs\n", func(s *settled) { s.kubernetes().Namespace = "jobs" }, nil},
		"an alias": {nil, "job-pod-namespace: &n jobs\nkubernetes:\n  shell: /bin/bash\n  nodeSelector: {a: *n}", func(s *settled) {
			s.kubernetes().Namespace, s.kubernetes().Shell, s.kubernetes().NodeSelector = "jobs", "/bin/bash", map[string]string{"a": "jobs"}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t)
			got, warnings := migrated(t, c.yaml, c.line)
			if d := cmp.Diff(c.warn, warnings); d != "" {
				t.Errorf("warnings (-want +got):\n%s", d)
			}
			expect(t, func() *settled { s, _ := migrated(t, "", nil); return s }, c.edit, got)
		})
	}
}

// TestReferences turns what Kubernetes puts into a container's arguments into what HCL does.
func TestReferences(t *testing.T) {
	environment(t)
	t.Setenv("RUNNER_TEST_HOST", "opslevel")
	got, _ := migrated(t, "", []string{"--api-url=http://$(RUNNER_TEST_HOST):80/$$(X)/${y}/%{z}"})
	if got.Source["api_url"] != "http://opslevel:80/$(X)/${y}/%{z}" {
		t.Errorf("got %v", got.Source["api_url"])
	}
}

// TestPodName has a name outside of the cluster, too.
func TestPodName(t *testing.T) {
	environment(t)
	t.Setenv("RUNNER_POD_NAME", "")
	t.Setenv("RUNNER_TEST_POD", "")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	line := []string{"--runner-pod-name=$(RUNNER_TEST_POD)", "--runner-max-replicas=5"}
	if got, _ := migrated(t, "", line); got.Runner.Name != host || got.Scaling.Pod != "" {
		t.Errorf("outside: got %q and %q", got.Runner.Name, got.Scaling.Pod)
	}
	t.Setenv("RUNNER_TEST_POD", "pod-3")
	if got, _ := migrated(t, "", line); got.Runner.Name != "pod-3" || got.Scaling.Pod != "pod-3" {
		t.Errorf("inside: got %q and %q", got.Runner.Name, got.Scaling.Pod)
	}
}

// TestRefused are inputs of which nothing is made; each says where it is and why.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		line []string
		yaml string
		want string
	}{
		"mode":                    {[]string{"--mode=fktory"}, "", `--mode: There is no such mode, and opslevel-runner ended at once with it. Did you mean "faktory"? It is one of: api, faktory.`},
		"mode of the file":        {nil, "\nmode: apis", `opslevel.yaml:2:7: There is no such mode, and opslevel-runner ended at once with it. Did you mean "api"? It is one of: api, faktory.`},
		"no number":               {nil, "job-concurrency: many", `opslevel.yaml:1:18: "job-concurrency" takes a whole number, such as 5.`},
		"no truth":                {nil, "scaling-enabled: yes", `opslevel.yaml:1:18: "scaling-enabled" takes true or false. opslevel-runner took this value for false.`},
		"a list":                  {nil, "queue: [a]", `opslevel.yaml:1:8: "queue" takes a single value.`},
		"too much concurrency":    {[]string{"--job-concurrency=5000"}, "", `--job-concurrency: The argument "concurrency" does not take this value. It is from 1 to 1000.`},
		"a namespace":             {nil, "kubernetes:\n  namespace: No_Such", `opslevel.yaml:2:14: The argument "namespace" does not take this value. It is 1 to 63 lower-case letters, digits and dashes, with a letter or digit at either end.`},
		"a lifetime":              {nil, "kubernetes:\n  lifetime: 0", `opslevel.yaml:2:13: The argument "lifetime" does not take this value. It is from 1s to 720h0m0s.`},
		"a negative lifetime":     {nil, "kubernetes:\n  lifetime: -1", `opslevel.yaml:2:13: The argument "lifetime" takes a duration such as "1m30s", or a number of seconds. Here: it is less than 0.`},
		"a lifetime with unit":    {nil, "kubernetes:\n  lifetime: 1h", `opslevel.yaml:2:13: lifetime takes a whole number.`},
		"a shell":                 {nil, "kubernetes:\n  shell: bash", `opslevel.yaml:2:10: The argument "shell" does not take this value. It is an absolute path, such as /bin/sh or /jobs.`},
		"core's own annotation":   {nil, "kubernetes:\n  annotations:\n    app.kubernetes.io/x: y", `opslevel.yaml:3:26: The argument "annotations" does not take this key. Core sets it itself. Its own begin with app.kubernetes.io/, opslevel.com/, runner.podrunner.dev/ or are one of: accountID, jobID, jobType, mode.`},
		"a quantity":              {nil, "kubernetes:\n  resources:\n    limits:\n      cpu: many", `opslevel.yaml:4:12: resources.limits.cpu takes a quantity that is not negative, such as "250m", "1.5Gi" or 2.`},
		"a request above":         {[]string{"--job-pod-requests-cpu=3000"}, "", `--job-pod-requests-cpu: The request for "cpu" is above the limit, which is 1 by default. Lower the request, or give a limit.`},
		"a field of another type": {nil, "kubernetes:\n  securityContext:\n    runAsUser: me", `opslevel.yaml:3:16: securityContext.runAsUser takes a whole number.`},
		"a mapping for a list":    {nil, "kubernetes:\n  securityContext:\n    supplementalGroups: {a: 1}", `opslevel.yaml:3:25: securityContext.supplementalGroups takes a list.`},
		"a list for a mapping":    {nil, "kubernetes: [a]", `opslevel.yaml:1:13: The section kubernetes holds names and values, such as namespace: jobs.`},
		"a text for a mapping":    {nil, "kubernetes:\n  resources: all", `opslevel.yaml:2:14: resources takes a mapping.`},
		"a pull policy":           {nil, "kubernetes:\n  pullPolicy: Sometimes", `opslevel.yaml:2:15: The argument "helper_pull_policy" does not take this value. It is one of: Always, IfNotPresent, Never.`},
		"twice":                   {nil, "queue: a\nQueue: b", `opslevel.yaml:2:1: "Queue" is in this mapping already. Remove one of the two.`},
		"no mapping":              {nil, "- a", `opslevel.yaml:1:1: The file of opslevel-runner holds a name and a value on each line, such as job-concurrency: 5.`},
		"no YAML":                 {nil, "queue: hunter2\n  a: hunter2: [", `opslevel.yaml:2:1: The file can't be read: mapping values are not allowed in this context.`},
		"a password in a URL":     {nil, "api-url: https://me:hunter2@example.com", `opslevel.yaml:1:10: The address of the API has a user or a password in it, which does not belong in a file that others may read. The API knows its callers by their token: remove it.`},
		"a number in octal":       {nil, "job-concurrency: 010", `opslevel.yaml:1:18: "job-concurrency" takes a whole number, such as 5.`},
		"no time between polls":   {[]string{"--poll-interval=0"}, "", `--poll-interval: "poll-interval" is from 1 to 3600 seconds.`},
		"the size of a batch":     {nil, "job-pod-log-max-size: 10", `opslevel.yaml:1:23: The argument "max_bytes" does not take this value. It is from 1KiB to 8MiB.`},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t)
			in := Inputs{}
			if c.yaml != "" {
				in.File = &diag.File{Name: "opslevel.yaml", Text: []byte(c.yaml)}
			}
			var err error
			if in.Line, err = ParseLine(c.line); err != nil {
				t.Fatal(err)
			}
			text, diags := Migrate(in)
			if text != nil || len(diags) == 0 {
				t.Fatalf("got %s and %v", text, diags)
			}
			if got := diags[0].Range.String() + ": " + diags[0].Detail; got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			var said bytes.Buffer
			if err := diag.WriteText(&said, diags, diag.Style{}); err != nil || strings.Contains(said.String(), secret) {
				t.Errorf("%v, or a value is shown:\n%s", err, said.String())
			}
		})
	}
}

// TestLines reads command lines in their forms.
func TestLines(t *testing.T) {
	for name, args := range map[string][]string{
		"the program and run":   {"/usr/bin/opslevel-runner", "run", "--queue", "q", "--scaling-enabled", "-c", "x"},
		"run":                   {"run", "--queue=q", "--scaling-enabled=true", "--config=x"},
		"flags alone":           {"--queue=q", "--scaling-enabled", "-c=x"},
		"the program behind":    {"opslevel-runner", "--queue=q", "run", "--scaling-enabled", "-cx"},
		"the last value wins":   {"--queue=p", "--queue=q", "--scaling-enabled=false", "--scaling-enabled", "-c", "y", "-c", "x"},
		"a flag after the rest": {"run", "--scaling-enabled", "--queue", "q", "--config", "x"},
	} {
		l, err := ParseLine(args)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if l.Config() != "x" || l.given["queue"].text != "q" || l.given["scaling-enabled"].text != "true" || len(l.given) != 3 {
			t.Errorf("%s: got %v", name, l.given)
		}
	}
}

// TestBadLines says what is wrong with a line without showing values of it.
func TestBadLines(t *testing.T) {
	for want, args := range map[string][]string{
		`opslevel-runner had no flag --api-tokn. Did you mean "api-token"?`:  {"--api-tokn=hunter2"},
		`opslevel-runner had no flag --hunger`:                               {"--hunger", "hunter2"},
		`has a short flag that is not -c`:                                    {"-xhunter2"},
		`the flag --api-token of opslevel-runner has no value`:               {"run", "--api-token"},
		`the flag --job-concurrency of opslevel-runner takes a whole number`: {"--job-concurrency=hunter2"},
		`the flag --scaling-enabled of opslevel-runner takes true or false`:  {"--scaling-enabled=hunter2"},
		`has its value behind an equals sign`:                                {"--scaling-enabled", "true"},
		`the command line of ` + "`opslevel-runner test`":                    {"opslevel-runner", "test", "-c", "x"},
		`has something in it that is no flag`:                                {"run", "hunter2"},
		`asks for its help`:                                                  {"run", "--help"},
		`can't be read`:                                                      {"--=hunter2"},
	} {
		_, err := ParseLine(args)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: got %v, want %s", args, err, want)
		}
	}
}

// TestNames makes sure that the names of the variables fit the flags.
func TestNames(t *testing.T) {
	for _, f := range options {
		for _, name := range f.env {
			if name == strings.ToUpper(strings.ReplaceAll(f.name, "-", "_")) || name == f.variable() || slices.Contains([]string{"OPSLEVEL_APP_URL"}, name) {
				continue
			}
			t.Errorf("the variable of %s is %s", f.name, name)
		}
	}
}

// TestDocsAreComplete looks for every flag, variable and key in docs/migrating.md.
func TestDocsAreComplete(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "migrating.md"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range options {
		want = append(want, "--"+f.name)
		want = append(want, f.env...)
		// What did nothing has no variable now.
		if len(f.env) == 0 && f.name != "config" && !strings.HasPrefix(f.name, "log-max-") {
			want = append(want, f.variable())
		}
	}
	want = slices.Concat(want, seedPodKeys, seedVariables)
	for _, name := range want {
		if !bytes.Contains(data, []byte("`"+name+"`")) {
			t.Errorf("%s is not described", name)
		}
	}
}

// FuzzMigrate gives it files of all kinds: none may make it panic, and what it makes is a configuration.
func FuzzMigrate(f *testing.F) {
	for _, dir := range []string{"everything", "helm-api", "refused"} {
		text, err := os.ReadFile(filepath.Join("testdata", dir, "opslevel.yaml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("kubernetes: &k\n  <<: *k\n  resources: &r {limits: *r}\n")
	f.Add("api-token: |\n  a\n  b\nkubernetes: {securityContext: {sysctls: [{name: a}, ~]}}\n? [a]\n: b\n")
	f.Add("größe: \"a\\u0000b\"\njob-pod-shell: '${x}%{y}'\n")
	f.Fuzz(func(t *testing.T, yaml string) {
		text, diags := Migrate(Inputs{File: &diag.File{Name: "opslevel.yaml", Text: []byte(yaml)}})
		var said bytes.Buffer
		if err := diag.WriteText(&said, diags, diag.Style{}); err != nil {
			t.Fatal(err)
		}
		if text == nil {
			return
		}
		if more := config.CheckSyntax("runner.hcl", text); more.HasErrors() {
			t.Errorf("%v in\n%s", more, text)
		}
	})
}
