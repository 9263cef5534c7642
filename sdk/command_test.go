package sdk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/protocol"
)

// commandedConfig is what the subcommand of the plugin "commanded" is told by core.
type commandedConfig struct {
	URL   string `config:"url,optional"`
	Queue string `config:"queue" default:"default" one_of:"default,low"`
}

func init() {
	plugins["commanded"] = sdk.Plugin{
		Name: "commanded", Version: "1.2.3", Description: "Has a command.",
		Processor: sdk.Lines(func(context.Context, sdk.Job, commandedConfig) (*summer, error) { return &summer{}, nil }),
		Commands:  []sdk.Command{{Name: "enqueue", Description: "Push a job.", Run: tell}},
	}
}

// tell prints what it was called with.
func tell(_ context.Context, call sdk.CommandCall) int {
	var c commandedConfig
	if err := call.Config(&c); err != nil {
		_, _ = fmt.Fprintln(call.Stderr, err)
		return 2
	}
	stdin, _ := io.ReadAll(call.Stdin)
	_, _ = fmt.Fprintf(call.Stdout, "%q %q %q %q\n", call.Args, stdin, c.URL, c.Queue)
	return 7
}

// TestCommand: a subcommand has its arguments, its input, and the configuration that core hands over, if core does.
func TestCommand(t *testing.T) {
	for name, test := range map[string]struct {
		config, variable string
		code             int
		stdout, stderr   string
	}{
		"by hand":               {code: 7, stdout: `["-f" "-"] "a job" "" "default"` + "\n"},
		"by core":               {config: `{"url":"x","queue":"low"}`, code: 7, stdout: `["-f" "-"] "a job" "x" "low"` + "\n"},
		"a large one":           {config: strings.Repeat(" ", 2<<20) + `{"url":"x","queue":"low"}`, code: 7, stdout: `["-f" "-"] "a job" "x" "low"` + "\n"},
		"one that is too large": {config: strings.Repeat(" ", protocol.MaxMessageBytes) + `{}`, code: 1, stderr: "has more than 16 MiB"},
		"a wrong configuration": {config: `{"queue":"high"}`, code: 2, stderr: "Wrong value"},
		"no descriptor":         {variable: "x", code: 1, stderr: "commanded: RUNNER_PLUGIN_CONFIG_FD is not the number of a descriptor\n"},
		"a standard stream":     {variable: "1", code: 1, stderr: "is not the number of a descriptor"},
		"one that is not open":  {variable: "77", code: 1, stderr: "commanded: read the configuration that core hands over: "},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := program(t, "commanded", "enqueue", "-f", "-")
			var stdout, stderr bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("a job"), &stdout, &stderr
			if test.config != "" {
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				written := make(chan struct{})
				go func() { // more than a pipe holds
					defer close(written)
					_, _ = w.WriteString(test.config)
					_ = w.Close()
				}()
				defer func() {
					_ = r.Close()
					<-written
				}()
				cmd.ExtraFiles, test.variable = []*os.File{r}, "3"
			}
			if test.variable != "" {
				cmd.Env = append(cmd.Env, protocol.EnvConfigFD+"="+test.variable)
			}
			var exit *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != test.code || stdout.String() != test.stdout || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("exit code %d, %q, %q; want %d, %q, %q", code, stdout.String(), stderr.String(), test.code, test.stdout, test.stderr)
			}
		})
	}
}

// TestCommandsAreDescribed: people and core learn of them.
func TestCommandsAreDescribed(t *testing.T) {
	text, err := program(t, "commanded", "describe").Output()
	if err != nil {
		t.Fatal(err)
	}
	var d struct{ Commands []string }
	if err := json.Unmarshal(text, &d); err != nil || len(d.Commands) != 1 || d.Commands[0] != "enqueue" {
		t.Errorf("it says %s, %v", text, err)
	}
	help, err := program(t, "commanded", "--help").Output()
	if err != nil || !strings.Contains(string(help), "  enqueue    Push a job.\n  describe") {
		t.Errorf("the help is %s, %v", help, err)
	}
}
