package pluginhost_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/podrunner/runner/core/internal/pluginhost"
	"github.com/podrunner/runner/core/internal/pluginhost/hosttest"
)

// BenchmarkRestart measures from the kill of a process to the next one, configured.
func BenchmarkRestart(b *testing.B) {
	temp, err := os.MkdirTemp("", "ph-") //nolint:usetesting // b.TempDir's path is too long for a socket
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	h, err := pluginhost.New(pluginhost.Options{Dirs: []pluginhost.Dir{hosttest.Dir(b, "echo")}, TempDir: temp, Environ: []string{}})
	if err != nil {
		b.Fatal(err)
	}
	p, err := h.Launch(b.Context(), pluginhost.Processor, "echo")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := p.Configure(b.Context(), []byte(`{}`)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c, err := p.Connect(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		c.Progress()
		if err := syscall.Kill(pluginhost.PID(c), syscall.SIGKILL); err != nil {
			b.Fatal(err)
		}
		<-c.Done()
	}
	if err := h.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
