package redact_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/redact"
)

func TestRedactor(t *testing.T) {
	var r redact.Redactor
	if got := string(r.Bytes([]byte("abc"))); got != "abc" {
		t.Errorf("an empty redactor made %q", got)
	}
	r.Set(&job.Job{Variables: []job.Variable{
		{Key: "A", Value: "abcd", Sensitive: true},
		{Key: "B", Value: "abcdef\n", Sensitive: true},
		{Key: "C", Value: "first line\nsecond line", Sensitive: true},
		{Key: "D", Value: "plain"},
		{Key: "E", Value: "", Sensitive: true},
		{Key: "F", Value: "overlap-one", Sensitive: true},
		{Key: "G", Value: "one-after", Sensitive: true},
		{Key: "H", Value: "var", Sensitive: true},
	}})
	for in, want := range map[string]string{
		"x abcdef y abcd":                "x " + redact.Mask + " y " + redact.Mask,
		"second line":                    redact.Mask,
		"plain":                          "plain",
		"overlap-one-after and abcdabcd": redact.Mask + " and " + redact.Mask,
		"a variable":                     "a variable",
		"myvar var_1":                    "myvar var_1",
		"key=var,'var'":                  "key=" + redact.Mask + ",'" + redact.Mask + "'",
	} {
		if got := r.String(in); got != want {
			t.Errorf("String(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestForms: what quotes or encodes a text must not carry a value past the redactor.
func TestForms(t *testing.T) {
	const secret = "a\"b<c>&\\d\tü\x01-tail"
	var r redact.Redactor
	r.Set(&job.Job{Variables: []job.Variable{{Key: "A", Value: secret, Sensitive: true}}})
	var log bytes.Buffer
	for _, asJSON := range []bool{false, true} {
		logger := hclog.New(&hclog.LoggerOptions{Output: r.Writer(&log), JSONFormat: asJSON})
		logger.Error("message "+secret, "error", errors.New("of "+secret), "quoted", fmt.Sprintf("%q", "x "+secret+" y"), "bare", secret)
	}
	fmt.Fprintf(r.Writer(&log), "%s %q\n", secret, secret)
	if text := log.String(); strings.Contains(text, "-tail") || strings.Count(text, redact.Mask) < 10 {
		t.Errorf("the log is %s", text)
	}
}

// TestWriter: the writer says that it has written what it was given, whatever became of it.
func TestWriter(t *testing.T) {
	var r redact.Redactor
	r.Set(&job.Job{Variables: []job.Variable{{Key: "A", Value: "s", Sensitive: true}}})
	var out bytes.Buffer
	if n, err := r.Writer(&out).Write([]byte("a s\n")); n != 4 || err != nil || out.String() != "a "+redact.Mask+"\n" {
		t.Errorf("wrote %d, %v, %q", n, err, out.String())
	}
	want := errors.New("full")
	if _, err := r.Writer(failing{want}).Write([]byte("a\n")); !errors.Is(err, want) {
		t.Errorf("the error is %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestSetAgain: the jobs of before are forgotten.
func TestSetAgain(t *testing.T) {
	var r redact.Redactor
	r.Set(&job.Job{Variables: []job.Variable{{Key: "A", Value: "first", Sensitive: true}}})
	r.Set()
	if got := r.String("first"); got != "first" {
		t.Errorf("got %q", got)
	}
}

// TestAlways: what a configuration holds is replaced whatever jobs there are.
func TestAlways(t *testing.T) {
	var r redact.Redactor
	r.Always("the-token", "")
	r.Set(&job.Job{Variables: []job.Variable{{Key: "A", Value: "of-a-job", Sensitive: true}}})
	r.Always("another-token")
	r.Always("the-token")
	if got, want := r.String("the-token of-a-job another-token x"), redact.Mask+" "+redact.Mask+" "+redact.Mask+" x"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.Set()
	if got, want := r.String("the-token of-a-job another-token"), redact.Mask+" of-a-job "+redact.Mask; got != want {
		t.Errorf("after the job: got %q, want %q", got, want)
	}
}

// TestAlwaysURL: a password shows without the URL around it.
func TestAlwaysURL(t *testing.T) {
	for value, in := range map[string]string{
		"tcp://:pass-word@queue:7419":           "AUTH pass-word failed",
		"tcp+tls://me:pass-word@queue:7419/x":   "me:pass-word",
		"https://me:p%40ss-word@host":           "p@ss-word and p%40ss-word",
		"https://me:pass$word@host/?a=b":        "pass$word",
		"tcp://:pass/word@queue":                "pass/word or pass%2Fword",
		"tcp://:pass@word@queue":                "pass@word",
		"https://host/":                         "",
		"https://me@host/a:b":                   "",
		"not a URL, with :pass-word@ somewhere": "",
	} {
		var r redact.Redactor
		r.Always(value)
		got := r.String("x " + in + " y")
		if strings.Contains(got, "word") || (in != "" && !strings.Contains(got, redact.Mask)) {
			t.Errorf("%s: got %q", value, got)
		}
	}
}
