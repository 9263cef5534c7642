//go:build linux

package local

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// helperPath is the helper that the tests run, and asUser the name of the environment variable that hands it to the tests
// when they run again as an ordinary user.
var helperPath string

const asUser = "RUNNER_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(asCore) != "" {
		runAsCore()
		os.Exit(1) // it ends only by a kill
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	if helperPath = os.Getenv(asUser); helperPath == "" {
		dir, err := os.MkdirTemp("", "runner-test-")
		if err == nil {
			defer func() { _ = os.RemoveAll(dir) }()
			err = buildHelper(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "build runner-helper for the tests:", err)
			return 1
		}
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// buildHelper builds the helper into dir, in which any user may run it.
func buildHelper(dir string) error {
	helperPath = filepath.Join(dir, "runner-helper")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", helperPath,
		"github.com/podrunner/runner/core/helper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return os.Chmod(dir, 0o755)
}
