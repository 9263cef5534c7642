package capture_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/plugins/processor-outcome/internal/capture"
)

// runFile gives whole lines of the outcome file of one step.
func runFile(t *testing.T, lines ...string) result {
	t.Helper()
	f := feeder{state: &capture.State{}, restore: true}
	for _, line := range lines {
		f.file(t, "job", line, false)
	}
	return f.finish()
}

// leftOut is what is told of a line of the job step's file.
func leftOut(line int, reason string) string {
	return notice(fmt.Sprintf("line %d of the outcome file of step \"job\" is left out: %s", line, reason))
}

const (
	nothing = "it is neither KEY=VALUE nor KEY<<DELIMITER"
	noName  = `no name of a variable stands before the "=" or "<<"`
	badName = "the name of the variable has other characters than ASCII letters, digits, _ and -"
	noEnd   = "its block in the outcome file has no line that is equal to its delimiter"
)

func TestFile(t *testing.T) {
	longDelimiter := strings.Repeat("D", 257)
	filler := strings.Repeat("f", capture.MaxTotalBytes/4-2)
	cases := []struct {
		name string
		file []string
		want result
	}{
		{"a value", []string{"a=1"}, result{nil, []string{"a=1"}}},
		{"an empty one", []string{"a="}, result{nil, []string{"a="}}},
		{"empty lines between", []string{"", "a=1", "", "\r", "b=2", ""}, result{nil, []string{"a=1", "b=2"}}},
		{"byte for byte", []string{"a= x=y << \xff\x00 "}, result{nil, []string{"a= x=y << \xff\x00 "}}},
		{"one CR at the end of a line", []string{"a=1\r", "b=2\r\r", "c<<E\r", "x\r", "E\r\r", "E\r"}, result{nil, []string{"a=1", "b=2\r", "c=x\nE\r"}}},
		{"the last one wins", []string{"a=1", "b=x", "a=2", "b<<E", "y", "E"}, result{nil, []string{"a=2", "b=y"}}},
		{"several lines", []string{"a<<E", "one", "", "b=2", "c<<F", " E", "E ", "+ trace", end, "E", "d=4"}, result{
			nil, []string{"a=one\n\nb=2\nc<<F\n E\nE \n+ trace\n" + end, "d=4"},
		}},
		{"no line", []string{"a<<E", "E"}, result{nil, []string{"a="}}},
		{"one empty line", []string{"a<<E", "", "E"}, result{nil, []string{"a="}}},
		{"what comes first decides", []string{"a=b<<c", "d<<e=f", "x", "e=f"}, result{nil, []string{"a=b<<c", "d=x"}}},
		{"a line that is neither", []string{"a=1", "hello", "b=2"}, result{[]string{leftOut(2, nothing)}, []string{"a=1", "b=2"}}},
		{"a directive is none", []string{"::set-outcome-var a=1"}, result{[]string{leftOut(1, badName)}, []string{}}},
		{"no name", []string{"=1", "<<E", "a=1", "E", "b=2"}, result{[]string{leftOut(1, noName), leftOut(2, noName)}, []string{"b=2"}}},
		{"a bad name", []string{"a b=1", " a=1", "a.b<<E", "c=1", "E", "b=2"}, result{
			[]string{leftOut(1, badName), leftOut(2, badName), leftOut(3, badName)}, []string{"b=2"},
		}},
		{"a long name", []string{longKey + "=1", longKey + "<<E", "c=1", "E", longKey[1:] + "=2"}, result{
			[]string{leftOut(1, "the name of the variable is longer than 128 bytes"), leftOut(2, "the name of the variable is longer than 128 bytes")},
			[]string{longKey[1:] + "=2"},
		}},
		{"no delimiter", []string{"a=1", "a<<", "b=2", "", "c=3"}, result{[]string{dropped("a", "its delimiter is empty")}, []string{"c=3"}}},
		{"a long delimiter", []string{"a<<" + longDelimiter, "b=2", longDelimiter, "c=3"}, result{
			[]string{dropped("a", "its delimiter is longer than 256 bytes, so its block has no end")}, []string{},
		}},
		{"the longest delimiter", []string{"a<<" + longDelimiter[1:], "b=2", longDelimiter[1:], "c=3"}, result{nil, []string{"a=b=2", "c=3"}}},
		{"no end", []string{"a=1", "b=2", "b<<E", "x"}, result{[]string{dropped("b", noEnd)}, []string{"a=1"}}},
		{"no end and no line", []string{"b<<E"}, result{[]string{dropped("b", noEnd)}, []string{}}},
		{"the longest value", []string{"a=" + longest, "b<<E", longest[:1000], longest[1001:], "E"}, result{
			nil, []string{"a=" + longest, "b=" + longest[:1000] + "\n" + longest[1001:]},
		}},
		{"a longer value", []string{"a=1", "a=" + tooLong, "b=2"}, result{[]string{dropped("a", valueReason)}, []string{"b=2"}}},
		{"an endless value", []string{"a=" + strings.Repeat(longest, 3), "b=2"}, result{[]string{dropped("a", valueReason)}, []string{"b=2"}}},
		{"an endless line", []string{strings.Repeat(longest, 3), "b=2"}, result{[]string{leftOut(1, nothing)}, []string{"b=2"}}},
		{"longer lines", []string{"a<<E", longest[:1000], longest[1000:], "x=1", "E", "b=2"}, result{[]string{dropped("a", valueReason)}, []string{"b=2"}}},
		{"an endless line among them", []string{"a<<E", strings.Repeat(longest, 3), "x=1", "E", "b=2"}, result{
			[]string{dropped("a", valueReason)}, []string{"b=2"},
		}},
		{"more than the total", []string{"f0=" + filler, "f1=" + filler, "f2=" + filler, "f3=" + filler, "f4=", "f1<<E", filler, "x", "E", "f5="}, result{
			[]string{
				dropped("f4", "the job's variables are larger than 1 MiB in total"),
				dropped("f1", "the job's variables are larger than 1 MiB in total"),
			},
			[]string{"f0=" + filler, "f2=" + filler, "f3=" + filler, "f5="},
		}},
		{"too many", append(repeat(capture.MaxVariables, "k%d=v"), "more=1", "much<<E", "k0=new", "E", "k0=newer"), result{
			[]string{dropped("more", "the job has more than 100 variables"), dropped("much", "the job has more than 100 variables")},
			append([]string{"k0=newer"}, repeat(capture.MaxVariables, "k%d=v")[1:]...),
		}},
		{"many mistakes", append(repeat(1000, "mistake %d"), "a=1"), result{
			append(mistakes(20), notice("980 more mistakes in outcome files are not shown")), []string{"a=1"},
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, runFile(t, c.file...)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			f := feeder{state: &capture.State{}, restore: true}
			for _, line := range c.file {
				list := pieces(line)
				for i, p := range list {
					f.file(t, "job", p, i < len(list)-1)
				}
			}
			if d := cmp.Diff(c.want, f.finish()); d != "" {
				t.Errorf("in pieces (-want +got):\n%s", d)
			}
		})
	}
}

func mistakes(n int) []string {
	var lines []string
	for i := range n {
		lines = append(lines, leftOut(i+1, nothing))
	}
	return lines
}

// TestFileFollowsTheOutput: what the file sets takes the place of what was printed, and a block that is open by then is over.
func TestFileFollowsTheOutput(t *testing.T) {
	f := feeder{state: &capture.State{}, restore: true}
	f.piece(t, "init", set+"a=printed", false)
	f.piece(t, "init", start+"open<<E", false)
	f.piece(t, "init", "x", false)
	f.file(t, "init", "a=written", false)
	f.file(t, "init", "open=written", false)
	f.file(t, "init", "init<<E", false)
	f.piece(t, "job", set+"b=printed", false)
	f.file(t, "job", "E", false)
	f.file(t, "job", "c=3", false)
	want := result{
		Lines: []string{
			leftOut(1, nothing),
			dropped("open", "its block has no line that is equal to its delimiter; the lines were:"), start + "open<<E", "x",
			dropped("init", noEnd),
		},
		Variables: []string{"a=written", "open=written", "b=printed", "c=3"},
	}
	if d := cmp.Diff(want, f.finish()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestNoticesOfFilesShowNoValue(t *testing.T) {
	for _, file := range [][]string{
		{"vv vv=vv"}, {"vv vv"}, {"vv.vv<<vv"}, {longKey + "=vv"}, {"a=" + tooLong}, {"a<<" + tooLong}, {"a<<vv", "vv"}, {tooLong},
	} {
		for _, line := range runFile(t, file...).Lines {
			if strings.Contains(line, "vv") || strings.Contains(line, "kk") {
				t.Errorf("notice %.300q", line)
			}
		}
	}
}

// plainFile reads a small file in the plainest way.
func plainFile(lines []string) map[string]string {
	vars := map[string]string{}
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSuffix(lines[i], "\r")
		at := strings.IndexAny(line, "=<")
		for at >= 0 && line[at] == '<' && !strings.HasPrefix(line[at:], "<<") {
			if next := strings.IndexAny(line[at+1:], "=<"); next >= 0 {
				at += 1 + next
			} else {
				at = -1
			}
		}
		if at < 0 {
			continue
		}
		key := line[:at]
		good := key != "" && strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
		if line[at] == '=' {
			if good {
				vars[key] = line[at+1:]
			}
			continue
		}
		delimiter := line[at+2:]
		end := slices.IndexFunc(lines[i+1:], func(l string) bool { return strings.TrimSuffix(l, "\r") == delimiter })
		delete(vars, key)
		if end < 0 {
			break
		}
		var value []string
		for _, l := range lines[i+1 : i+1+end] {
			value = append(value, strings.TrimSuffix(l, "\r"))
		}
		if good && delimiter != "" {
			vars[key] = strings.Join(value, "\n")
		}
		i += 1 + end
	}
	return vars
}

// FuzzFile reads a file as a whole, and in pieces with a crash before each of them, and compares both with what the
// plainest reader makes of it.
func FuzzFile(f *testing.F) {
	f.Add("a=1\nb<<E\nx\n\nE\nc=2\r\n", []byte{3, 0, 9})
	f.Add("=1\n<<\nx\n\na<b=c\na<<b=c\nb=c\n", []byte{1, 1, 1})
	f.Add("a<<E\nx\n", []byte{200})
	f.Add("a<<<<\n<<\r\r", []byte{1})
	f.Add("a<<\n\na b=c\na<<<<\n<<\r\n", []byte{1, 1, 1})
	f.Fuzz(func(t *testing.T, text string, cuts []byte) {
		if len(text) > 100 {
			return // a limit may be passed
		}
		lines := strings.Split(text, "\n")
		whole := feeder{state: &capture.State{}}
		cut := feeder{state: &capture.State{}, restore: true}
		for _, line := range lines {
			whole.file(t, "job", line, false)
			for len(cuts) > 0 {
				n := int(cuts[0])
				if cuts = cuts[1:]; n >= len(line) {
					break
				}
				cut.file(t, "job", line[:n], true)
				line = line[n:]
			}
			cut.file(t, "job", line, false)
		}
		got := whole.finish()
		if d := cmp.Diff(got, cut.finish()); d != "" {
			t.Fatalf("file %q (-whole +cut):\n%s", text, d)
		}
		vars := map[string]string{}
		for _, x := range got.Variables {
			key, value, _ := strings.Cut(x, "=")
			vars[key] = value
		}
		if d := cmp.Diff(plainFile(lines), vars); d != "" {
			t.Fatalf("file %q (-plain +got):\n%s", text, d)
		}
	})
}
