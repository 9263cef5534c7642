package sdktest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// programs is the folder with the built programs of internal/.
var programs string

func TestMain(m *testing.M) {
	os.Exit(build(m))
}

// build builds the programs that the suite is tried on, and runs the tests.
func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sdktest")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	programs = dir
	if out, err := exec.Command("go", "build", "-o", dir, "./internal/...").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestConformanceOfAGoodProcessor(t *testing.T) {
	Conformance(t, Binary{
		Path:   filepath.Join(programs, "good"),
		Config: map[string]any{"mark": ": "},
		Lines:  append(Lines("drop me", "repeat me"), Line{Text: "repeat me, too", Stream: 1}),
	})
}

// TestConformanceCatches runs the check that a bad processor must fail, and looks at what it tells the author.
func TestConformanceCatches(t *testing.T) {
	for _, c := range []struct{ bad, check, want string }{
		{"schema", "describe", `the attribute "a" has no type`},
		{"half a batch", "order", "in the middle of a batch"},
		{"too early", "order", "is the last one sent"},
		{"not cumulative", "order", "acknowledges more than the one before"},
		{"foreign edit", "order", "in a Result that acknowledges records 1 to"},
		{"overlap", "order", "a splice at offset 1, and the one before it reaches to 2"},
		{"outcome line", "order", "an insert with FLAG_OUTCOME"},
		{"short columns", "order", "it puts in 5 bytes, and data holds only 4 more"},
		{"prefixes too many", "order", "prefix_counts are for more than the 2 records"},
		{"prefixes unasked", "prefix runs", "they are only for a core whose Open says prefix_runs"},
		{"checkpoint", "order", "the processor declares in its traits that it has none"},
		{"large checkpoint", "order", "a checkpoint has 2097153 bytes"},
		{"no result", "empty log", "gives it back"},
		{"line end", "empty log", "a line in Finished holds a line end"},
		{"no finished", "empty log", "ended the stream with status OK before Finished"},
		{"outcome", "empty log", `the outcome in Finished is "fine"`},
		{"silent", "order", "answer Finished before record 1 was acknowledged"},
		{"hoards", "batch borders", "no answer in"},
		{"borders", "batch borders", "first: "},
		{"clock", "repeat", "the same job again, in the same process"},
		{"shares", "repeat", "the same job again, in the same process"},
		{"forgets", "replay", "undisturbed it is"},
		{"restores", "replay", "cannot read it"},
		{"not a job", "cancel", "the same job after it was given up"},
		{"shares", "two jobs", "beside others"},
		{"collects", "long line", "the line is too long"},
		{"nul", "any bytes", "panic: NUL"},
		{"strict", "unknown fields", "unknown field"},
		{"drain", "drain", "a job that was open at Drain"},
		{"stays", "lifeline", "it still runs after"},
	} {
		t.Run(c.check+", "+c.bad, func(t *testing.T) {
			switch c.bad {
			case "hoards":
				shorten(t, &answerTimeout)
			case "stays":
				shorten(t, &exitTimeout)
			}
			err := checkNamed(t, c.check).conforms(t.Context(), Binary{
				Path: filepath.Join(programs, "bad"),
				Env:  []string{"BAD=" + c.bad},
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant an error that holds %q", err, c.want)
			}
		})
	}
}

func TestConformanceOfWhatIsNoPlugin(t *testing.T) {
	for name, c := range map[string]struct{ path, want string }{
		"missing":     {filepath.Join(programs, "missing"), "no such file"},
		"no plugin":   {"/bin/echo", "Unrecognized remote plugin message"},
		"exits early": {"/bin/false", "start the plugin"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkNamed(t, "describe").conforms(t.Context(), Binary{Path: c.path})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to hold %q", err, c.want)
			}
		})
	}
}

// shorten makes a deadline that is going to pass a short one.
func shorten(t *testing.T, timeout *time.Duration) {
	before := *timeout
	*timeout = time.Second
	t.Cleanup(func() { *timeout = before })
}

func checkNamed(t *testing.T, name string) check {
	t.Helper()
	for _, c := range checks {
		if c.name == name {
			return c
		}
	}
	t.Fatalf("there is no check %q", name)
	return check{}
}
