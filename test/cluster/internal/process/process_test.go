package process_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podrunner/runner/test/cluster/internal/process"
)

func TestAProcessIsFoundByItsFileAndStopped(t *testing.T) {
	spec := script(t, "exec sleep 1000")
	started, err := process.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	found, err := process.Find(spec.PIDFile)
	if err != nil || found == nil || found.PID != started.PID {
		t.Fatalf("found %+v, %v; started %+v", found, err, started)
	}
	if err := found.Stop(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if p, err := process.Find(spec.PIDFile); p != nil || err != nil {
		t.Errorf("found %+v, %v after its end", p, err)
	}
}

func TestAProcessThatIgnoresTermIsEndedByForce(t *testing.T) {
	trapped := filepath.Join(t.TempDir(), "trapped")
	if err := unix.Mkfifo(trapped, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(script(t, "trap '' TERM; echo >"+trapped+"; while :; do sleep 1000; done"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(trapped); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context(), 10*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	<-p.Exited()
}

// The number in the file is that of a process that runs, but of another one: it started at another moment, or after
// another boot.
func TestAnotherProcessOfTheSameNumberIsNotFound(t *testing.T) {
	spec := script(t, "exec sleep 1000")
	p, err := process.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Kill(p.PID) })
	b, err := os.ReadFile(spec.PIDFile)
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b))
	for name, line := range map[string]string{
		"another moment": fmt.Sprintf("%s 1%s %s\n", f[0], f[1], f[2]),
		"another boot":   fmt.Sprintf("%s %s 00000000-0000-0000-0000-000000000000\n", f[0], f[1]),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pid")
			if err := os.WriteFile(path, []byte(line), 0o644); err != nil {
				t.Fatal(err)
			}
			if found, err := process.Find(path); found != nil || err != nil {
				t.Errorf("found %+v, %v", found, err)
			}
		})
	}
}

func TestAFileOfSomethingElseIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(path, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if p, err := process.Find(path); p != nil || err == nil {
		t.Errorf("found %+v, %v", p, err)
	}
}

func TestKillReturnsWhenTheProcessHasGone(t *testing.T) {
	p, err := process.Start(script(t, "exec sleep 1000"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is none
		if err := process.Kill(p.PID); err != nil {
			t.Fatal(err)
		}
	}
	<-p.Exited()
}

func script(t *testing.T, text string) process.Spec {
	t.Helper()
	dir := t.TempDir()
	return process.Spec{
		Name: "script", Command: []string{"/bin/sh", "-c", text},
		Log: filepath.Join(dir, "log"), PIDFile: filepath.Join(dir, "pid"),
	}
}
