package capture_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/plugins/processor-outcome/internal/capture"
)

const stop = "::stop-commands::"

func TestDelimitedBlocks(t *testing.T) {
	longDelimiter := strings.Repeat("D", 257)
	unended := "its block has no line that is equal to its delimiter; the lines were:"
	cases := []struct {
		name string
		log  []string
		want result
	}{
		{"a value", []string{"before", start + "m<<EOF", "one", "", " two ", "EOF", "after"}, result{[]string{"before", "after"}, []string{"m=one\n\n two "}}},
		{"no lines", []string{start + "m<<EOF", "EOF"}, result{nil, []string{"m="}}},
		{"one empty line", []string{start + "m<<EOF", "", "EOF"}, result{nil, []string{"m="}}},
		{
			"nothing in it has a meaning",
			[]string{start + "m<<EOF", set + "a=1", start + "n", end, start + "o<<X", "X", stop + "12345678", "+ trace", " EOF", "EOF ", "EOFX", "EOF"},
			result{nil, []string{"m=" + strings.Join([]string{
				set + "a=1", start + "n", end, start + "o<<X", "X", stop + "12345678", "+ trace", " EOF", "EOF ", "EOFX",
			}, "\n")}},
		},
		{"any delimiter", []string{start + "m<<a = b<<c ", "x", "a = b<<c", "a = b<<c "}, result{nil, []string{"m=x\na = b<<c"}}},
		{"one CR at the end of a line", []string{start + "m<<EOF\r", "one\r", "two\r\r", "EOF\r"}, result{nil, []string{"m=one\ntwo\r"}}},
		{"it replaces the value", []string{set + "m=old", start + "m<<E", "new", "E"}, result{nil, []string{"m=new"}}},
		{"also one that was dropped", []string{set + "m=" + tooLong, start + "m<<E", "new", "E"}, result{
			[]string{set + "m=" + tooLong, dropped("m", valueReason)}, []string{"m=new"},
		}},
		{"a block of the other kind adds to it", []string{start + "m<<E", "a", "E", start + "m", "b", end}, result{nil, []string{"m=ab"}}},
		{"in a block", []string{start + "m", "a", start + "n<<E", end, "E", "b", end}, result{nil, []string{"m=a\nb", "n=" + end}}},
		{"with one \"<\" it is none", []string{start + "m<EOF", "x", "EOF", end}, result{nil, []string{"m=x\nEOF"}}},
		{"the mark stands right behind the key", []string{start + "m <<EOF", "x", "EOF", end}, result{nil, []string{"m=x\nEOF"}}},
		{
			"no end", []string{set + "m=old", start + "m<<EOF", "one", end, "two"}, result{
				[]string{dropped("m", unended), start + "m<<EOF", "one", end, "two"}, []string{},
			},
		},
		{
			"an empty delimiter", []string{start + "m<<", set + "a=1", "", set + "b=2"}, result{
				[]string{start + "m<<", dropped("m", "its delimiter is empty"), set + "a=1", ""}, []string{"b=2"},
			},
		},
		{
			"a delimiter that is too long", []string{start + "m<<" + longDelimiter, set + "a=1", longDelimiter, end, set + "b=2"}, result{
				[]string{
					start + "m<<" + longDelimiter, dropped("m", "its delimiter is longer than 256 bytes, so its block has no end"),
					set + "a=1", longDelimiter, end, set + "b=2",
				}, []string{},
			},
		},
		{"the longest delimiter", []string{start + "m<<" + longDelimiter[1:], "x", longDelimiter[1:]}, result{nil, []string{"m=x"}}},
		{
			"a value that is too large", []string{start + "m<<E", "one", longest, set + "a=1", end, "E", set + "b=2"}, result{
				[]string{dropped("m", valueReason), start + "m<<E", "one", longest, set + "a=1", end, "E"}, []string{"b=2"},
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

func TestStop(t *testing.T) {
	refused := func(reason string) string {
		return notice("directives are not stopped: " + reason + "; what follows is searched for them as before")
	}
	const token = "3f2a9c-0815"
	cases := []struct {
		name string
		log  []string
		want result
	}{
		{
			"directives are ordinary lines",
			[]string{stop + token, set + "a=1", start + "m", end, "x", "::" + token + "::", set + "b=2"},
			result{[]string{set + "a=1", start + "m", end, "x"}, []string{"b=2"}},
		},
		{
			"only its own token ends it",
			[]string{stop + token, "::other-token::", "::" + token, "::" + token + "::x", stop + "another-token", set + "a=1"},
			result{[]string{"::other-token::", "::" + token, "::" + token + "::x", stop + "another-token", set + "a=1"}, []string{}},
		},
		{"again and again", []string{stop + token, "::" + token + "::", set + "a=1", stop + token, set + "a=2"}, result{[]string{set + "a=2"}, []string{"a=1"}}},
		{"one CR at the end of a line", []string{stop + token + "\r", set + "a=1", "::" + token + "::\r", set + "b=2"}, result{[]string{set + "a=1"}, []string{"b=2"}}},
		{"a token with nothing to end", []string{"::" + token + "::"}, result{[]string{"::" + token + "::"}, []string{}}},
		{"in a block it is a line like any other", []string{start + "m", stop + token, end, set + "a=1"}, result{nil, []string{"m=" + stop + token, "a=1"}}},
		{"no token", []string{stop, set + "a=1"}, result{[]string{stop, refused("the token is empty")}, []string{"a=1"}}},
		{"a short token", []string{stop + "1234567"}, result{[]string{stop + "1234567", refused("the token is shorter than 8 bytes")}, []string{}}},
		{"the shortest token", []string{stop + "12345678", set + "a=1"}, result{[]string{set + "a=1"}, []string{}}},
		{
			"the name of a directive",
			[]string{stop + "set-outcome-var", stop + "add-mask"},
			result{[]string{
				stop + "set-outcome-var", refused("the token is the name of a directive"),
				stop + "add-mask", refused("the token is the name of a directive"),
			}, []string{}},
		},
		{"a token that is too long", []string{stop + longKey}, result{[]string{stop + longKey, refused("the token is longer than 128 bytes")}, []string{}}},
		{"the longest token", []string{stop + longKey[1:], set + "a=1"}, result{[]string{set + "a=1"}, []string{}}},
		{"a space in it", []string{stop + "1234 5678"}, result{[]string{stop + "1234 5678", refused("the token has other characters than visible ASCII ones")}, []string{}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, run(t, c.log...)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestStopEndsWithItsStep(t *testing.T) {
	f := feeder{state: &capture.State{}, restore: true}
	f.piece(t, "init", stop+"12345678", false)
	f.piece(t, "init", set+"a=1", false)
	f.piece(t, "job", set+"b=2", false)
	if d := cmp.Diff(result{[]string{set + "a=1"}, []string{"b=2"}}, f.finish()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// FuzzDirectives gives a log as a whole, and in pieces with a crash before each of them: nothing may differ. What comes out
// is lines of the log, each once, and notices.
func FuzzDirectives(f *testing.F) {
	f.Add(set+"a=1\n"+start+"m\nx\n"+end+"\n"+start+"d<<E\nx\r\nE\r\n"+stop+"12345678\n"+set+"b=1\n::12345678::\n", []byte{3, 0, 9})
	f.Add(start+"m<<\n\n"+start+"m<<a\n"+start+"m<b\n"+end, []byte{1})
	f.Add(stop+"\n"+stop+"add-mask\n+ x\n"+start+"m\n+ x", []byte{2, 30})
	f.Fuzz(func(t *testing.T, log string, cuts []byte) {
		whole := feeder{state: &capture.State{}}
		cut := feeder{state: &capture.State{}, restore: true}
		lines := strings.Split(log, "\n")
		for _, line := range lines {
			whole.piece(t, "job", line, false)
			for len(cuts) > 0 {
				n := int(cuts[0])
				if cuts = cuts[1:]; n >= len(line) {
					break
				}
				cut.piece(t, "job", line[:n], true)
				line = line[n:]
			}
			cut.piece(t, "job", line, false)
		}
		got := whole.finish()
		if d := cmp.Diff(got, cut.finish()); d != "" {
			t.Fatalf("log %q (-whole +cut):\n%s", log, d)
		}
		left := map[string]int{}
		for _, line := range lines {
			left[line]++
		}
		for _, line := range got.Lines {
			if left[line]--; left[line] < 0 && !strings.HasPrefix(line, "[runner] outcome: ") {
				t.Fatalf("log %q: the line %q was not in it, or not so often", log, line)
			}
		}
	})
}
