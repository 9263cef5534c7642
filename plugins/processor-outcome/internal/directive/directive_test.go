package directive_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/podrunner/runner/plugins/processor-outcome/internal/directive"
)

// The seed's grammar, as it states it.
var (
	traceExpr = regexp.MustCompile(`^\+\s.*$`)
	setExpr   = regexp.MustCompile(`^::set-outcome-var\s([\w-]+)=(.*)`)
	startExpr = regexp.MustCompile(`^::start-multiline-outcome-var\s([\w-]+)`)
	endExpr   = regexp.MustCompile(`^::end-multiline-outcome-var`)
)

// seed parses a whole line with the seed's expressions.
func seed(line string) (kind directive.Kind, key, value string) {
	if traceExpr.MatchString(line) {
		return directive.Trace, "", ""
	}
	if m := startExpr.FindStringSubmatch(line); m != nil {
		return directive.Start, m[1], ""
	}
	if endExpr.MatchString(line) {
		return directive.End, "", ""
	}
	if m := setExpr.FindStringSubmatch(line); m != nil {
		return directive.Set, m[1], m[2]
	}
	return directive.Text, "", ""
}

var lines = []string{
	"", "plain", "+", "++", "+ x", "+\tx", "+\rx", "+\vx", "+\u00a0x", "++ x",
	":", "::", "::set", "::set-outcome-var", "::set-outcome-var ", "::set-outcome-var a", "::set-outcome-var =1",
	"::set-outcome-var a=", "::set-outcome-var a=1", "::set-outcome-var\ta=1", "::set-outcome-var\va=1",
	"::set-outcome-var  a=1", "::set-outcome-vara=1", "::set-outcome-var a b=1", "::set-outcome-var a.b=1",
	"::set-outcome-var é=1", "::set-outcome-var a_B-9=x=y ", "::set-outcome-var a=\xff\x00\r",
	"::set-outcome-variable a=1", " ::set-outcome-var a=1", "::set-var a=1",
	"::start-multiline-outcome-var", "::start-multiline-outcome-var ", "::start-multiline-outcome-var m",
	"::start-multiline-outcome-var m.n", "::start-multiline-outcome-var m extra", "::start-multiline-outcome-var .m",
	"::start-multiline-outcome-var\fm", "::start-multiline-outcome-varm",
	"::start-multiline-outcome-var m<", "::start-multiline-outcome-var m<x", "::start-multiline-outcome-var m<<",
	"::start-multiline-outcome-var m<<E", "::start-multiline-outcome-var m<<E\r", "::start-multiline-outcome-var <<E",
	"::end-multiline-outcome-var", "::end-multiline-outcome-var x", "::end-multiline-outcome-variable", "::end-multi",
}

func TestParseIsTheSeedsGrammar(t *testing.T) {
	for _, line := range lines {
		checkAgainstSeed(t, line)
	}
}

func checkAgainstSeed(t *testing.T, line string) {
	t.Helper()
	kind, key, value := seed(line)
	if got := directive.Parse([]byte(line), false); got.Kind != kind || string(got.Key) != key || string(got.Value) != value {
		t.Errorf("Parse(%q) = kind %d, key %q, value %q; the seed says %d, %q, %q",
			line, got.Kind, got.Key, got.Value, kind, key, value)
	}
}

func TestMoreOfALineNeverChangesItsKind(t *testing.T) {
	for _, line := range lines {
		checkPrefixes(t, line)
	}
}

func checkPrefixes(t *testing.T, line string) {
	t.Helper()
	whole := directive.Parse([]byte(line), false)
	for n := range len(line) + 1 {
		part := directive.Parse([]byte(line[:n]), true)
		if part.Kind == directive.Undecided {
			continue
		}
		if part.Kind != whole.Kind || string(part.Key) != string(whole.Key) && part.Kind == directive.Set {
			t.Errorf("first %d bytes of %q are of kind %d, key %q; the whole is of kind %d, key %q",
				n, line, part.Kind, part.Key, whole.Kind, whole.Key)
		}
	}
}

func TestLongKeyEndsTheParse(t *testing.T) {
	longest := strings.Repeat("k", directive.MaxKeyBytes)
	for _, word := range []string{"::set-outcome-var ", "::start-multiline-outcome-var "} {
		if got := directive.Parse([]byte(word+longest+"=v"), false); string(got.Key) != longest {
			t.Errorf("%s: key of %d bytes for the longest one", word, len(got.Key))
		}
		if got := directive.Parse([]byte(word+longest), true); got.Kind != directive.Undecided {
			t.Errorf("%s: kind %d before the key's end", word, got.Kind)
		}
		for _, rest := range []string{"k", "k=v", "k and no equals sign"} {
			got := directive.Parse([]byte(word+longest+rest), rest == "k")
			if len(got.Key) != directive.MaxKeyBytes+1 || got.Kind == directive.Text {
				t.Errorf("%s with %q: kind %d, key of %d bytes", word, rest, got.Kind, len(got.Key))
			}
		}
	}
}

func TestDelimiterAndToken(t *testing.T) {
	long := strings.Repeat("x", 400)
	for _, c := range []struct {
		line      string
		more      bool
		kind      directive.Kind
		delimited bool
		word      string
	}{
		{"::start-multiline-outcome-var m<<", false, directive.Start, true, ""},
		{"::start-multiline-outcome-var m<< E ", false, directive.Start, true, " E "},
		{"::start-multiline-outcome-var m<<E\r", false, directive.Start, true, "E"},
		{"::start-multiline-outcome-var m<<E\r\r", false, directive.Start, true, "E\r"},
		{"::start-multiline-outcome-var m<E", false, directive.Start, false, ""},
		{"::start-multiline-outcome-var m<E", true, directive.Start, false, ""},
		{"::start-multiline-outcome-var m<", true, directive.Undecided, false, ""},
		{"::start-multiline-outcome-var m<<", true, directive.Undecided, false, ""},
		{"::start-multiline-outcome-var m<<" + long[:257], true, directive.Undecided, false, ""},
		{"::start-multiline-outcome-var m<<" + long[:258], true, directive.Start, true, long[:257]},
		{"::start-multiline-outcome-var m<<" + long[:256] + "\r", false, directive.Start, true, long[:256]},
		{"::start-multiline-outcome-var m<<" + long, false, directive.Start, true, long[:257]},
		{"::stop-commands:", false, directive.Text, false, ""},
		{"::stop-commands:", true, directive.Undecided, false, ""},
		{"::stop-commands::", false, directive.Stop, false, ""},
		{"::stop-commands::token\r", false, directive.Stop, false, "token"},
		{"::stop-commands::token", true, directive.Undecided, false, ""},
		{"::stop-commands::" + long[:129], true, directive.Undecided, false, ""},
		{"::stop-commands::" + long[:130], true, directive.Stop, false, long[:129]},
		{"::stop-commands::" + long, false, directive.Stop, false, long[:129]},
		{" ::stop-commands::token", false, directive.Text, false, ""},
	} {
		got := directive.Parse([]byte(c.line), c.more)
		if got.Kind != c.kind || got.Delimited != c.delimited || string(got.Delimiter)+string(got.Token) != c.word {
			t.Errorf("Parse(%q, %v) = %+v", c.line, c.more, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, line := range lines {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "\n") || len(line) > directive.MaxKeyBytes {
			return // no line, or one whose key may be cut
		}
		if !strings.HasPrefix(line, "::stop-commands::") { // which the seed does not know
			checkAgainstSeed(t, line)
		}
		checkPrefixes(t, line)
	})
}
