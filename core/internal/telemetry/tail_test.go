package telemetry

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// numbered returns lines from one number to another.
func numbered(from, to int) (lines []string) {
	for i := from; i <= to; i++ {
		lines = append(lines, fmt.Sprint("line ", i))
	}
	return lines
}

func bytesOf(lines []string) (out [][]byte) {
	for _, l := range lines {
		out = append(out, []byte(l))
	}
	return out
}

func TestTail(t *testing.T) {
	hide := strings.NewReplacer("hunter2", "***").Replace
	for _, test := range []struct {
		name string
		adds [][]string
		want []string
	}{
		{"nothing", nil, nil},
		{"a few", [][]string{{"a"}, {"", "b"}}, []string{"a", "", "b"}},
		{"just as many", [][]string{numbered(1, 20)}, numbered(1, 20)},
		{"one more", [][]string{numbered(1, 20), {"line 21"}}, numbered(2, 21)},
		{"many at once", [][]string{{"a"}, numbered(1, 1000)}, numbered(981, 1000)},
		{"many times", [][]string{numbered(1, 7), numbered(8, 30), numbered(31, 33)}, numbered(14, 33)},
		{"sensitive", [][]string{{"it is hunter2"}}, []string{"it is ***"}},
		{"long", [][]string{{strings.Repeat("x", 5000)}}, []string{strings.Repeat("x", maxTailLine) + "…"}},
		{"a cut in a sensitive value", [][]string{{strings.Repeat("x", maxTailLine-3) + "hunter2"}}, []string{strings.Repeat("x", maxTailLine-3) + "***"}},
		{"a cut in a character", [][]string{{strings.Repeat("x", maxTailLine-1) + "ä…"}}, []string{strings.Repeat("x", maxTailLine-1) + "…"}},
		{"no UTF-8", [][]string{{"a\xffb"}}, []string{"a?b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tail := &Tail{redact: hide}
			for _, lines := range test.adds {
				tail.Add(bytesOf(lines))
			}
			if d := cmp.Diff(test.want, tail.Lines()); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestTailKeepsNoMemory: the lines of a log are the log's own.
func TestTailKeepsNoMemory(t *testing.T) {
	tail := &Tail{redact: strings.Clone}
	line := []byte("before")
	tail.Add([][]byte{line})
	copy(line, "after!")
	if got := tail.Lines()[0]; got != "before" {
		t.Errorf("the line is %q", got)
	}
}
