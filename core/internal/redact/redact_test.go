package redact_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/redact"
	"github.com/podrunner/runner/sdk/mask/policy"
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

// TestEncodings: a value is replaced as the processor sanitize would do it, whatever an error or an answer made of it.
func TestEncodings(t *testing.T) {
	var r redact.Redactor
	r.Set(&job.Job{Variables: []job.Variable{
		{Key: "A", Value: "p@ss w/rd+1", Sensitive: true},
		{Key: "B", Value: `{"user": "deployer", "password": "S3cr3tP@ssw0rd"}`, Sensitive: true},
		{Key: "C", Value: "first-part-01\nab\nsecond-part-02\n", Sensitive: true},
		{Key: "D", Value: "true", Sensitive: true},
	}})
	for in, want := range map[string]string{
		"Get \"https://h/?k=p%40ss%20w%2Frd%2B1\": EOF": "Get \"https://h/?k=" + redact.Mask + "\": EOF",
		"k=p%40ss+w%2frd%2b1":                           "k=" + redact.Mask,
		"Authorization: Basic dXNlcjpwQHNzIHcvcmQrMQ==": "Authorization: Basic dXNlcj" + redact.Mask,
		"704073732077 704073732077 not all of it":       "704073732077 704073732077 not all of it",
		"is 7040737320772F72642B31 in hex":              "is " + redact.Mask + " in hex",
		"login S3cr3tP@ssw0rd of deployer failed":       "login " + redact.Mask + " of deployer failed",
		`bad value "first-part-01\nab\nsecond-part-02"`: `bad value "` + redact.Mask + `"`,
		"first-part-01 ab second-part-02":               redact.Mask,
		"first-part-01\nab\nsecond-part-02":             redact.Mask,
		"ready=true":                                    "ready=true",
	} {
		if got := r.String(in); got != want {
			t.Errorf("String(%q) = %q, want %q", in, got, want)
		}
		if got := string(r.Bytes([]byte(in))); got != want {
			t.Errorf("Bytes(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestValuesOfSeveralJobs: values of different jobs that overlap or touch are replaced as one, and jobs with the same
// values share what finds them.
func TestValuesOfSeveralJobs(t *testing.T) {
	of := func(value string) *job.Job {
		return &job.Job{Variables: []job.Variable{{Key: "A", Value: value, Sensitive: true}}}
	}
	var r redact.Redactor
	r.Always("two-and-three")
	kept := of("and-three-four")
	r.Set(of("one-two-and"), kept, of("the-same"), of("the-same"), &job.Job{})
	r.Always("three") // part of a value of a job
	const text = "x one-two-and-three-four y the-same"
	if got, want := r.String(text), "x "+redact.Mask+" y "+redact.Mask; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.Set(of("-two-and-three-four"), of("three"), of("two"))
	if got, want := r.String(text), "x one"+redact.Mask+" y the-same"; got != want {
		t.Errorf("with values in one another: got %q, want %q", got, want)
	}
	r.Set(kept)
	if got, want := r.String(text), "x one-"+redact.Mask+" y the-same"; got != want {
		t.Errorf("with one job left: got %q, want %q", got, want)
	}
}

// TestTooLarge: a value that the processor would refuse is replaced as it is, and by the line.
func TestTooLarge(t *testing.T) {
	large := strings.Repeat("x", policy.MaxValueBytes) + "\nthe-last-line\n"
	var r redact.Redactor
	r.Set(&job.Job{Variables: []job.Variable{{Key: "A", Value: large, Sensitive: true}, {Key: "B", Value: "tok3n", Sensitive: true}}})
	if got, want := r.String("a "+strings.TrimSpace(large)+" the-last-line tok3n"), "a "+redact.Mask+" "+redact.Mask+" "+redact.Mask; got != want {
		t.Errorf("got %.100q, want %q", got, want)
	}
}

// TestConcurrent: texts are redacted while jobs come and go.
func TestConcurrent(t *testing.T) {
	var r redact.Redactor
	r.Always("always-there")
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			for n := range 20 {
				r.Set(&job.Job{Variables: []job.Variable{{Key: "A", Value: fmt.Sprintf("value-%d-%d", i, n%3), Sensitive: true}}})
				if got := r.String("x always-there"); got != "x "+redact.Mask {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	wait.Wait()
}

// TestNothingFound: a text without a value is not copied.
func TestNothingFound(t *testing.T) {
	var r redact.Redactor
	r.Always("tok3n-12")
	text := []byte("an ordinary line")
	if n := testing.AllocsPerRun(100, func() { r.Bytes(text) }); n > 0 {
		t.Errorf("%v allocations", n)
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
