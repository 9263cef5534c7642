package sdktest

import (
	"path/filepath"
	"testing"
)

func TestProgram(t *testing.T) {
	p := Start(t, Binary{Path: filepath.Join(programs, "good"), Config: map[string]any{"mark": ": "}})
	for name, run := range map[string]func(testing.TB, Job, ...Line) *Result{"run": p.Run, "crash": p.Crash} {
		t.Run(name, func(t *testing.T) {
			result := run(t, Job{}, Lines("a", "drop me", "b")...)
			AssertLines(t, result, "1: a", "3: b", "3 lines")
			if got := string(result.End.Variables[0].Value); got != "3" {
				t.Errorf("%s lines", got)
			}
		})
	}
}
