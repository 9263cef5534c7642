package policy_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/sdk/mask/match"
	"github.com/podrunner/runner/sdk/mask/policy"
)

func secret(value string) policy.Secret { return policy.Secret{Key: "KEY", Value: []byte(value)} }

func choose(t *testing.T, min int, secrets ...policy.Secret) *policy.Selection {
	t.Helper()
	s, err := policy.Select(secrets, policy.Options{MinLength: min})
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
		return fmt.Sprintf("%d lines of its value are not masked in the log: "+
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
			[]string{"first-line", "last-line"},
			[]string{"first-line\n{\nundefined\nlast-line", "first-line", "last-line"},
			[]string{lines(2)},
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
	if d := cmp.Diff([]string{"tok3n-12", "other-line"}, shown(got.Lines)); d != "" {
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
			_, err := policy.Select(c.secrets, policy.Options{MinLength: 4})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
