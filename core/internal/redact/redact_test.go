package redact_test

import (
	"testing"

	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/redact"
)

func TestRedactor(t *testing.T) {
	var r redact.Redactor
	if got := string(r.Bytes([]byte("abc"))); got != "abc" {
		t.Errorf("an empty redactor made %q", got)
	}
	r.Set(&job.Job{Variables: []job.Variable{
		{Key: "A", Value: "abc", Sensitive: true},
		{Key: "B", Value: "abcdef\n", Sensitive: true},
		{Key: "C", Value: "first line\nsecond line", Sensitive: true},
		{Key: "D", Value: "plain"},
		{Key: "E", Value: "", Sensitive: true},
	}})
	for in, want := range map[string]string{
		"x abcdef y abc": "x " + redact.Mask + " y " + redact.Mask,
		"second line":    redact.Mask,
		"plain":          "plain",
	} {
		if got := r.String(in); got != want {
			t.Errorf("String(%q) = %q, want %q", in, got, want)
		}
	}
}
