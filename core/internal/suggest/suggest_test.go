package suggest

import "testing"

func TestName(t *testing.T) {
	names := []string{"sanitize", "outcome", "prefix", "id", "initCommands", "init"}
	for given, want := range map[string]string{
		"sanitise":      "sanitize",
		"Outcome":       "outcome",
		"prefxi":        "prefix",
		"init_commands": "initCommands",
		"ini":           "init",
		"x":             "",
		"":              "",
		"something":     "",
	} {
		if got := Name(given, names); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
	if a, b := Name("ab", []string{"abx", "aby"}), Name("ab", []string{"aby", "abx"}); a != "abx" || b != "abx" {
		t.Errorf("the answer depends on the order of the candidates: %q, %q", a, b)
	}
}

func TestHint(t *testing.T) {
	if got := Hint("prefx", []string{"prefix"}); got != ` Did you mean "prefix"?` {
		t.Errorf("got %q", got)
	}
	if got := Hint("prefx", nil); got != "" {
		t.Errorf("got %q", got)
	}
}
