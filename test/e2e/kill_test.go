package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kills is how often each processor is killed in one run.
const kills = 10

// killLog is 100 MB with something in it for each processor: directives, blocks and secrets.
func killLog(t *testing.T) string {
	t.Helper()
	path := write(t, "raw.log", "")
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(file, 1<<20)
	for i, n := 0, 0; n < 100_000_000; i++ {
		var line string
		switch {
		case i%100_003 == 5:
			line = fmt.Sprintf("::set-outcome-var count=%d\n", i)
		case i%90_001 == 7:
			line = fmt.Sprintf("::start-multiline-outcome-var block-%d\nfirst %d\nthe hunter2-Zq81\n::end-multiline-outcome-var\n", i, i)
		case i%10 == 3:
			line = fmt.Sprintf("%09d login with hunter2-Zq81 and go on for a while with the words that a build prints, all day\n", i)
		default:
			line = fmt.Sprintf("%09d compile link test ok fetch module cache build step warning deprecated using file path src\n", i)
		}
		n += len(line)
		if _, err := w.WriteString(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// replayKilled replays a log and hands out its output's hash and its result. After each piece of the output kill is
// called.
func replayKilled(t *testing.T, args []string, every int64, kill func(core int)) (sum string, lines int, result string) {
	t.Helper()
	c := command(t, args...)
	out := c.startPiped(t)
	hash := sha256.New()
	buffer := make([]byte, 256<<10)
	var total, next int64 = 0, every
	for {
		n, err := out.Read(buffer)
		hash.Write(buffer[:n])
		lines += bytes.Count(buffer[:n], []byte("\n"))
		if total += int64(n); total >= next {
			kill(c.Process.Pid)
			next += every
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if code := c.finish(t); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, c.stderr.String())
	}
	if t.Failed() {
		t.Log(c.stderr.String())
	}
	_, result, _ = strings.Cut(c.stderr.String(), "\noutcome ")
	result = strings.Join(slices.DeleteFunc(strings.Split(result, "\n"), func(l string) bool { return strings.HasPrefix(l, "duration") }), "\n")
	return fmt.Sprintf("%x", hash.Sum(nil)), lines, result
}

// TestKilledProcessors kills each processor ten times in the middle of a replay: nothing may be lost, doubled or changed.
func TestKilledProcessors(t *testing.T) {
	job := write(t, "job.yaml", "image: x\ncommands: ['true']\nvariables: [{key: S, value: hunter2-Zq81, sensitive: true}]\n")
	args := []string{
		"replay", "-c", configOf(t, "outcome", "sanitize", "prefix"), "-f", job, "--time", "2026-01-02T03:04:05Z", killLog(t),
	}
	wantSum, wantLines, wantResult := replayKilled(t, args, 1<<40, func(int) {})
	contains(t, "the undisturbed result", wantResult, "count=", "block-7=", "**********")

	names := []string{"outcome", "sanitize", "prefix"}
	killed := 0
	sum, lines, result := replayKilled(t, args, 3_500_000, func(core int) {
		if killed == kills*len(names) {
			return
		}
		if pid := plugins(core)[names[killed%len(names)]]; pid != 0 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			killed++
		}
	})
	if killed != kills*len(names) {
		t.Errorf("only %d processes were killed, want %d", killed, kills*len(names))
	}
	if sum != wantSum || lines != wantLines {
		t.Errorf("%d lines with hash %.12s came out, want %d with %.12s", lines, sum, wantLines, wantSum)
	}
	if result != wantResult {
		t.Errorf("the result is %s\nwant %s", result, wantResult)
	}
}

// TestKilledCore kills core in the middle of a job: two seconds later nothing of it is left.
func TestKilledCore(t *testing.T) {
	job := write(t, "job.yaml", "image: x\ncommands: ['echo ready', 'sleep 1000']\n")
	c := command(t, "test", "-c", configOf(t, "outcome", "sanitize", "prefix"), "-f", job)
	out := c.startPiped(t)
	var processes []int
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		if strings.HasSuffix(scanner.Text(), "] ready") {
			processes = descendants(t, c.Process.Pid)
			if len(plugins(c.Process.Pid)) != 3 {
				t.Errorf("the plugins are %v", plugins(c.Process.Pid))
			}
			if err := c.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			waitGone(t, 2*time.Second, processes...)
		}
	}
	c.finish(t)
	if len(processes) < 5 {
		t.Errorf("only %d processes were seen", len(processes))
	}
}
