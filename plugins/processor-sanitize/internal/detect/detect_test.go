package detect_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/podrunner/runner/plugins/processor-sanitize/internal/detect"
	"github.com/podrunner/runner/sdk/mask/match"
)

// found puts brackets around what detectors find.
func found(text string, detectors ...detect.Detector) string {
	var b strings.Builder
	at := 0
	set := detect.NewSet(detectors)
	set.Look([]byte(text))
	spans := set.Find(nil, []byte(text))
	slices.SortFunc(spans, func(a, b match.Span) int { return a.Start - b.Start })
	for _, s := range spans {
		b.WriteString(text[at:s.Start] + "[" + text[s.Start:s.End] + "]")
		at = s.End
	}
	return b.String() + text[at:]
}

const (
	begin = "-----BEGIN RSA PRIVATE KEY-----"
	end   = "-----END RSA PRIVATE KEY-----"
)

func TestDetectors(t *testing.T) {
	tokens := detect.Tokens
	group := []detect.Detector{detect.Pattern(regexp.MustCompile(`pin=(\d+)|PIN`))}
	for _, c := range []struct {
		name, want string
		detectors  []detect.Detector
	}{
		{"password", "git clone https://me:[s3cr3t]@example.com/x.git", []detect.Detector{detect.URL}},
		{"password and no user", "redis://:[s3cr3t]@example.com:6379/0", []detect.Detector{detect.URL}},
		{"password with signs", "x://me:[s3@cr:3t]@example.com", []detect.Detector{detect.URL}},
		{"two URLs", "a://b:[c]@d a://b:[e]@f", []detect.Detector{detect.URL}},
		{"a list of URLs", "a://b:[c]@d:1,a://b:[e]@f:2;a://g:3,a://h:[i]@j", []detect.Detector{detect.URL}},
		{"no password", "https://example.com:8080/a@b ssh://git@example.com https://me:@example.com docker://alpine:3.19@sha256:1234 https://", []detect.Detector{detect.URL}},
		{"key", "x [" + begin + "abc" + end + "] y", []detect.Detector{detect.Keys}},
		{"key with no end", "x [" + begin + "abc]", []detect.Detector{detect.Keys}},
		{"no key", "-----BEGIN PUBLIC KEY-----abc", []detect.Detector{detect.Keys}},
		{"tokens", "[ghp_" + strings.Repeat("a1", 18) + "] [AKIA" + strings.Repeat("Z", 16) + "] [glpat-" + strings.Repeat("x", 20) + "]", tokens},
		{"no tokens", "ghp_short xghp_" + strings.Repeat("a", 36) + " AKIA", tokens},
		{"JSON web token", "a [eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN] b", tokens},
		{"group", "pin=[1234] [PIN] pin=x", group},
		{"empty matches", "abc", []detect.Detector{detect.Pattern(regexp.MustCompile(`x*`))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := found(strings.NewReplacer("[", "", "]", "").Replace(c.want), c.detectors...); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestKeyOverLines(t *testing.T) {
	for line, want := range map[string]bool{
		begin: true, "x " + begin: true, begin + end: false, begin + end + begin: true, end: false, "-----BEGIN ": false,
	} {
		if got := detect.OpensKey([]byte(line)); got != want {
			t.Errorf("%s: opens a key: %v", line, got)
		}
	}
	for line, want := range map[string][2]bool{
		"MIIEabc+/==": {true, false}, "": {true, false}, "Proc-Type: 4,ENCRYPTED": {true, false}, "Version: GnuPG v2": {true, false}, "Comment:": {true, false}, "error: none found": {false, true},
		`"MIIEabc+/==",`: {true, false}, "'" + end + "'": {true, true}, `"an ordinary line",`: {false, true}, end: {true, true},
		"an ordinary line": {false, true}, "-----END CERTIFICATE-----": {false, true},
	} {
		if body, last := detect.IsKeyBody([]byte(line)); body != want[0] || last != want[1] {
			t.Errorf("%s: body %v, last %v", line, body, last)
		}
	}
}
