package sdktest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/podrunner/runner/sdk"
)

// Result is what comes out of a processor.
type Result struct {
	// Lines is the job's log, pieces of long lines put together.
	Lines []Line
	// End is the job's result.
	End sdk.End
}

func resultOf(p *progress) *Result {
	r := &Result{Lines: join(p.output), End: sdk.End{
		Outcome:  p.result.Outcome,
		Reason:   p.result.Reason,
		Message:  p.result.Message,
		ExitCode: p.result.ExitCode,
	}}
	for _, v := range p.result.Variables {
		r.End.Variables = append(r.End.Variables, sdk.Variable{Key: v.Key, Value: v.Value})
	}
	return r
}

// AssertLines fails the test when the texts of the lines that came out are not those wanted.
func AssertLines(t testing.TB, result *Result, want ...string) {
	t.Helper()
	got := make([]string, len(result.Lines))
	for i, l := range result.Lines {
		got[i] = l.Text
	}
	if !slices.Equal(got, want) {
		t.Errorf("the lines that came out are not those wanted:\n%s", diff(got, want))
	}
}

// diff shows two lists of lines side by side as far as they differ: -got +want.
func diff(got, want []string) string {
	var b strings.Builder
	for i := range max(len(got), len(want)) {
		if i < len(got) && i < len(want) && got[i] == want[i] {
			_, _ = fmt.Fprintf(&b, "  %4d  %s\n", i+1, quoted(got[i]))
			continue
		}
		if i < len(got) {
			_, _ = fmt.Fprintf(&b, "- %4d  %s\n", i+1, quoted(got[i]))
		}
		if i < len(want) {
			_, _ = fmt.Fprintf(&b, "+ %4d  %s\n", i+1, quoted(want[i]))
		}
	}
	return b.String()
}

// quoted writes a line for a person, and not all of a long one.
func quoted(s string) string {
	const most = 200
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// same tells how two results differ.
func same(got, want *Result) error {
	for i := range max(len(got.Lines), len(want.Lines)) {
		switch {
		case i >= len(got.Lines):
			return fmt.Errorf("line %d is missing: %s", i+1, quoted(want.Lines[i].Text))
		case i >= len(want.Lines):
			return fmt.Errorf("line %d is one too many: %s", i+1, quoted(got.Lines[i].Text))
		case got.Lines[i] != want.Lines[i]:
			return fmt.Errorf("line %d is %s of %v; undisturbed it is %s of %v", i+1,
				quoted(got.Lines[i].Text), got.Lines[i].Stream, quoted(want.Lines[i].Text), want.Lines[i].Stream)
		}
	}
	if g, w := protoOf(got.End), protoOf(want.End); !proto.Equal(g, w) {
		return fmt.Errorf("the result is {%v}; undisturbed it is {%v}", g, w)
	}
	return nil
}
