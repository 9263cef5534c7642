// Package hosttest builds the plugin of core's tests and puts it where a plugin host finds it.
package hosttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/podrunner/runner/core/internal/pluginhost"
)

// program is the built test plugin; Main sets it.
var program string

// Main builds the test plugin, runs the tests, and returns their exit code, for os.Exit in a TestMain.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "testplugin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a directory for the test plugin:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "testplugin")
	build := exec.Command("go", "build", "-o", program, "github.com/podrunner/runner/core/internal/pluginhost/testplugin")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the test plugin: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// Dir returns a directory with the test plugin in it as a processor, once for each of the modes, which are its names.
func Dir(t testing.TB, modes ...string) pluginhost.Dir {
	t.Helper()
	dir := t.TempDir()
	for _, mode := range modes {
		Link(t, filepath.Join(dir, "runner-processor-"+mode))
	}
	return pluginhost.Dir{Path: dir, From: "the test"}
}

// Link puts the test plugin at path, in place of what is there. It is linked and not copied: a file that was written a
// moment ago can't be executed while any process that was forked meanwhile still has it open.
func Link(t testing.TB, path string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Fatal("no links on this system")
	}
	temporary := path + ".new"
	if err := os.Link(program, temporary); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		t.Fatal(err)
	}
}
