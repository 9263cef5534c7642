package sdk_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/podrunner/runner/sdk"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// servedPlugin is the environment variable that makes this test binary a plugin.
const servedPlugin = "SDK_TEST_PLUGIN"

// describedConfig has an attribute of every type, and a block of every nesting.
type describedConfig struct {
	Text     string            `config:"text" desc:"Any text." one_of:"a,b"`
	Flag     bool              `config:"flag" default:"true"`
	Number   int               `config:"number" default:"-3"`
	Ratio    float64           `config:"ratio" default:"0.5"`
	Wait     time.Duration     `config:"wait" default:"5s"`
	Size     sdk.Bytes         `config:"size" default:"31KiB"`
	Pattern  *regexp.Regexp    `config:"pattern" default:"^<x>+$"`
	Token    sdk.Sensitive     `config:"token,optional"`
	Password string            `config:"password,optional" sensitive:"true"`
	Old      string            `config:"old,optional" deprecated:"Use text."`
	Names    []string          `config:"names" default:"x,y"`
	Labels   map[string]string `config:"labels,optional"`
	Limits   block             `config:"limits,optional" desc:"Limits."`
	Rules    []block           `config:"rule"`
	Queues   map[string]block  `config:"queue,optional"`
}

type block struct {
	Most int `config:"most" default:"7" desc:"How many."`
}

var plugins = map[string]sdk.Plugin{
	"described": {
		Name: "described", Version: "1.2.3", Description: "Has one of everything.", Redacts: true,
		Processor: sdk.Lines(func(context.Context, sdk.Job, describedConfig) (*summer, error) { return &summer{}, nil }),
	},
	"summer": summerPlugin(""),
	"broken": {Name: "broken", Processor: sdk.Lines(func(context.Context, sdk.Job, struct {
		Size sdk.Bytes `config:"size" default:"many"`
	},
	) (*summer, error) {
		return nil, nil
	})},
}

// programTimeout ends a program that should have ended by itself.
const programTimeout = 30 * time.Second

// program is this test binary as a plugin's program.
func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programTimeout)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), servedPlugin+"="+name)
	return cmd
}

func TestByHand(t *testing.T) {
	for name, c := range map[string]struct {
		plugin, golden string
		args           []string
		code           int
	}{
		"no arguments":      {"described", "help.txt", nil, 1},
		"help":              {"described", "help.txt", []string{"--help"}, 0},
		"unknown command":   {"described", "help.txt", []string{"serve"}, 1},
		"too many commands": {"described", "help.txt", []string{"describe", "describe"}, 1},
		"describe":          {"described", "describe.json", []string{"describe"}, 0},
		"author's mistake":  {"broken", "broken.txt", nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := program(t, c.plugin, c.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			var exit *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			got, empty := &stdout, &stderr
			if c.code != 0 {
				got, empty = &stderr, &stdout
			}
			// A test binary does not know of what version the module is.
			golden(t, c.golden, bytes.ReplaceAll(got.Bytes(), []byte("(devel)"), []byte("(unknown)")))
			if empty.Len() > 0 {
				t.Errorf("on the other stream: %s", empty)
			}
		})
	}
}

func TestUnderCoreSignalsAreLeftToCore(t *testing.T) {
	cmd := program(t, "summer")
	cmd.Env = append(cmd.Env,
		protocol.Handshake.MagicCookieKey+"="+protocol.Handshake.MagicCookieValue,
		protocol.EnvLifeline+"=stdin", protocol.EnvLogLevel+"=debug", "PLUGIN_PROTOCOL_VERSIONS=1")
	lifeline, stdout, stderr := pipes(t, cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := stdout.ReadString('\n'); err != nil || !strings.HasPrefix(line, "1|1|unix|") {
		t.Fatalf("the handshake is %q, %v", line, err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		// The log says so, as JSON.
		for {
			line, err := stderr.ReadBytes('\n')
			if err != nil {
				t.Fatalf("after %v: %v", sig, err)
			}
			var entry map[string]any
			if err := json.Unmarshal(line, &entry); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if entry["signal"] == sig.String() {
				break
			}
		}
	}
	_ = lifeline.Close()
	_, _ = io.Copy(io.Discard, stderr)
	if err := cmd.Wait(); err != nil {
		t.Errorf("at the end of the lifeline: %v", err)
	}
}

func TestDebug(t *testing.T) {
	cmd := program(t, "summer", "--debug")
	_, stdout, stderr := pipes(t, cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reattach := reattachConfig(t, stdout)["summer"]
	if reattach.Protocol != "grpc" || reattach.ProtocolVersion != 1 || reattach.Pid != cmd.Process.Pid || !reattach.Test {
		t.Errorf("it prints %+v", reattach)
	}
	conn, err := grpc.NewClient(reattach.Addr.Network+":"+reattach.Addr.String, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for range 2 {
		if _, err := pluginv1.NewPluginClient(conn).Configure(t.Context(), &pluginv1.ConfigureRequest{}); err != nil {
			t.Errorf("one host after the other: %v", err)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, stdout)
	if log, err := io.ReadAll(stderr); err != nil || len(log) > 0 {
		t.Errorf("after Ctrl-C it says %q, %v", log, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

// reattach is what --debug prints for a plugin.
type reattach struct {
	Protocol        string
	ProtocolVersion int
	Pid             int
	Test            bool
	Addr            struct{ Network, String string }
}

func reattachConfig(t *testing.T, stdout *bufio.Reader) map[string]reattach {
	t.Helper()
	for {
		line, err := stdout.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		value, ok := strings.CutPrefix(strings.TrimSpace(line), protocol.EnvReattach+"='")
		if !ok {
			continue
		}
		var config map[string]reattach
		if err := json.Unmarshal([]byte(strings.TrimSuffix(value, "'")), &config); err != nil {
			t.Fatal(err)
		}
		return config
	}
}

func pipes(t *testing.T, cmd *exec.Cmd) (stdin io.WriteCloser, stdout, stderr *bufio.Reader) {
	t.Helper()
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	log, err3 := cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return in, bufio.NewReader(out), bufio.NewReader(log)
}
