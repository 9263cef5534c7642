package diag

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// at returns the range of n bytes at the first occurrence of text in a file.
func at(f *File, text string, n int) Range {
	start := strings.Index(string(f.Text), text)
	before := string(f.Text[:start])
	line := strings.Count(before, "\n") + 1
	column := len([]rune(before[strings.LastIndex(before, "\n")+1:])) + 1
	return Range{File: f, Start: Pos{line, column, start}, End: Pos{line, column + n, start + n}}
}

func TestText(t *testing.T) {
	f := &File{Name: "a.hcl", Text: []byte("first = 1\n\tkey = \"secret\" \x1b[31m größe = 2\r\nlast\n")}
	f.Hide(bytes.Index(f.Text, []byte(`"secret"`)), bytes.Index(f.Text, []byte(` größe`)))
	for name, test := range map[string]struct {
		d     Diagnostic
		style Style
		want  string
	}{
		"no place": {Diagnostic{Summary: "S", Detail: "D."}, Style{}, "Error: S\n  D.\n\n"},
		"file":     {Diagnostic{Summary: "S", Range: Range{File: f}}, Style{}, "Error: S\n  on a.hcl\n\n"},
		"no text": {
			Diagnostic{Summary: "S", Range: Range{File: &File{Name: "x"}, Start: Pos{3, 2, 40}}},
			Style{},
			"Error: S\n  on x:3:2\n\n",
		},
		"warning": {
			Diagnostic{Severity: Warning, Summary: "S", Range: at(f, "first", 5)},
			Style{},
			"Warning: S\n  on a.hcl:1:1\n    1 | first = 1\n      | ^^^^^\n\n",
		},
		"after what is hidden": {
			Diagnostic{Summary: "S", Range: at(f, "größe", 7)},
			Style{},
			"Error: S\n  on a.hcl:2:23\n    2 | \tkey = (hidden) größe = 2\n      | \t               ^^^^^\n\n",
		},
		"what is hidden": {
			Diagnostic{Summary: "S", Range: at(f, `"secret"`, 8)},
			Style{},
			"Error: S\n  on a.hcl:2:8\n    2 | \tkey = (hidden) größe = 2\n      | \t      ^^^^^^^^\n\n",
		},
		"before what is hidden": {
			Diagnostic{Summary: "S", Range: at(f, `= "secret"`, 2)},
			Style{},
			"Error: S\n  on a.hcl:2:6\n    2 | \tkey = (hidden) größe = 2\n      | \t    ^^\n\n",
		},
		"several lines": {
			Diagnostic{Summary: "S", Range: at(f, "= 1", 30)},
			Style{},
			"Error: S\n  on a.hcl:1:7\n    1 | first = 1\n      |       ^^^\n\n",
		},
		"end of the file": {
			Diagnostic{Summary: "S", Range: Range{File: f, Start: Pos{4, 1, len(f.Text)}, End: Pos{4, 1, len(f.Text)}}},
			Style{},
			"Error: S\n  on a.hcl:4:1\n    4 | \n      | ^\n\n",
		},
		"colour": {
			Diagnostic{Summary: "S", Range: at(f, "last", 4)},
			Style{Color: true},
			"\x1b[31mError\x1b[0m: S\n  on a.hcl:3:1\n    3 | last\n      | \x1b[31m^^^^\x1b[0m\n\n",
		},
		"width": {
			Diagnostic{Summary: "S", Detail: "One two three four.\n    Five six seven.\n\nEnd."},
			Style{Width: 14},
			"Error: S\n  One two\n  three four.\n      Five six\n      seven.\n\n  End.\n\n",
		},
		"control characters": {
			Diagnostic{Summary: "S\x1b[2J", Detail: "D\x07."},
			Style{},
			"Error: S\uFFFD[2J\n  D\uFFFD.\n\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := WriteText(&b, Diagnostics{test.d}, test.style); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, b.String()); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestLongLines(t *testing.T) {
	f := &File{Name: "a", Text: []byte(strings.Repeat("x", 1<<20) + "here" + strings.Repeat("y", 1<<20))}
	var b bytes.Buffer
	if err := WriteText(&b, Diagnostics{{Summary: "S", Range: at(f, "here", 4)}}, Style{Width: 40}); err != nil {
		t.Fatal(err)
	}
	want := "Error: S\n  on a:1:1048577\n    1 | …xxxxxxxxxhereyyyyyyyyyyyyyyyyy…\n      |           ^^^^\n\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestSorted(t *testing.T) {
	f := &File{Name: "a", Text: []byte("one\ntwo\n")}
	two, one := Diagnostic{Summary: "two", Range: at(f, "two", 3)}, Diagnostic{Summary: "one", Range: at(f, "one", 3)}
	got := Diagnostics{two, one, two, {Summary: "no place"}}.Sorted()
	var names []string
	for _, d := range got {
		names = append(names, d.Summary)
	}
	if d := cmp.Diff([]string{"no place", "one", "two"}, names); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestJSON(t *testing.T) {
	f := &File{Name: "a", Text: []byte("größe = 2\n")}
	var b bytes.Buffer
	err := WriteJSON(&b, Diagnostics{
		{Summary: "S <x>", Detail: "D.", Range: at(f, "= 2", 3)},
		{Severity: Warning, Summary: "W"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	const text = `{"valid":false,"error_count":1,"warning_count":1,"diagnostics":[
		{"severity":"error","summary":"S <x>","detail":"D.",
		 "range":{"filename":"a","start":{"line":1,"column":7,"byte":8},"end":{"line":1,"column":10,"byte":11}},
		 "snippet":{"code":"größe = 2","start_line":1,"highlight_start_offset":6,"highlight_end_offset":9}},
		{"severity":"warning","summary":"W","detail":""}]}`
	for in, out := range map[string]*any{b.String(): &got, text: &want} {
		if err := json.Unmarshal([]byte(in), out); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	b.Reset()
	if err := WriteJSON(&b, nil); err != nil || !strings.Contains(b.String(), `"diagnostics": []`) {
		t.Errorf("with no diagnostics: %v, %s", err, b.String())
	}
}
