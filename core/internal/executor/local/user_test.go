//go:build linux

package local

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

// nobody is an ordinary user.
const nobody = 65534

// TestAsOrdinaryUser runs all tests once more without root's rights, which takes the other way to a mount namespace.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return // this is it
	}
	t.Parallel()
	dir := t.TempDir()
	self, err := os.Executable()
	if err == nil {
		err = os.Chmod(filepath.Dir(dir), 0o755)
	}
	if err == nil {
		// By another process: while this one has a file open to write, any helper that a test forks has it open, too, and
		// the system executes no such file.
		err = exec.CommandContext(deadline(t), "cp", "--preserve=mode", self, filepath.Join(dir, "local.test")).Run()
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "a/b/c/d/tmp"), 0o755)
	}
	if err == nil {
		err = os.Chown(filepath.Join(dir, "a/b/c/d/tmp"), nobody, nobody)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	var example []byte
	if err == nil {
		example, err = os.ReadFile("../../../../examples/job.yaml")
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "examples"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "examples/job.yaml"), example, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(deadline(t), filepath.Join(dir, "local.test"), "-test.v")
	cmd.Dir = filepath.Join(dir, "a/b/c/d") // as deep below the examples as this package
	cmd.Env = []string{asUser + "=" + helperPath, "TMPDIR=" + filepath.Join(cmd.Dir, "tmp"), "HOME=/", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as user %d: %v\n%s", nobody, err, out)
	}
}
