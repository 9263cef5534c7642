//go:build linux

package agent_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// helper is the program that runs the steps of the tests.
var helper string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "agent-test-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		err = buildHelper(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build runner-helper for the tests:", err)
		return 1
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
	helper = filepath.Join(dir, "runner-helper")
	build := exec.Command("go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", helper,
		"github.com/podrunner/runner/core/helper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return os.Chmod(dir, 0o755)
}
