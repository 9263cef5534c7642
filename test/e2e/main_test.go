// Package e2e tests the binaries as a person has them: it runs bin/core and looks at what it prints, at its exit code,
// at the processes and the files that are left. `make test-e2e` builds them first.
package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// limit is the time after which a run of core is given up: it hangs.
const limit = 2 * time.Minute

// root is the repository, bin the folder with the binaries, testPlugin the plugin that can do everything wrong.
var root, bin, testPlugin string

func TestMain(m *testing.M) {
	code, err := setUp(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func setUp(m *testing.M) (int, error) {
	var err error
	if root, err = filepath.Abs("../.."); err != nil {
		return 0, err
	}
	bin = filepath.Join(root, "bin")
	if _, err := os.Stat(filepath.Join(bin, "core")); err != nil {
		return 0, fmt.Errorf("the binaries are missing, run `make build`: %w", err)
	}
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	testPlugin = filepath.Join(dir, "testplugin")
	build := exec.Command("go", "build", "-o", testPlugin, "./core/internal/pluginhost/testplugin")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the test plugin: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// core is a run of bin/core in a folder of its own, with a temporary folder of its own.
type core struct {
	*exec.Cmd
	stdout, stderr output
	// temp is its TMPDIR; whatever it leaves on the disk is there.
	temp  string
	watch *time.Timer
}

// output is what a program has said so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// command prepares a run. The environment holds PATH, HOME and TMPDIR.
func command(t *testing.T, args ...string) *core {
	t.Helper()
	// A socket's path is short: the folder must not have the test's name in its path.
	temp, err := os.MkdirTemp("", "e2e-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temp) })
	c := &core{Cmd: exec.CommandContext(t.Context(), filepath.Join(bin, "core"), args...), temp: temp}
	c.Dir = t.TempDir()
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Dir, "TMPDIR=" + c.temp}
	c.Stdout, c.Stderr = &c.stdout, &c.stderr
	return c
}

// start starts a run; one that hangs is killed, and fails the test in finish.
func (c *core) start(t *testing.T) {
	t.Helper()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	c.watch = time.AfterFunc(limit, func() { _ = c.Process.Kill() })
}

// startPiped is start for a test that reads the standard output itself.
func (c *core) startPiped(t *testing.T) io.Reader {
	t.Helper()
	c.Stdout = nil
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.start(t)
	return out
}

// finish waits for a run that has been started and returns its exit code; -1 for one that was killed.
func (c *core) finish(t *testing.T) int {
	t.Helper()
	err := c.Wait()
	if !c.watch.Stop() {
		t.Fatalf("core %s hangs; it said:\n%s", strings.Join(c.Args[1:], " "), c.stderr.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode()
}

// run runs core to its end.
func run(t *testing.T, stdin io.Reader, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	c := command(t, args...)
	c.Stdin = stdin
	c.start(t)
	code = c.finish(t)
	if left := files(t, c.temp); len(left) > 0 {
		t.Errorf("core %s has left files: %q", strings.Join(args, " "), left)
	}
	return c.stdout.String(), c.stderr.String(), code
}

// files lists all files and folders below dir.
func files(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if path != dir {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return out
}

// write writes a file for the test and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// configOf writes a configuration with one pipeline of the processors, with the shipped plugins.
func configOf(t *testing.T, processors ...string) string {
	t.Helper()
	return write(t, "runner.hcl", config(filepath.Join(bin, "plugins"), processors...))
}

func config(dir string, processors ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "runner {\n  plugin_dir = %q\n}\npipeline \"default\" {\n  executor = \"local\"\n", dir)
	for _, p := range processors {
		if !strings.Contains(p, "{") {
			p = fmt.Sprintf("%q {}", p)
		}
		fmt.Fprintf(&b, "  processor %s\n", p)
	}
	b.WriteString("}\n")
	return b.String()
}

// contains fails the test unless text holds each of the parts.
func contains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s does not say %q:\n%s", what, part, text)
		}
	}
}
