package capture_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/plugins/processor-outcome/internal/capture"
)

const (
	start = "::start-multiline-outcome-var "
	end   = "::end-multiline-outcome-var"
	set   = "::set-outcome-var "
)

var (
	// longest is a value of the largest size that is allowed, secret one that no notice may show.
	longest = strings.Repeat("v", capture.MaxValueBytes)
	tooLong = longest + "!"
	longKey = strings.Repeat("k", 129)
)

func notice(text string) string { return "[runner] outcome: " + text }

func dropped(key, reason string) string {
	return notice(fmt.Sprintf("variable %q is dropped: %s", key, reason))
}

const valueReason = "its value is larger than 256 KiB"

// repeat returns n lines made by format from 0 to n-1.
func repeat(n int, format string) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(format, i)
	}
	return lines
}

func concat(parts ...[]string) []string {
	var all []string
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestLimits(t *testing.T) {
	filler := strings.Repeat("f", capture.MaxTotalBytes/4-2) // with a key of two bytes, a quarter of the total
	var full, fullVariables []string
	for i := range 4 {
		full = append(full, fmt.Sprintf(set+"f%d=%s", i, filler))
		fullVariables = append(fullVariables, fmt.Sprintf("f%d=%s", i, filler))
	}
	hundred := repeat(capture.MaxVariables, "k%d=v")
	var setHundred []string
	for _, x := range hundred {
		setHundred = append(setHundred, set+x)
	}
	totalReason := "the job's variables are larger than 1 MiB in total"
	countReason := "the job has more than 100 variables"
	keyNotice := notice("a variable is dropped: its key is longer than 128 bytes")

	cases := []struct {
		name string
		log  []string
		want result
	}{
		{
			"the longest value",
			[]string{set + "a=" + longest},
			result{nil, []string{"a=" + longest}},
		},
		{
			"a longer value takes an earlier one with it, and stays in the log",
			[]string{set + "a=1", set + "a=" + tooLong, "next"},
			result{[]string{set + "a=" + tooLong, dropped("a", valueReason), "next"}, []string{}},
		},
		{
			"a variable that was dropped can be set again, and is then a new one",
			[]string{set + "a=" + tooLong, set + "b=1", set + "a=2"},
			result{[]string{set + "a=" + tooLong, dropped("a", valueReason)}, []string{"b=1", "a=2"}},
		},
		{
			"the longest block",
			[]string{start + "m", longest[:1000], longest[1001:], end},
			result{nil, []string{"m=" + longest[:1000] + "\n" + longest[1001:]}},
		},
		{
			"a longer block goes back to the log with all that follows",
			[]string{start + "m tail", "one", longest, "two", end, "next"},
			result{[]string{dropped("m", valueReason), start + "m tail", "one", longest, "two", end, "next"}, []string{}},
		},
		{
			"blocks inside a refused one still count",
			[]string{start + "m", tooLong, start + "n", "inner", end, "outer", end, set + "a=1"},
			result{
				[]string{dropped("m", valueReason), start + "m", tooLong, "outer", end},
				[]string{"n=inner", "a=1"},
			},
		},
		{
			"a block can not add to what was dropped",
			[]string{start + "m", tooLong, end, start + "m", "more", end},
			result{[]string{
				dropped("m", valueReason), start + "m", tooLong, end,
				start + "m", dropped("m", "it was dropped before, and a block would add to what is lost"), "more", end,
			}, []string{}},
		},
		{
			"the lines of both blocks of one variable go back",
			[]string{start + "m", "outer", start + "m", tooLong, end, "rest", end, "next"},
			result{[]string{
				dropped("m", valueReason), start + "m", "outer", start + "m", tooLong, end, "rest", end, "next",
			}, []string{}},
		},
		{
			"a key that is too long",
			[]string{set + longKey + "=v", start + longKey, "x", end, "next"},
			result{[]string{set + longKey + "=v", keyNotice, start + longKey, keyNotice, "x", end, "next"}, []string{}},
		},
		{
			"refused blocks in refused blocks",
			[]string{start + longKey, start + longKey, "x", end, "y", end, set + "a=1"},
			result{[]string{
				start + longKey, keyNotice, start + longKey, keyNotice, "x", end, "y", end,
			}, []string{"a=1"}},
		},
		{
			"one variable too many", concat(setHundred, []string{set + "more=1", start + "m", "x", end, set + "k0=new"}),
			result{
				[]string{set + "more=1", dropped("more", countReason), start + "m", dropped("m", countReason), "x", end},
				concat([]string{"k0=new"}, hundred[1:]),
			},
		},
		{
			"exactly the total", full, result{nil, fullVariables},
		},
		{
			"more than the total", concat(full, []string{set + "f1=" + filler + "!", set + "f2="}),
			result{
				[]string{set + "f1=" + filler + "!", dropped("f1", totalReason)},
				[]string{fullVariables[0], "f2=", fullVariables[3]},
			},
		},
		{
			"a line of a block that is more than the total", concat(full[:3], []string{start + "m", filler, "", end}),
			result{
				[]string{dropped("m", totalReason), start + "m", filler, "", end}, fullVariables[:3],
			},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, run(t, c.log...)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestOpeningLinesAreBounded(t *testing.T) {
	tail := " " + longest
	if got := run(t, start+"m"+tail, "x", end); len(got.Variables) > 0 || len(got.Lines) != 4 {
		t.Errorf("an opening line over the limit: %d lines, %d variables", len(got.Lines), len(got.Variables))
	}
	tail = tail[:150<<10]
	got := run(t, start+"a"+tail, start+"b"+tail, start+"c"+tail)
	if want := dropped("c", heldReason); got.Lines[1] != want {
		t.Errorf("second line: %.100q, want %q", got.Lines[1], want)
	}
}

const heldReason = "the blocks that have no end yet hold more than 384 KiB"

func TestBlocksInBlocksAreBounded(t *testing.T) {
	half := longest[:capture.MaxHeldBytes/2]
	got := run(t, start+"a", half, start+"b", half, "more", end, end)
	want := result{
		Lines:     []string{dropped("b", heldReason), start + "b", half, "more", end},
		Variables: []string{"a=" + half},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// pieces cuts a line as the spool does.
func pieces(line string) []string {
	const size = 30 << 10
	var list []string
	for len(line) > size {
		list = append(list, line[:size])
		line = line[size:]
	}
	return append(list, line)
}

func runPieces(t *testing.T, lines ...string) result {
	t.Helper()
	f := feeder{state: &capture.State{}, restore: true}
	for _, line := range lines {
		list := pieces(line)
		for i, p := range list {
			f.piece(t, "job", p, i < len(list)-1)
		}
	}
	return f.finish()
}

func TestLimitsInPieces(t *testing.T) {
	endless := strings.Repeat(longest, 3)
	cases := []struct {
		name string
		log  []string
		want result
	}{
		{
			"the longest value",
			[]string{set + "a=" + longest, "next"},
			result{[]string{"next"}, []string{"a=" + longest}},
		},
		{
			"a longer value comes out as it was",
			[]string{set + "a=" + endless, "next"},
			result{[]string{set + "a=" + endless, dropped("a", valueReason), "next"}, []string{}},
		},
		{
			"the longest line of a block",
			[]string{start + "m", longest, end},
			result{nil, []string{"m=" + longest}},
		},
		{
			"a longer line of a block stands before the lines that were held",
			[]string{start + "m", "one", endless, "two", end},
			result{[]string{endless, dropped("m", valueReason), start + "m", "one", "two", end}, []string{}},
		},
		{
			"an opening line that never ends",
			[]string{start + "m " + endless, "x", end},
			result{[]string{
				start + "m " + endless, dropped("m", "its opening line is longer than 256 KiB"), "x", end,
			}, []string{}},
		},
		{
			"an end with a long tail",
			[]string{start + "m", "x", end + endless, "next"},
			result{[]string{"next"}, []string{"m=x"}},
		},
		{
			"ordinary long lines",
			[]string{endless, "+ " + endless, "::" + endless},
			result{[]string{endless, "+ " + endless, "::" + endless}, []string{}},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, runPieces(t, c.log...)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestNoticesShowNoValue(t *testing.T) {
	for _, log := range [][]string{
		{set + "a=" + tooLong}, {start + "m", tooLong}, {set + longKey + "=v"}, {start + "m", "v"},
	} {
		for _, line := range run(t, log...).Lines {
			if strings.HasPrefix(line, "[runner]") && (strings.Contains(line, "vv") || strings.Contains(line, "kk")) {
				t.Errorf("notice %q", line)
			}
		}
	}
}
