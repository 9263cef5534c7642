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
