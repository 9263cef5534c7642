package policy_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/sdk/mask/forms"
	"github.com/podrunner/runner/sdk/mask/match"
	"github.com/podrunner/runner/sdk/mask/policy"
)

func secret(value string) policy.Secret { return policy.Secret{Key: "KEY", Value: []byte(value)} }

// choose selects values as they are, in no other writing.
func choose(t *testing.T, min int, secrets ...policy.Secret) *policy.Selection {
	t.Helper()
	s, err := policy.Select(secrets, policy.Options{MinLength: min, Without: forms.Encodings()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shown writes forms as a test states them.
func shown(forms []match.Form) []string {
	var list []string
	for _, f := range forms {
		if f.Word {
			list = append(list, "word "+string(f.Text))
		} else {
			list = append(list, string(f.Text))
		}
	}
	return list
}

func TestSelect(t *testing.T) {
	const (
		short  = "its value is masked only where it stands alone: it is shorter than 4 bytes"
		common = "its value is not masked: words like true, no or null stand all over a log"
	)
	lines := func(n int) string {
		return fmt.Sprintf("%d lines of its value are masked only together with the lines around them: "+
			"they are shorter than 8 bytes, or words like true, no or null", n)
	}
	cases := []struct {
		name, value string
		min         int
		lines       []string
		texts       []string
		notes       []string
	}{
		{"plain", "tok3n", 4, []string{"tok3n"}, []string{"tok3n"}, nil},
		{"trimmed", "tok3n \n", 4, []string{"tok3n"}, []string{"tok3n"}, nil},
		{"empty", "", 4, nil, nil, nil},
		{"white", " \n\t ", 4, nil, nil, nil},
		{"boolean", "TRUE\n", 4, nil, nil, []string{common}},
		{"boolean of several letters", "undefined", 4, nil, nil, []string{common}},
		{"short", "x7", 4, []string{"word x7"}, []string{"word x7"}, []string{short}},
		{"least length", "x7yz", 4, []string{"x7yz"}, []string{"x7yz"}, nil},
		{"short by configuration", "x", 1, []string{"x"}, []string{"x"}, nil},
		{
			"several lines", "first-line\n{\nundefined\nlast-line\n", 4,
			[]string{"first-line", "last-line", "first-line { undefined last-line", "first-line{undefinedlast-line"},
			[]string{
				"first-line\n{\nundefined\nlast-line", "first-line", "last-line",
				"first-line { undefined last-line", "first-line{undefinedlast-line",
			},
			[]string{lines(2)},
		},
		{"CRLF", "first-line\r\nlast-line", 4, []string{
			"first-line", "last-line", "first-line last-line", "first-linelast-line", "first-line\r last-line", "first-line\rlast-line",
		}, []string{
			"first-line\r\nlast-line", "first-line\nlast-line", "first-line", "last-line",
			"first-line last-line", "first-linelast-line", "first-line\r last-line", "first-line\rlast-line",
		}, nil},
		{"white space", "two  spaces\tand-tab", 4, []string{"two  spaces\tand-tab", "two spaces and-tab"}, []string{"two  spaces\tand-tab", "two spaces and-tab"}, nil},
		{"quotes", "'tok3n'", 4, []string{"'tok3n'", "tok3n"}, []string{"'tok3n'", "tok3n"}, nil},
		{"quotes around little", "'x7'", 4, []string{"'x7'", "word x7"}, []string{"'x7'", "word x7"}, nil},
		{"quotes around a boolean", `"true"`, 4, []string{`"true"`}, []string{`"true"`}, nil},
		{
			"JSON", `{"user":"deployer","password":"S3cr3tP@ssw0rd","pin":"1234567"}`, 4,
			[]string{`{"user":"deployer","password":"S3cr3tP@ssw0rd","pin":"1234567"}`, "S3cr3tP@ssw0rd"},
			[]string{`{"user":"deployer","password":"S3cr3tP@ssw0rd","pin":"1234567"}`, "S3cr3tP@ssw0rd"},
			nil,
		},
		{"a URL", "https://me:pass-word@host", 4, []string{"https://me:pass-word@host", "pass-word"}, []string{"https://me:pass-word@host", "pass-word"}, nil},
		{
			"written line ends", `first-line\nlast-line`, 4,
			[]string{`first-line\nlast-line`, "first-line", "last-line", "first-line last-line", "first-linelast-line"},
			[]string{`first-line\nlast-line`, "first-line\nlast-line", "first-line", "last-line", "first-line last-line", "first-linelast-line"},
			nil,
		},
		{
			"several short lines", "ab\ncd", 4, nil, []string{"ab\ncd"}, []string{lines(2)},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := choose(t, c.min, secret(c.value))
			if d := cmp.Diff(c.lines, shown(got.Lines)); d != "" {
				t.Errorf("lines (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.texts, shown(got.Texts)); d != "" {
				t.Errorf("texts (-want +got):\n%s", d)
			}
			var notes []string
			for _, n := range got.Notes {
				notes = append(notes, n.Text)
				if n.Key != "KEY" || strings.Contains(n.Text, "x7") {
					t.Errorf("note %+v", n)
				}
			}
			if d := cmp.Diff(c.notes, notes); d != "" {
				t.Errorf("notes (-want +got):\n%s", d)
			}
		})
	}
}

func TestSelectKeepsAFormOnce(t *testing.T) {
	got := choose(t, 4, secret("tok3n-12"), secret("tok3n-12"), secret("tok3n-12\nother-line"))
	if d := cmp.Diff([]string{"tok3n-12", "other-line", "tok3n-12 other-line", "tok3n-12other-line"}, shown(got.Lines)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestTheFormsAreNotTheCallersMemory(t *testing.T) {
	value := []byte("tok3n")
	got := choose(t, 4, policy.Secret{Key: "KEY", Value: value})
	clear(value)
	if string(got.Lines[0].Text) != "tok3n" {
		t.Errorf("form %q", got.Lines[0].Text)
	}
}

func TestLimits(t *testing.T) {
	numbered := func(n int, size int) []byte {
		var b bytes.Buffer
		for i := range n {
			fmt.Fprintf(&b, "%0*d\n", size-1, i)
		}
		return b.Bytes()
	}
	var many, large []policy.Secret
	for i := range 4 {
		many = append(many, policy.Secret{Key: fmt.Sprint("K", i), Value: append([]byte{byte('a' + i)}, numbered(3000, 9)...)})
	}
	for i := range 17 {
		value := bytes.Repeat([]byte{byte('a' + i)}, policy.MaxValueBytes)
		large = append(large, policy.Secret{Key: fmt.Sprint("K", i), Value: value})
	}
	for i := range many {
		many[i].Value = bytes.ReplaceAll(many[i].Value, []byte("\n"), []byte{byte('a' + i), '\n'})
	}
	cases := []struct {
		name    string
		secrets []policy.Secret
		fits    int
		want    string
	}{
		{"a long value", []policy.Secret{{Key: "K0", Value: make([]byte, policy.MaxValueBytes+1)}}, 0, "K0 has 65537 bytes"},
		{"many forms", many, 3, "K3 can not be masked: with it there are more than 10000 texts"},
		{"large in total", large, 16, "K16 can not be masked: with it the texts to mask have more than 1048576 bytes"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			choose(t, 4, c.secrets[:c.fits]...)
			got, err := policy.Select(c.secrets[:c.fits], policy.Options{MinLength: 4})
			if err != nil {
				t.Fatal(err)
			}
			if n, size := len(got.Texts), bytesOf(got); n > policy.MaxForms || size > policy.MaxTotalBytes || c.fits > 0 && len(got.Notes) == 0 {
				t.Errorf("%d forms with %d bytes, %d notes", n, size, len(got.Notes))
			}
			_, err = policy.Select(c.secrets, policy.Options{MinLength: 4})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func bytesOf(s *policy.Selection) (n int) {
	for _, f := range s.Texts {
		n += len(f.Text)
	}
	return n
}

// TestWritings: a value is looked for in other writings, from four bytes on, except in those that the operator left out.
func TestWritings(t *testing.T) {
	find := func(value, form string, without ...forms.Kind) bool {
		s, err := policy.Select([]policy.Secret{secret(value)}, policy.Options{MinLength: 4, Without: without})
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(s.Lines, func(f match.Form) bool { return string(f.Text) == form })
	}
	for kind, form := range map[forms.Kind]string{
		forms.Shell: `a\&b-c\"d`, forms.JSON: `a\u0026b-c\u0022d`, forms.Quoted: `a&b-c""d`, forms.Percent: "a%26b-c%22d",
		forms.XML: "a&amp;b-c&quot;d", forms.Base64: "YSZiLWMiZ", forms.Hex: "6126622d632264",
		forms.Wrapped: `6126 622d 6322 64                        a&b-c"d`,
	} {
		if !find(`a&b-c"d`, form) {
			t.Errorf("%s: %q is not masked", kind, form)
		}
		if find(`a&b-c"d`, form, kind) {
			t.Errorf("%s: %q is masked, but should not be", kind, form)
		}
	}
	if find("a/b", "a%2Fb") || !find("a/bc", "a%2Fbc") {
		t.Error("a value of three bytes is looked for in a URL, or one of four bytes is not")
	}
	if !find("first-one/1\nab\nthird-one", `first-one\/1\nab\nthird-one`) {
		t.Error("lines are not looked for in JSON")
	}
	if !find(`{"token": "a&b-c-d-e"}`, "a%26b-c-d-e") {
		t.Error("a leaf is not looked for in a URL")
	}
}

// TestManyLines: of a value of many lines, those are looked for as one text that are not masked by themselves, with the
// lines around them.
func TestManyLines(t *testing.T) {
	lines := []string{"{", "a-line-00", "a-line-01", "a-line-02", "ab", "}", "a-line-03", "a-line-04", "a-line-05", "a-line-06", "x"}
	var joined []string
	for _, f := range shown(choose(t, 4, secret(strings.Join(lines, "\n"))).Lines) {
		if strings.Contains(f, " ") {
			joined = append(joined, f)
		}
	}
	want := []string{"{ a-line-00", "a-line-02 ab } a-line-03", "a-line-06 x"}
	if d := cmp.Diff(want, joined); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestSequences: lines that are not masked by themselves are in one.
func TestSequences(t *testing.T) {
	shown := func(secrets ...policy.Secret) (list []string) {
		s, err := policy.Select(secrets, policy.Options{MinLength: 4})
		if err != nil {
			t.Fatal(err)
		}
		for _, lines := range s.Sequences {
			list = append(list, string(bytes.Join(lines, []byte("|"))))
		}
		return list
	}
	cases := []struct {
		name, value string
		want        []string
	}{
		{"no line", "tok3n-12", nil},
		{"long lines", "first-line\n\nlast-line", nil},
		{"short lines", "first-line\n  ab \n\nlast-line\r\n", []string{"first-line|ab||last-line"}},
		{"in a leaf", `{"key":"first-line\u000aab\u000alast-l"}`, []string{"first-line|ab|last-l"}},
		{"wrapped base64", strings.Repeat("a", 50), []string{
			strings.Repeat("YWFh", 16) + "|YWE=", strings.Repeat("YWFh", 15) + "|YWFhYWE=",
			strings.Repeat("YWFh", 16) + "|YWEK", strings.Repeat("YWFh", 15) + "|YWFhYWEK",
			strings.Repeat("YWFh", 16) + "|YWEKCg==",
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, shown(secret(c.value))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestNoteOnRoom: a variable whose writings have no room is named, with these, and once.
func TestNoteOnRoom(t *testing.T) {
	s, err := policy.Select([]policy.Secret{
		{Key: "LARGE", Value: bytes.Repeat([]byte("<secret>"), policy.MaxValueBytes/8)}, {Key: "SMALL", Value: []byte("<tok3n>")},
	}, policy.Options{MinLength: 4})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range s.Notes {
		got = append(got, n.Key+": "+n.Text)
	}
	want := []string{"LARGE: it is not masked in all the ways in which it can be written: there are more than 10000 texts or " +
		"1048576 bytes to mask with these: base64, shell, json, percent, xml, hex, wrapped"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if !slices.ContainsFunc(s.Lines, func(f match.Form) bool { return string(f.Text) == "&lt;tok3n&gt;" }) {
		t.Error("the other variable is not masked in XML")
	}
}

// FuzzSelect: values do not matter for the bounds, and the same ones give the same.
func FuzzSelect(f *testing.F) {
	f.Add([]byte("tok3n"), []byte("a\nb\nlonger-line"), 4)
	f.Add([]byte(`{"password": "a\nb"}`), []byte(`'"x"'`), 8)
	f.Fuzz(func(t *testing.T, one, two []byte, min int) {
		options := policy.Options{MinLength: 1 + int(uint(min)%policy.MaxMinLength)}
		secrets := []policy.Secret{{Key: "ONE", Value: one}, {Key: "TWO", Value: two}}
		s, err := policy.Select(secrets, options)
		if err != nil {
			return
		}
		again, _ := policy.Select(secrets, options)
		if !reflect.DeepEqual(s, again) {
			t.Error("the second time it is another one")
		}
		for _, form := range s.Lines {
			if bytes.IndexByte(form.Text, '\n') >= 0 || len(form.Text) == 0 || form.Word && len(form.Text) > match.MaxWordBytes {
				t.Errorf("form %+v", form)
			}
		}
		if len(s.Texts) > policy.MaxForms || bytesOf(s) > policy.MaxTotalBytes {
			t.Errorf("%d forms with %d bytes", len(s.Texts), bytesOf(s))
		}
	})
}
