package e2e

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"time"
)

// The budgets of the design for a gigabyte of log.
const (
	coreBudget   = 150 << 20
	pluginBudget = 100 << 20
)

// volumeLine is line i of a large log, 100 bytes with its end.
func volumeLine(buffer []byte, i int) []byte {
	return append(fmt.Appendf(buffer, "%010d compile link test ok fetch module cache build step warning deprecated using file path src g", i), '\n')
}

// replayVolume sends n lines through the three processors and checks that each comes out once and in order. pause is
// called after each MiB of output.
func replayVolume(t *testing.T, n int, pause func()) {
	t.Helper()
	c := command(t, "replay", "-c", configOf(t, "outcome", "sanitize", "prefix"), "--time", "2026-01-02T03:04:05Z", "-f",
		write(t, "job.yaml", "image: x\ncommands: ['true']\nvariables: [{key: S, value: hunter2-Zq81, sensitive: true}]\n"), "-")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := c.startPiped(t)
	wrote := make(chan uint32)
	go func() { wrote <- writeVolume(in, n) }()

	const prefix = "2026-01-02T03:04:05Z [1] "
	reader := bufio.NewReaderSize(out, 1<<20)
	want := make([]byte, 0, 128)
	checksum, lines, bytes := uint32(0), 0, 0
	peak := map[string]int64{}
	for {
		line, err := reader.ReadSlice('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		want = volumeLine(append(want[:0], prefix...), lines)
		if string(line) != string(want) {
			t.Fatalf("line %d is %q, want %q", lines, line, want)
		}
		checksum = crc32.Update(checksum, crc32.IEEETable, line[len(prefix):])
		lines++
		if bytes += len(line); bytes >= 1<<20 {
			bytes = 0
			pause()
			for name, pid := range plugins(c.Process.Pid) {
				peak[name] = max(peak[name], peakMemory(pid))
			}
			peak["core"] = max(peak["core"], peakMemory(c.Process.Pid))
		}
	}
	if code := c.finish(t); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, c.stderr.String())
	}
	if sum := <-wrote; lines != n || checksum != sum {
		t.Errorf("%d lines with checksum %08x came out, want %d with %08x", lines, checksum, n, sum)
	}
	if len(peak) != 4 {
		t.Errorf("the processes seen are %v", peak)
	}
	for name, bytes := range peak {
		budget := int64(pluginBudget)
		if name == "core" {
			budget = coreBudget
		}
		t.Logf("peak memory of %s: %d MiB", name, bytes>>20)
		if bytes > budget {
			t.Errorf("%s took %d MiB, more than %d", name, bytes>>20, budget>>20)
		}
	}
	contains(t, "the summary", c.stderr.String(), fmt.Sprintf("records    %d", n))
}

func writeVolume(to io.WriteCloser, n int) (checksum uint32) {
	defer to.Close()
	w := bufio.NewWriterSize(to, 1<<20)
	line := make([]byte, 0, 128)
	for i := range n {
		line = volumeLine(line[:0], i)
		checksum = crc32.Update(checksum, crc32.IEEETable, line)
		if _, err := w.Write(line); err != nil {
			return 0
		}
	}
	if w.Flush() != nil {
		return 0
	}
	return checksum
}

func TestGigabyte(t *testing.T) {
	begun := time.Now()
	replayVolume(t, 1<<30/100, func() {})
	t.Logf("%.0f MB/s, with a reader that checks each line", float64(1<<30)/1e6/time.Since(begun).Seconds())
}

// TestGigabyteSlowReader reads at most 64 MiB a second: memory must not grow with what is not read.
func TestGigabyteSlowReader(t *testing.T) {
	ticker := time.NewTicker(time.Second / 64)
	defer ticker.Stop()
	replayVolume(t, 1<<30/100, func() { <-ticker.C })
}

// TestVolumeThroughAJob prints 100 MB from a real job.
func TestVolumeThroughAJob(t *testing.T) {
	job := write(t, "job.yaml", "image: x\ncommands: ['set +xv', 'seq -f \"%099.0f\" 1 1000000']\n")
	c := command(t, "test", "-c", configOf(t, "outcome", "sanitize"), "-f", job)
	out := c.startPiped(t)
	n := 0
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		if strings.HasPrefix(scanner.Text(), "+ ") || scanner.Text() == "set +xv" {
			continue
		}
		n++
		if want := fmt.Sprintf("%099d", n); scanner.Text() != want {
			t.Fatalf("line %d is %q", n, scanner.Text())
		}
	}
	if code := c.finish(t); code != 0 || n != 1_000_000 {
		t.Errorf("exit code %d, %d lines:\n%s", code, n, c.stderr.String())
	}
}
