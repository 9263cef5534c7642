package pluginhost_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/pluginhost"
)

// hostVariable makes the test binary a host: it holds the directories of its plugins and of its sockets.
const hostVariable = "PLUGINHOST_TEST_HOST"

// runHost launches three plugins, prints their process ids, and waits to be killed.
func runHost() {
	plugins, temp, _ := strings.Cut(os.Getenv(hostVariable), ":")
	host, err := pluginhost.New(pluginhost.Options{
		Dirs: []pluginhost.Dir{{Path: plugins, From: "the test"}}, TempDir: temp, Environ: []string{},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, mode := range []string{"echo", "ignore-shutdown", "lifeline"} {
		p, err := host.Launch(context.Background(), pluginhost.Processor, mode)
		if err != nil {
			fmt.Println(err)
			return
		}
		c, err := p.Connect(context.Background())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(pluginhost.PID(c))
	}
	fmt.Println("ready")
	select {}
}

// TestKillNineOfHost kills a host that has plugins. They are gone two seconds later, and its sockets at the next start.
func TestKillNineOfHost(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "echo", "ignore-shutdown", "lifeline")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), hostVariable+"="+f.dir+":"+f.temp)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the host says: %s", lines.Text())
		}
		pids = append(pids, pid)
	}
	if len(pids) != 3 {
		t.Fatalf("the host has plugins %v, want three", pids)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed

	deadline := time.After(2 * time.Second)
	for _, pid := range pids {
		for processExists(pid) {
			select {
			case <-deadline:
				t.Fatalf("plugin %d of %v has survived core by two seconds", pid, pids)
			case <-time.After(10 * time.Millisecond): // there is no event for the end of another's child
			}
		}
	}
	f.launch(t, "echo") // sweeps; the fixture sees to it that nothing is left
}
