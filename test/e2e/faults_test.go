package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pluginDir returns a folder in which the test plugin stands in each of the modes.
func pluginDir(t *testing.T, modes ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, mode := range modes {
		if err := os.Link(testPlugin, filepath.Join(dir, "runner-processor-"+mode)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// numbered returns n lines.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}

// TestPluginFaults: whatever a plugin does, core neither dies nor hangs, and says which plugin and why.
func TestPluginFaults(t *testing.T) {
	tests := []struct {
		mode string
		code int
		says []string
		// log is what has to be printed; nil: all lines, prefixed.
		log []string
	}{
		{mode: "odd-json"},
		{mode: "long-lines"},
		{mode: "garbage"},
		{mode: "grandchild"},
		{mode: "ignore-shutdown"},
		{mode: "slow-start"},
		{mode: "flood"},
		{mode: "panic-batch", code: 3, says: []string{"panic", "a test's panic in a batch"}, log: []string{"[runner] processor \"panic-batch\" failed"}},
		{mode: "exit-batch", code: 3, says: []string{"exited with code 5"}, log: []string{"[runner] processor \"exit-batch\" failed"}},
		{mode: "nonsense-ack", code: 3, says: []string{"protocol error", "it acknowledged record"}, log: []string{"[runner]"}},
		{mode: "bad-edits", code: 3, says: []string{"protocol error", "a splice of record"}, log: []string{"[runner]"}},
		{mode: "error-batch", code: 3, says: []string{"a test's error"}, log: []string{"[runner]"}},
		{mode: "end-batch", code: 3, says: []string{"ended the stream before it sent Finished"}, log: []string{"[runner]"}},
		{mode: "error-open", code: 3, says: []string{"a test's error"}, log: []string{"[runner]"}},
		{mode: "wrong-version", code: 2, says: []string{"version"}},
		{mode: "exit-at-start", code: 3, says: []string{"exited with code"}},
		{mode: "panic-at-start", code: 3, says: []string{"panic"}},
		{mode: "not-a-plugin", code: 2, says: []string{"no plugin"}},
		{mode: "hang-at-start", code: 3, says: []string{"not ready in time"}},
	}
	const lines = 5000
	for _, tt := range tests {
		t.Run(tt.mode, func(t *testing.T) {
			t.Parallel()
			uses := fmt.Sprintf("%q { \n config { prefix = \"> \" } \n}", tt.mode)
			file := write(t, "runner.hcl", config(pluginDir(t, tt.mode), uses))
			stdout, stderr, code := run(t, strings.NewReader(numbered(lines)), "replay", "-c", file, "-")
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			switch {
			case tt.log != nil:
				contains(t, "the log", stdout, tt.log...)
			case tt.code == 0:
				if got, want := strings.Count(stdout, "> line "), lines; got != want {
					t.Errorf("%d lines came out, want %d", got, want)
				}
			}
			if tt.code != 0 {
				contains(t, "stderr", stderr, append(tt.says, tt.mode)...)
			}
			if t.Failed() {
				t.Log(stderr)
			}
		})
	}
}
