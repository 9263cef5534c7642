package sdktest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/podrunner/runner/sdk"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

const (
	splice = byte(pluginv1.Op_OP_SPLICE)
	drop   = byte(pluginv1.Op_OP_DROP)
	insert = byte(pluginv1.Op_OP_INSERT_AFTER)
)

func TestApplyRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		edits *pluginv1.Edits
		want  string
	}{
		"no lines":         {&pluginv1.Edits{FirstSeq: 5, Ops: []byte{drop}}, "1 ops and 0 lines"},
		"unknown op":       {&pluginv1.Edits{FirstSeq: 5, Ops: []byte{9}, Lines: []uint32{0}}, "op 9 is unknown"},
		"no offset":        {&pluginv1.Edits{FirstSeq: 5, Ops: []byte{splice}, Lines: []uint32{0}}, "a splice has no entry in offsets"},
		"no flags":         {&pluginv1.Edits{FirstSeq: 5, Ops: []byte{insert}, Lines: []uint32{0}, Inserted: []uint32{0}}, "no entry in insert_flags"},
		"no length":        {&pluginv1.Edits{FirstSeq: 5, Ops: []byte{insert}, Lines: []uint32{0}, InsertFlags: []byte{0}}, "no entry in inserted"},
		"no data":          {&pluginv1.Edits{FirstSeq: 5, Ops: []byte{insert}, Lines: []uint32{0}, InsertFlags: []byte{0}, Inserted: []uint32{1}}, "data holds only 0 more"},
		"data left":        {&pluginv1.Edits{FirstSeq: 5, Ops: []byte{drop}, Lines: []uint32{0}, Data: []byte("x")}, "data holds 1, and the ops use 0"},
		"flags left":       {&pluginv1.Edits{InsertFlags: []byte{0}}, "insert_flags holds 1, and the ops use 0"},
		"before":           {&pluginv1.Edits{FirstSeq: 4, Ops: []byte{drop}, Lines: []uint32{0}}, "edit of record 4 in a Result that acknowledges records 5 to 6"},
		"after":            {&pluginv1.Edits{FirstSeq: 5, Ops: []byte{drop}, Lines: []uint32{2}}, "edit of record 7 in a Result that acknowledges records 5 to 6"},
		"drop twice":       {&pluginv1.Edits{FirstSeq: 5, Ops: []byte{drop, drop}, Lines: []uint32{0, 0}}, "it is dropped twice"},
		"wrong order":      {&pluginv1.Edits{FirstSeq: 5, Ops: []byte{insert, drop}, Lines: []uint32{0, 0}, InsertFlags: []byte{0}, Inserted: []uint32{0}}, "splices come first"},
		"partial insert":   {&pluginv1.Edits{FirstSeq: 5, Ops: []byte{insert}, Lines: []uint32{0}, InsertFlags: []byte{2}, Inserted: []uint32{0}}, "an insert with FLAG_PARTIAL"},
		"line end":         {&pluginv1.Edits{FirstSeq: 5, Ops: []byte{insert}, Lines: []uint32{0}, InsertFlags: []byte{0}, Inserted: []uint32{1}, Data: []byte("\n")}, "holds a line end"},
		"prefix lengths":   {&pluginv1.Edits{FirstSeq: 5, PrefixCounts: []uint32{1}}, "1 prefix_counts and 0 prefix_lengths"},
		"prefix first":     {&pluginv1.Edits{FirstSeq: 6, PrefixCounts: []uint32{1}, PrefixLengths: []uint32{0}}, "the first record that is acknowledged, 5"},
		"prefix line end":  {&pluginv1.Edits{FirstSeq: 5, PrefixCounts: []uint32{1}, PrefixLengths: []uint32{1}, PrefixData: []byte("\n")}, "prefix_data holds a line end"},
		"prefix of none":   {&pluginv1.Edits{FirstSeq: 5, PrefixCounts: []uint32{0}, PrefixLengths: []uint32{0}}, "is of no record"},
		"prefixes of more": {&pluginv1.Edits{FirstSeq: 5, PrefixCounts: []uint32{3}, PrefixLengths: []uint32{0}}, "for more than the 2 records"},
		"prefix data":      {&pluginv1.Edits{FirstSeq: 5, PrefixCounts: []uint32{1}, PrefixLengths: []uint32{2}, PrefixData: []byte("x")}, "prefix_data holds only 1 more"},
		"prefix data left": {&pluginv1.Edits{FirstSeq: 5, PrefixCounts: []uint32{1}, PrefixLengths: []uint32{1}, PrefixData: []byte("xy")}, "1 bytes more than prefix_lengths use"},
		"outside the line": {&pluginv1.Edits{FirstSeq: 6, Ops: []byte{splice}, Lines: []uint32{0}, Offsets: []uint32{2}, Removed: []uint32{1}, Inserted: []uint32{0}}, "the record has 2 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			lines, err := apply(Lines("one", "to"), 5, c.edits)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v, want an error that holds %q", lines, err, c.want)
			}
		})
	}
}

// TestApplyPrefixes: a text comes before all other edits of its record.
func TestApplyPrefixes(t *testing.T) {
	lines, err := apply(Lines("one", "two", "three", "four"), 5, &pluginv1.Edits{
		FirstSeq: 5, PrefixCounts: []uint32{2, 1}, PrefixLengths: []uint32{2, 1}, PrefixData: []byte("p:q"),
		Ops: []byte{splice, drop}, Lines: []uint32{0, 1}, Offsets: []uint32{0}, Removed: []uint32{1}, Inserted: []uint32{1}, Data: []byte("O"),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]string, 0, len(lines))
	for _, l := range join(lines) {
		got = append(got, l.Text)
	}
	if want := []string{"p:One", "qthree", "four"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzApply makes sure that no edits break the reader of edits.
func FuzzApply(f *testing.F) {
	for _, e := range []*pluginv1.Edits{
		{},
		{FirstSeq: 5, Ops: []byte{splice, drop, insert}, Lines: []uint32{0, 0, 1}, Offsets: []uint32{1}, Removed: []uint32{1}, Inserted: []uint32{1, 2}, Data: []byte("abc"), InsertFlags: []byte{1}},
		{FirstSeq: 1 << 63, Ops: []byte{drop, drop}, Lines: []uint32{1 << 31, 1 << 31}},
	} {
		data, err := proto.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e := &pluginv1.Edits{}
		if proto.Unmarshal(data, e) != nil {
			return
		}
		lines, err := apply(Lines("one", "to", ""), 5, e)
		if err == nil && len(e.Ops) == 0 && len(lines) != 3 {
			t.Errorf("no edits, and 3 lines became %d", len(lines))
		}
	})
}

// edit is a call of one method of sdk.Batch.
type edit struct {
	op           byte
	line         int
	offset, size int
	text         string
}

// editsOf reads edits out of fuzzed bytes, five for each, all of them within their line.
func editsOf(data []byte, lines []Line) []edit {
	var list []edit
	for ; len(data) >= 5; data = data[5:] {
		e := edit{op: data[0]%3 + 1, line: int(data[1]) % len(lines), text: strings.Repeat(string('a'+rune(data[4]%26)), int(data[4]%4))}
		n := len(lines[e.line].Text)
		e.offset = int(data[2]) % (n + 1)
		e.size = int(data[3]) % (n - e.offset + 1)
		list = append(list, e)
	}
	return list
}

// expected applies edits the plain way: from the end of each line to its beginning. ok is false when splices overlap.
func expected(lines []Line, list []edit) (out []string, ok bool) {
	for i, l := range lines {
		var splices []edit
		var after []string
		text, dropped := l.Text, false
		for _, e := range list {
			switch {
			case e.line != i:
			case e.op == splice:
				splices = append(splices, e)
			case e.op == drop:
				dropped = true
			default:
				after = append(after, e.text)
			}
		}
		slices.SortStableFunc(splices, func(a, b edit) int { return a.offset - b.offset })
		for j, e := range slices.Backward(splices) {
			if j > 0 && splices[j-1].offset+splices[j-1].size > e.offset {
				return nil, false
			}
			text = text[:e.offset] + e.text + text[e.offset+e.size:]
		}
		if !dropped {
			out = append(out, text)
		}
		out = append(out, after...)
	}
	return out, true
}

// FuzzEdits makes edits in any order through package sdk, sends them over the wire, and compares what apply makes of
// them with the plain way.
func FuzzEdits(f *testing.F) {
	lines := Lines("hello", "", "a longer line of text")
	f.Add([]byte{0, 0, 0, 0, 3, 0, 0, 1, 2, 1})
	f.Add([]byte{2, 2, 0, 0, 9, 1, 2, 0, 0, 0, 0, 2, 3, 4, 5, 0, 0, 0, 0, 1, 0, 0, 0, 5, 2})
	f.Add([]byte{0, 2, 9, 1, 1, 0, 2, 5, 1, 2, 0, 2, 5, 0, 3, 2, 1, 0, 0, 1, 1, 1, 0, 0, 0})
	var list []edit
	conn := serve(f, sdk.Plugin{Name: "fuzz", Processor: sdk.Batches(func(context.Context, sdk.Job, struct{}) (editor, error) {
		return func(b *sdk.Batch) { makeEdits(b, list) }, nil
	})}, nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		list = editsOf(data, lines)
		want, ok := expected(lines, list)
		p := &progress{}
		err := pass(t.Context(), conn, newScript("fuzz", records(lines), len(lines), 1), p, -1)
		if !ok {
			if err == nil || !strings.Contains(err.Error(), "overlap") {
				t.Fatalf("edits %+v overlap, and the error is %v", list, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("edits %+v: %v", list, err)
		}
		var got []string
		for _, l := range join(p.output) {
			got = append(got, l.Text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("edits %+v:\n%s", list, diff(got, want))
		}
	})
}

type editor func(b *sdk.Batch)

func (e editor) Batch(_ context.Context, b *sdk.Batch) error { e(b); return nil }

func makeEdits(b *sdk.Batch, list []edit) {
	for _, e := range list {
		switch e.op {
		case splice:
			b.Splice(e.line, e.offset, e.size, []byte(e.text))
		case drop:
			b.Drop(e.line)
		case insert:
			b.InsertAfter(e.line, sdk.Stdout, []byte(e.text))
		}
	}
}

func TestSame(t *testing.T) {
	result := func(texts ...string) *Result { return &Result{Lines: Lines(texts...)} }
	for name, c := range map[string]struct {
		got  *Result
		want string
	}{
		"the same":  {result("a", "b"), "<nil>"},
		"missing":   {result("a"), `line 2 is missing: "b"`},
		"too many":  {result("a", "b", "c"), `line 3 is one too many: "c"`},
		"different": {result("a", "x"), `line 2 is "x" of stdout; undisturbed it is "b" of stdout`},
	} {
		if got := fmt.Sprint(same(c.got, result("a", "b"))); got != c.want {
			t.Errorf("%s: got %s", name, got)
		}
	}
	other := result("a", "b")
	other.End.Message = "x"
	if err := same(other, result("a", "b")); err == nil || !strings.Contains(err.Error(), "the result is") {
		t.Errorf("another result: %v", err)
	}
}
