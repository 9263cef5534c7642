package forms_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/sdk/mask/forms"
)

func TestOf(t *testing.T) {
	type text struct {
		kind forms.Kind
		s    string
	}
	cases := []struct {
		name, value string
		want        []text
	}{
		{"plain", "tok3n", []text{{forms.Value, "tok3n"}}},
		{"white space around it", " \ttok 3n\r\n", []text{{forms.Value, "tok 3n"}}},
		{"empty", "", []text{{forms.Value, ""}}},
		{"white", " \n\t", []text{{forms.Value, ""}}},
		{"lines", "one\n  two \n\nthree\n", []text{
			{forms.Block, "one\n  two \n\nthree"},
			{forms.Line, "one"},
			{forms.Line, "two"},
			{forms.Line, ""},
			{forms.Line, "three"},
		}},
		{"CRLF", "one\r\ntwo\r\n", []text{
			{forms.Block, "one\r\ntwo"}, {forms.Block, "one\ntwo"}, {forms.Line, "one"}, {forms.Line, "two"},
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got []text
			for _, x := range forms.Of([]byte(c.value)) {
				got = append(got, text{x.Kind, string(x.Bytes)})
			}
			if d := cmp.Diff(c.want, got, cmp.AllowUnexported(text{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
