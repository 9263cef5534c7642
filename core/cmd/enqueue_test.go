package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/pluginhost"
	"github.com/podrunner/runner/sdk"
)

// testSources are what the test binary serves as sources.
var testSources = map[string]sdk.Plugin{
	"queue": {
		Description: "Takes jobs from a queue.", Source: sdk.Jobs(newNoJobs[queueConfig]),
		Commands: []sdk.Command{
			{Name: "enqueue", Description: "Push a job.", Run: tellCall},
			{Name: "count", Description: "Count jobs.", Run: tellCall},
		},
	},
	"scaled": {Description: "Knows how many runners there should be.", Source: sdk.Jobs(newScaled)},
	"mute":   {Description: "Takes jobs from nobody.", Source: sdk.Jobs(newNoJobs[struct{}])},
	"other":  {Description: "Has another command.", Source: sdk.Jobs(newNoJobs[struct{}]), Commands: []sdk.Command{{Name: "count", Run: tellCall}}},
}

type queueConfig struct {
	URL  sdk.Sensitive `config:"url" desc:"Where the queue is."`
	Name string        `config:"name" default:"default"`
}

func (c *queueConfig) Validate(d *sdk.Diagnostics) {
	if c.Name == "wrong" {
		d.Error(sdk.At("name"), "Wrong queue", "The queue at "+c.URL.Reveal()+" is another one.")
	}
}

// noJobs is a source that has none.
type noJobs struct{ sdk.JobSource }

func newNoJobs[C any](context.Context, string, C) (noJobs, error) { return noJobs{}, nil }

// scaled is one that has an opinion on the number of runners.
type scaled struct{ noJobs }

func newScaled(context.Context, string, struct{}) (scaled, error) { return scaled{}, nil }

func (scaled) Scale(context.Context, int, int) (int, error) { return 1, nil }

// call is what tellCall prints.
type call struct {
	Args  []string
	Stdin string
	URL   string
	Name  string
	Env   []string
}

// tellCall prints what a subcommand was called with, and does what the job says.
func tellCall(ctx context.Context, c sdk.CommandCall) int {
	var config queueConfig
	if err := c.Config(&config); err != nil {
		_, _ = fmt.Fprintln(c.Stderr, err)
		return 9
	}
	if slices.Contains(c.Args, "wait.yaml") {
		_, _ = fmt.Fprintln(c.Stdout, "waiting")
		<-ctx.Done()
		_, _ = fmt.Fprintln(c.Stdout, "taken back")
		return 3
	}
	stdin, err := io.ReadAll(c.Stdin)
	if err != nil {
		return 9
	}
	var code int
	if n, _ := fmt.Sscanf(string(stdin), "exit %d", &code); n == 1 {
		_, _ = fmt.Fprintln(c.Stderr, "the job is not pushed")
		return code
	}
	var names []string
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		names = append(names, name)
	}
	_ = json.NewEncoder(c.Stdout).Encode(call{c.Args, string(stdin), config.URL.Reveal(), config.Name, names})
	return 0
}

const queueURL = "tcp://:not-for-anybodys-eyes@queue.example.com:7419"

// queuePipeline is a configuration whose pipeline has the source queue. The processor is not there: nobody needs it.
const queuePipeline = `pipeline "default" {
  source "queue" {
    config {
      url  = env("QUEUE_URL")
      name = "low"
    }
  }
  processor "is-not-started" {}
}
`

func enqueueFolder(t *testing.T, config string) string {
	t.Helper()
	dir := inFolder(t, config, "queue", "mute", "other")
	t.Setenv("QUEUE_URL", queueURL)
	t.Setenv("OF_CORE_ALONE", "x")
	t.Setenv("GRANTED", "x")
	return dir
}

// TestEnqueue: the program is called with its configuration on a descriptor, and nothing of core's beside it.
func TestEnqueue(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"a file":           {[]string{"-f", "job.yaml"}, []string{"-f", "job.yaml"}},
		"the folder's own": {[]string{"-f", "."}, []string{"-f", "."}},
		"standard input":   {[]string{"--file", "-"}, []string{"-f", "-"}},
		"more than once":   {[]string{"-f", "-", "--count", "3"}, []string{"-f", "-", "-count", "3"}},
		"by name":          {[]string{"-f", "-", "--pipeline", "default"}, []string{"-f", "-"}},
	} {
		t.Run(name, func(t *testing.T) {
			enqueueFolder(t, "plugin \"queue\" {\n  env = [\"GRANTED\"]\n}\n\n"+queuePipeline)
			r := core(t, "type: x\n", append([]string{"enqueue"}, test.args...)...)
			var got call
			if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.code != exitSuccess || r.err != "" {
				t.Fatalf("got %+v, %v", r, err)
			}
			if !slices.Equal(got.Args, test.want) || got.Stdin != "type: x\n" || got.URL != queueURL || got.Name != "low" {
				t.Errorf("it was called with %+v", got)
			}
			if !slices.Contains(got.Env, "GRANTED") || !slices.Contains(got.Env, "PATH") ||
				slices.Contains(got.Env, "OF_CORE_ALONE") || slices.Contains(got.Env, "QUEUE_URL") {
				t.Errorf("its variables are %q", got.Env)
			}
		})
	}
}

// TestEnqueuePinned: a program that is pinned gets its configuration, too, though it is run by a descriptor itself.
func TestEnqueuePinned(t *testing.T) {
	sum, err := pluginhost.Checksum(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	enqueueFolder(t, "plugin \"queue\" {\n  checksum = \""+sum+"\"\n}\n\n"+queuePipeline)
	var got call
	if r := core(t, "x", "enqueue", "-f", "-"); json.Unmarshal([]byte(r.stdout), &got) != nil || got.URL != queueURL {
		t.Errorf("got %+v", r)
	}
}

// TestEnqueueExitCodes: what the program says and how it ends is what core says and how it ends.
func TestEnqueueExitCodes(t *testing.T) {
	for job, want := range map[string]int{"exit 0": exitSuccess, "exit 1": exitInfrastructure, "exit 2": exitUsage, "exit 3": exitInfrastructure, "exit 77": exitInfrastructure} {
		t.Run(job, func(t *testing.T) {
			enqueueFolder(t, queuePipeline)
			if r := core(t, job, "enqueue", "-f", "-"); r.code != want || r.err != "the job is not pushed\n" || r.stdout != "" {
				t.Errorf("got %+v, want the code %d", r, want)
			}
		})
	}
}

// TestEnqueueRefuses has what has to be mended before a program is called. No secret is in what is said of it.
func TestEnqueueRefuses(t *testing.T) {
	const withPlugin = "pipeline \"default\" {\n  source %q {}\n}\n"
	for name, test := range map[string]struct {
		config string
		args   []string
		code   int
	}{
		"no-file":          {queuePipeline, nil, exitUsage},
		"argument":         {queuePipeline, []string{"job.yaml"}, exitUsage},
		"count":            {queuePipeline, []string{"-f", "-", "--count", "0"}, exitUsage},
		"unknown-pipeline": {queuePipeline, []string{"-f", "-", "--pipeline", "defalt"}, exitUsage},
		"no-source":        {goodConfig, []string{"-f", "-"}, exitUsage},
		"no-commands":      {fmt.Sprintf(withPlugin, "mute"), []string{"-f", "-"}, exitUsage},
		"other-commands":   {fmt.Sprintf(withPlugin, "other"), []string{"-f", "-"}, exitUsage},
		"no-plugin":        {fmt.Sprintf(withPlugin, "quue"), []string{"-f", "-"}, exitUsage},
		"broken-plugin":    {fmt.Sprintf(withPlugin, "crash"), []string{"-f", "-"}, exitInfrastructure},
		"wrong-setting":    {strings.Replace(queuePipeline, "name =", "nam =", 1), []string{"-f", "-"}, exitUsage},
		"refused-setting":  {strings.Replace(queuePipeline, `"low"`, `"wrong"`, 1), []string{"-f", "-"}, exitUsage},
		"missing-variable": {strings.Replace(queuePipeline, "QUEUE_URL", "QUEUE_NOT_SET", 1), []string{"-f", "-"}, exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			dir := enqueueFolder(t, test.config)
			if err := os.Symlink(os.Args[0], filepath.Join(dir, "runner-source-crash")); err != nil {
				t.Fatal(err)
			}
			r := core(t, "type: x\n", append([]string{"enqueue"}, test.args...)...)
			if r.code != test.code || r.stdout != "" || strings.Contains(r.err, "anybodys") {
				t.Errorf("exit code %d, want %d; stdout %q", r.code, test.code, r.stdout)
			}
			golden(t, "enqueue-"+name, r, dir, "PLUGINS")
		})
	}
}

// TestEnqueueIsInterrupted: the program is told, and waited for.
func TestEnqueueIsInterrupted(t *testing.T) {
	enqueueFolder(t, queuePipeline)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	out := writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "waiting") {
			cancel()
		}
		return stdout.Write(p)
	})
	code := run(ctx, []string{"enqueue", "-f", "wait.yaml"}, streams{in: strings.NewReader(""), out: out, err: &stderr})
	if code != exitJobFailed || stdout.String() != "waiting\ntaken back\n" || stderr.String() != "core: interrupted before it was done\n" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
