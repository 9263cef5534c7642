package directive_test

import (
	"strings"
	"testing"

	"github.com/podrunner/runner/plugins/processor-sanitize/internal/directive"
)

func TestExempt(t *testing.T) {
	for _, c := range []struct{ name, exempt, rest string }{
		{"set", "::set-outcome-var key=", "value"},
		{"set with an equals sign in the value", "::set-outcome-var key=", "a=b"},
		{"set with no value", "::set-outcome-var key=", ""},
		{"set with no equals sign", "", "::set-outcome-var key"},
		{"set with no key", "", "::set-outcome-var =value"},
		{"set with two spaces", "", "::set-outcome-var  key=value"},
		{"set with a key that is none", "", "::set-outcome-var a.b=value"},
		{"set with a tab", "::set-outcome-var\tkey=", "value"},
		{"set with a long key", "", "::set-outcome-var " + strings.Repeat("k", 300) + "=value"},
		{"start", "::start-multiline-outcome-var key", ""},
		{"start with more", "::start-multiline-outcome-var key", " more"},
		{"start with a delimiter", "::start-multiline-outcome-var key<<", "END"},
		{"start with no key", "", "::start-multiline-outcome-var"},
		{"end", "::end-multiline-outcome-var", " more"},
		{"stop", "::stop-commands::", "token"},
		{"not in the first column", "", " ::set-outcome-var key=value"},
		{"traced", "", "+ echo ::set-outcome-var key=value"},
		{"ordinary", "", "::notice::text"},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := directive.Exempt([]byte(c.exempt + c.rest)); got != len(c.exempt) {
				t.Errorf("got %d, want %d", got, len(c.exempt))
			}
		})
	}
}

func TestMask(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"plain", "::add-mask::tok3n", "tok3n"},
		{"CR", "::add-mask::tok3n\r", "tok3n"},
		{"escapes", "::add-mask::a%0Ab%0D%25c%0ad", "a\nb\r%c\nd"},
		{"an escaped escape", "::add-mask::%250A", "%0A"},
		{"no escapes", "::add-mask::100%, 5%2", "100%, 5%2"},
		{"empty", "::add-mask::", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !directive.AddsMask([]byte(c.line)) {
				t.Fatal("it is none")
			}
			if got := string(directive.Mask([]byte(c.line))); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if directive.AddsMask([]byte("::add-mask:")) || directive.AddsMask([]byte(" ::add-mask::x")) {
		t.Error("what is none is taken for one")
	}
}

func TestStops(t *testing.T) {
	for line, want := range map[string]string{
		"::stop-commands::to-ken-1": "to-ken-1", "::stop-commands::to-ken-1\r": "to-ken-1", "::stop-commands::short": "",
		"::stop-commands::with space": "", "::stop-commands::" + strings.Repeat("x", 129): "", "::stop-commands": "",
		" ::stop-commands::to-ken-1": "", "::stop-commands::": "",
	} {
		if got, stops := directive.Stops([]byte(line)); got != want || stops != (want != "") {
			t.Errorf("%q: got %q", line, got)
		}
	}
	for line, want := range map[string]bool{"::tok::": true, "::tok::\r": true, "::tok::x": false, "tok": false, "": false} {
		if got := directive.Resumes([]byte(line), "tok"); got != want {
			t.Errorf("%q: resumes: %v", line, got)
		}
	}
}

func TestFile(t *testing.T) {
	for _, c := range []struct{ name, exempt, rest, delimiter, next string }{
		{"assignment", "key=", "a=b<<c", "", ""},
		{"block", "key<<END", "", "", "END"},
		{"block with a CR", "key<<END", "\r", "", "END"},
		{"block with an equals sign", "key<<a=b", "", "", "a=b"},
		{"block with no delimiter", "key<<", "", "", ""},
		{"in a block", "", "key=value", "END", "END"},
		{"end of a block", "END", "", "END", ""},
		{"end of a block with a CR", "END", "\r", "END", ""},
		{"no end of a block", "", "ENDED", "END", "END"},
		{"none", "", "key value", "", ""},
		{"no key", "", "=value", "", ""},
		{"empty", "", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			exempt, next := directive.File([]byte(c.exempt+c.rest), c.delimiter)
			if exempt != len(c.exempt) || next != c.next {
				t.Errorf("got %d and %q, want %d and %q", exempt, next, len(c.exempt), c.next)
			}
		})
	}
}
