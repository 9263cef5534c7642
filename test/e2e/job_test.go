package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// exampleJob is the seed's README job; its secret is "World!".
func exampleJob() string { return filepath.Join(root, "examples", "job.yaml") }

// masked is what the example job prints to standard output.
var masked = []string{"100", "**********", "**********", "Hello from inside the script!", "Secrets are still **********"}

func TestExampleJobAsText(t *testing.T) {
	stdout, stderr, code := run(t, nil, "test", "-f", exampleJob(), "--executor", "local", "-c", configOf(t, "outcome", "sanitize"))
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	var printed []string
	for line := range strings.Lines(stdout) {
		if !strings.HasPrefix(line, "+ ") {
			printed = append(printed, strings.TrimSuffix(line, "\n"))
		}
	}
	if diff := cmp.Diff(masked, printed); diff != "" {
		t.Error(diff)
	}
	contains(t, "the summary", stderr, "success", "hello-world=42", "exit code  0", "alpine/curl")
	if strings.Contains(stdout+stderr, "World!") {
		t.Error("the secret was printed")
	}
}

// events runs a job and decodes its events.
func events(t *testing.T, stdout string) (log []map[string]any, statuses []map[string]any, result map[string]any) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%q is no JSON: %v", line, err)
		}
		if result != nil {
			t.Errorf("an event after the result: %s", line)
		}
		switch event["event"] {
		case "log":
			log = append(log, event)
		case "status":
			statuses = append(statuses, event)
		case "result":
			result = event
		default:
			t.Errorf("unknown event: %s", line)
		}
	}
	if result == nil {
		t.Fatalf("there is no result:\n%s", stdout)
	}
	return log, statuses, result
}

// keys returns an object's keys, sorted.
func keys(object any) []string {
	m, _ := object.(map[string]any)
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func TestExampleJobAsEvents(t *testing.T) {
	config := configOf(t, "outcome", "sanitize", "prefix")
	for _, stdin := range []bool{false, true} {
		args := []string{"test", "-c", config, "--output", "json", "--executor", "local", "-f", exampleJob()}
		var in *os.File
		if stdin {
			var err error
			if in, err = os.Open(exampleJob()); err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			args[len(args)-1] = "-"
		}
		stdout, stderr, code := run(t, in, args...)
		if code != 0 {
			t.Fatalf("exit code %d:\n%s", code, stderr)
		}
		log, statuses, result := events(t, stdout)
		var printed []string
		for i, event := range log {
			if got, want := keys(event), []string{"event", "line", "seq", "step", "stream", "time"}; !slices.Equal(got, want) {
				t.Errorf("a log event has %q, want %q", got, want)
			}
			if event["seq"] != float64(i+1) || event["step"] != "job" {
				t.Errorf("event %d is %v", i+1, event)
			}
			if _, err := time.Parse(time.RFC3339Nano, event["time"].(string)); err != nil {
				t.Error(err)
			}
			if event["stream"] == "stdout" {
				_, line, _ := strings.Cut(event["line"].(string), " [1] ")
				printed = append(printed, line)
			}
		}
		if diff := cmp.Diff(masked, printed); diff != "" {
			t.Error(diff)
		}
		for _, event := range statuses {
			if got, want := keys(event), []string{"elapsed_ms", "event", "message", "phase", "reason"}; !slices.Equal(got, want) {
				t.Errorf("a status event has %q, want %q", got, want)
			}
		}
		durations := result["duration_ms"]
		if got, want := keys(durations), []string{"pending", "running", "total"}; !slices.Equal(got, want) {
			t.Errorf("the durations are %q, want %q", got, want)
		}
		delete(result, "duration_ms")
		want := map[string]any{
			"event": "result", "outcome": "success", "reason": "", "message": "", "hint": "", "exit_code": 0.0, "records": 13.0,
			"variables": []any{map[string]any{"key": "hello-world", "value": "42"}},
		}
		if diff := cmp.Diff(want, result); diff != "" {
			t.Error(diff)
		}
		if strings.Contains(stdout+stderr, "World!") {
			t.Error("the secret was printed")
		}
	}
}

// TestNoSecretOnTheDisk looks at every file that a run has made, after a run that has ended and after one that was killed.
func TestNoSecretOnTheDisk(t *testing.T) {
	for _, kill := range []bool{false, true} {
		const secret = "correct-horse-battery"
		job := write(t, "job.yaml", "image: x\ncommands: ['echo $S; echo $S >&2; kill $$ && sleep 1']\n"+
			"variables: [{key: S, value: "+secret+", sensitive: true}]\n")
		if kill {
			job = write(t, "job.yaml", "image: x\ncommands: ['echo $S; echo ready; sleep 100']\n"+
				"variables: [{key: S, value: "+secret+", sensitive: true}]\n")
		}
		c := command(t, "test", "-f", job, "-c", configOf(t, "sanitize"))
		out := c.startPiped(t)
		var printed strings.Builder
		scanner := bufio.NewScanner(out)
		for scanner.Scan() {
			printed.WriteString(scanner.Text() + "\n")
			if kill && scanner.Text() == "ready" {
				helpers := descendants(t, c.Process.Pid)
				if err := c.Process.Kill(); err != nil {
					t.Error(err)
				}
				waitGone(t, 10*time.Second, helpers...)
			}
		}
		c.finish(t)
		contains(t, "the log", printed.String(), "**********")
		if strings.Contains(printed.String()+c.stderr.String(), secret) {
			t.Error("the secret was printed")
		}
		for _, path := range files(t, c.temp) {
			if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), secret) {
				t.Errorf("the secret is in %s", path)
			}
		}
	}
}

func TestExitCodes(t *testing.T) {
	good := configOf(t, "outcome", "sanitize")
	job := func(commands string) string { return write(t, "job.yaml", "image: x\ncommands: "+commands+"\n") }
	broken := write(t, "runner.hcl", config(pluginDir(t, "exit-at-start"), "exit-at-start"))
	tests := []struct {
		name string
		args []string
		code int
		says string
	}{
		{"success", []string{"test", "-c", good, "-f", job("[true]")}, 0, "success"},
		{"the job fails", []string{"test", "-c", good, "-f", job("[exit 7]")}, 1, "exit code  7"},
		{"a signal ends the job", []string{"test", "-c", good, "-f", job("['kill -9 $$']")}, 1, "failed"},
		{"no job file", []string{"test", "-c", good}, 2, "no job file"},
		{"the job file is missing", []string{"test", "-c", good, "-f", "nowhere.yaml"}, 2, "nowhere.yaml"},
		{"the job file is bad", []string{"test", "-c", good, "-f", write(t, "job.yaml", "image: x\ncomands: [true]\n")}, 2, "commands"},
		{"the configuration is missing", []string{"test", "-c", "nowhere.hcl", "-f", job("[true]")}, 2, "nowhere.hcl"},
		{"unknown flag", []string{"test", "--nonsense"}, 2, "--nonsense"},
		{"unknown command", []string{"tset"}, 2, "tset"},
		{"unknown executor", []string{"test", "-c", good, "--executor", "lokal", "-f", job("[true]")}, 2, `"local"`},
		{"unknown pipeline", []string{"test", "-c", good, "--pipeline", "x", "-f", job("[true]")}, 2, `no pipeline "x"`},
		{"a broken plugin", []string{"test", "-c", broken, "-f", job("[true]")}, 3, "exit-at-start"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr, code := run(t, nil, tt.args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d:\n%s%s", code, tt.code, stdout, stderr)
			}
			contains(t, "stderr", stderr, tt.says)
		})
	}
}

// TestInterrupt is Ctrl-C: the job's processes are gone, what it has printed so far is shown, and the result is canceled,
// all within 5 s, which a job that ignores TERM takes most of.
func TestInterrupt(t *testing.T) {
	for name, commands := range map[string][]string{
		"the job ends at TERM": {"trap 'echo got TERM; exit 3' TERM", "sleep 1000 & echo ready", "wait"},
		"the job ignores TERM": {"trap '' TERM", "echo got TERM", "sleep 1000 & echo ready", "wait"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			interrupt(t, commands)
		})
	}
}

func interrupt(t *testing.T, commands []string) {
	job := write(t, "job.yaml", "image: x\ncommands:\n  - "+strings.Join(commands, "\n  - ")+"\n")
	c := command(t, "test", "-f", job, "-c", configOf(t, "outcome", "sanitize"))
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out := c.startPiped(t)
	var lines []string
	var processes []int
	var interrupted time.Time
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
		if scanner.Text() == "ready" {
			processes = descendants(t, c.Process.Pid)
			interrupted = time.Now()
			if err := c.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	code := c.finish(t)
	if took := time.Since(interrupted); took > 5*time.Second {
		t.Errorf("core took %s to end", took)
	}
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	contains(t, "the log", strings.Join(lines, "\n"), "ready", "got TERM")
	contains(t, "the summary", c.stderr.String(), "canceled")
	if len(processes) < 3 {
		t.Errorf("only %d processes were seen", len(processes))
	}
	waitGone(t, 0, processes...)
}

// TestNobodyReads has a reader that takes a line and leaves, as `head -1` does, and a terminal that is closed: core ends
// the job and leaves nothing.
func TestNobodyReads(t *testing.T) {
	job := write(t, "job.yaml", "image: x\ncommands: ['while :; do echo ready; sleep 0.1; done']\n")
	for name, leave := range map[string]func(c *core, out io.Reader) error{
		"the reader leaves":    func(_ *core, out io.Reader) error { return out.(io.Closer).Close() },
		"the terminal is gone": func(c *core, _ io.Reader) error { return c.Process.Signal(syscall.SIGHUP) },
	} {
		t.Run(name, func(t *testing.T) {
			c := command(t, "test", "-f", job, "-c", configOf(t, "sanitize"))
			out := c.startPiped(t)
			var processes []int
			for scanner := bufio.NewScanner(out); scanner.Scan(); {
				if scanner.Text() != "ready" || processes != nil {
					continue
				}
				processes = descendants(t, c.Process.Pid)
				if err := leave(c, out); err != nil {
					t.Fatal(err)
				}
			}
			if code := c.finish(t); code != 1 && code != 3 {
				t.Errorf("exit code %d:\n%s", code, c.stderr.String())
			}
			waitGone(t, 0, processes...)
			if left := files(t, c.temp); len(left) > 0 {
				t.Errorf("core has left files: %q", left)
			}
		})
	}
}
