package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

var written = time.Date(2026, 1, 31, 23, 59, 59, 999_000_000, time.UTC)

func line(after time.Duration, stream sdk.Stream, text string, partial bool) sdktest.Line {
	return sdktest.Line{Text: text, Stream: stream, Time: written.Add(after), Partial: partial}
}

func TestTheSeedsPrefix(t *testing.T) {
	job := sdktest.Job{Info: sdk.Job{Worker: 3}}
	result := sdktest.Replay(t, plugin, job,
		line(0, sdk.Stdout, "hello", false),
		line(0, sdk.Stderr, "", false),
		line(time.Millisecond, sdk.Stdout, "next\r", false),
	)
	sdktest.AssertLines(t, result,
		"2026-01-31T23:59:59Z [3] hello", "2026-01-31T23:59:59Z [3] ", "2026-02-01T00:00:00Z [3] next\r")
}

func TestNoSlotIsWorkerZero(t *testing.T) {
	sdktest.AssertLines(t, sdktest.Run(t, plugin, sdktest.Job{}, line(0, sdk.Stdout, "x", false)),
		"2026-01-31T23:59:59Z [0] x")
}

func TestOnePrefixForALineInPieces(t *testing.T) {
	job := sdktest.Job{Config: map[string]any{"format": "{stream}: "}}
	result := sdktest.Replay(t, plugin, job,
		line(0, sdk.Stdout, "a", true),
		line(0, sdk.Stderr, "x", false),
		line(0, sdk.Stderr, "y", true),
		line(time.Hour, sdk.Stdout, "b", true),
		line(0, sdk.Stdout, "", false),
		line(0, sdk.Stderr, "z", false),
		line(0, sdk.Stdout, "c", false),
		line(0, sdk.Stdout, strings.Repeat("l", 100<<10), false),
	)
	sdktest.AssertLines(t, result,
		"stdout: ab", "stderr: x", "stderr: yz", "stdout: c", "stdout: "+strings.Repeat("l", 100<<10))
}

func TestFormat(t *testing.T) {
	job := sdktest.Job{
		Config: map[string]any{
			"format":      "{time} {pipeline}/{runner}/{worker}/{job}/{step}/{stream}> ",
			"time_format": "15:04:05.000",
		},
		Info: sdk.Job{ID: "id\n1", Pipeline: "main", Runner: "r1", Worker: 2},
	}
	result := sdktest.Replay(t, plugin, job,
		sdktest.Line{Step: "init", Text: "a", Time: written},
		sdktest.Line{Step: "job", Stream: sdk.Stderr, Text: "b", Time: written.Add(time.Millisecond)},
	)
	sdktest.AssertLines(t, result,
		"23:59:59.999 main/r1/2/id_1/init/stdout> a", "00:00:00.000 main/r1/2/id_1/job/stderr> b")
}

func TestValidate(t *testing.T) {
	cases := []struct {
		name   string
		config map[string]any
		want   []string
	}{
		{"the defaults", map[string]any{}, nil},
		{"a placeholder", map[string]any{"format": "{tme}"}, []string{"format: Unknown placeholder"}},
		{"a layout", map[string]any{"time_format": "%H:%M"}, []string{"time_format: No time in a layout"}},
		{
			"both",
			map[string]any{"format": "a\nb", "time_format": "\n"},
			[]string{"format: Line end in a prefix", "time_format: Line end in a time"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, d := range sdktest.Validate(t, plugin, c.config) {
				if d.Severity != "error" || d.Detail == "" {
					t.Errorf("%+v", d)
				}
				got = append(got, d.Path+": "+d.Summary)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestRestore(t *testing.T) {
	for _, checkpoint := range checkpoints {
		var p processor
		if err := p.Restore(checkpoint); err != nil {
			t.Errorf("%v: %v", checkpoint, err)
		}
		if got, _ := p.Checkpoint(); string(got) != string(checkpoint) {
			t.Errorf("%v comes back as %v", checkpoint, got)
		}
	}
	for _, checkpoint := range [][]byte{{1}, {2, 1}, {1, 4}, {1, 1, 1}} {
		if err := (&processor{}).Restore(checkpoint); err == nil {
			t.Errorf("%v is taken", checkpoint)
		}
	}
}

func TestConformance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runner-processor-prefix")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	sdktest.Conformance(t, sdktest.Binary{Path: path})
}
