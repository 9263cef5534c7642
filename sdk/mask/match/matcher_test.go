package match_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/sdk/mask/match"
)

// free and word make forms.
func free(texts ...string) []match.Form {
	var forms []match.Form
	for _, t := range texts {
		forms = append(forms, match.Form{Text: []byte(t)})
	}
	return forms
}

func words(texts ...string) []match.Form {
	forms := free(texts...)
	for i := range forms {
		forms[i].Word = true
	}
	return forms
}

// oracle finds forms in the plainest way: it marks each byte of each occurrence.
func oracle(forms []match.Form, text []byte, edges match.Edges) []match.Span {
	covered := make([]bool, len(text))
	for _, f := range forms {
		for start := range text {
			end := start + len(f.Text)
			if !bytes.HasPrefix(text[start:], f.Text) || f.Word && !stands(text, start, end, edges) {
				continue
			}
			for i := start; i < end; i++ {
				covered[i] = true
			}
		}
	}
	var spans []match.Span
	for i := 0; i < len(text); i++ {
		start := i
		for i < len(text) && covered[i] {
			i++
		}
		if i > start {
			spans = append(spans, match.Span{Start: start, End: i})
		}
	}
	return spans
}

func stands(text []byte, start, end int, edges match.Edges) bool {
	before, after := edges.WordBefore, edges.More
	if start > 0 {
		before = match.IsWordByte(text[start-1])
	}
	if end < len(text) {
		after = match.IsWordByte(text[end])
	}
	return !before && !after
}

// oraclePending returns the length of the longest end of text that a form begins with.
func oraclePending(forms []match.Form, text []byte) int {
	for n := len(text); n > 0; n-- {
		for _, f := range forms {
			if bytes.HasPrefix(f.Text, text[len(text)-n:]) {
				return n
			}
		}
	}
	return 0
}

// check compares a Matcher with the oracle.
func check(t *testing.T, forms []match.Form, text []byte, edges match.Edges) {
	t.Helper()
	spans, pending := match.New(forms).Find(nil, text, edges)
	if d := cmp.Diff(oracle(forms, text, edges), spans); d != "" {
		t.Errorf("forms %s, text %q, edges %+v (-oracle +matcher):\n%s", show(forms), text, edges, d)
	}
	want := 0
	if edges.More {
		want = oraclePending(forms, text)
	}
	if pending != want {
		t.Errorf("forms %s, text %q: %d bytes are pending, want %d", show(forms), text, pending, want)
	}
}

func show(forms []match.Form) string {
	var b strings.Builder
	for _, f := range forms {
		fmt.Fprintf(&b, "%q", f.Text)
		if f.Word {
			b.WriteString(" (word)")
		}
		b.WriteString(" ")
	}
	return b.String()
}

func TestFind(t *testing.T) {
	cases := []struct {
		name  string
		forms []match.Form
		text  string
		want  []match.Span
	}{
		{"nothing to find", nil, "text", nil},
		{"empty text", free("a"), "", nil},
		{"one", free("abc"), "xabcx", []match.Span{{1, 4}}},
		{"at the end", free("abc"), "xabc", []match.Span{{1, 4}}},
		{"one byte", free("c"), "abc", []match.Span{{2, 3}}},
		{"touching are one", free("abc"), "abcabc", []match.Span{{0, 6}}},
		{"self-overlap is one", free("aba"), "xababax", []match.Span{{1, 6}}},
		{"one in the other", free("abcde", "cd"), "abcde abcd", []match.Span{{0, 5}, {8, 10}}},
		{"a long one that fails hides no short one", free("abcdef", "cd"), "abcdex", []match.Span{{2, 4}}},
		{"a long one swallows several", free("b", "d", "abcde"), "b d abcde", []match.Span{{0, 1}, {2, 3}, {4, 9}}},
		{"a start inside a failed start", free("abcabd"), "abcabcabd", []match.Span{{3, 9}}},
		{"words stand alone", words("x7"), "x7 0x7 x7f x_x7 (x7)", []match.Span{{0, 2}, {17, 19}}},
		{"a text may be a word and not", append(words("ab"), free("ab")...), "xabx", []match.Span{{1, 3}}},
		{"a word at both edges", words("ab"), "ab", []match.Span{{0, 2}}},
		{"every byte value", free(everyByte()), "a" + everyByte(), []match.Span{{1, 257}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			spans, _ := match.New(c.forms).Find(nil, []byte(c.text), match.Edges{})
			if d := cmp.Diff(c.want, spans); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			check(t, c.forms, []byte(c.text), match.Edges{})
		})
	}
}

func everyByte() string {
	var b []byte
	for c := range 256 {
		b = append(b, byte(c))
	}
	return string(b)
}

func TestFindJoinsWithWhatIsThere(t *testing.T) {
	m := match.New(free("ab"))
	for _, c := range []struct {
		there match.Span
		want  []match.Span
	}{
		{match.Span{0, 0}, []match.Span{{0, 2}, {3, 5}}},
		{match.Span{0, 1}, []match.Span{{0, 2}, {3, 5}}},
		{match.Span{0, 3}, []match.Span{{0, 5}}},
	} {
		spans, _ := m.Find([]match.Span{c.there}, []byte("abxab"), match.Edges{})
		if d := cmp.Diff(c.want, spans); d != "" {
			t.Errorf("after %v (-want +got):\n%s", c.there, d)
		}
	}
}

// TestStatesWithoutRows has so many states that most of them have no row.
func TestStatesWithoutRows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var forms []match.Form
	for range 300 {
		forms = append(forms, match.Form{Text: randomText(r, "abcdefgh\x00\xff", 200+r.IntN(200))})
	}
	for range 10 {
		// A text that keeps almost matching.
		var text []byte
		for range 8 {
			f := forms[r.IntN(len(forms))].Text
			text = append(text, f[r.IntN(50):len(f)-r.IntN(3)]...)
		}
		check(t, forms, text, match.Edges{More: r.IntN(2) == 0})
	}
}

// TestLongPeriodsKeepAlmostMatching is about states without rows whose suffixes have none either.
func TestLongPeriodsKeepAlmostMatching(t *testing.T) {
	forms := free(strings.Repeat("ab", 8000)+"c", strings.Repeat("a", 20000)+"b", "bad")
	for _, text := range []string{
		strings.Repeat("ab", 9000) + "c",
		strings.Repeat("a", 20003) + "b",
		strings.Repeat("ab", 7999) + "ad" + strings.Repeat("ab", 8000) + "c",
		strings.Repeat("a", 15000),
	} {
		check(t, forms, []byte(text), match.Edges{More: true})
	}
}

func TestAgainstTheOracle(t *testing.T) {
	for seed := range uint64(4000) {
		r := rand.New(rand.NewPCG(seed, 3))
		alphabet := []string{"ab", "abc", "ab -"}[r.IntN(3)]
		var forms []match.Form
		for range 1 + r.IntN(4) {
			word := r.IntN(3) == 0
			forms = append(forms, match.Form{Text: randomText(r, alphabet, 1+r.IntN(6)), Word: word})
		}
		text := randomText(r, alphabet, r.IntN(24))
		check(t, forms, text, match.Edges{WordBefore: r.IntN(2) == 0, More: r.IntN(2) == 0})
		if t.Failed() {
			return
		}
	}
}

func randomText(r *rand.Rand, alphabet string, n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = alphabet[r.IntN(len(alphabet))]
	}
	return text
}

func FuzzFind(f *testing.F) {
	f.Add("ab\nabc\nwc", "xabcabx c", true, false)
	f.Add("wa\nb", "a b-a", false, true)
	f.Add("\xff\x00", "\xff\x00\x00", false, false)
	f.Fuzz(func(t *testing.T, list, text string, before, more bool) {
		var forms []match.Form
		for line := range strings.SplitSeq(list, "\n") {
			line, word := strings.CutPrefix(line, "w")
			if line != "" && (!word || len(line) <= match.MaxWordBytes) {
				forms = append(forms, match.Form{Text: []byte(line), Word: word})
			}
		}
		check(t, forms, []byte(text), match.Edges{WordBefore: before, More: more})
	})
}
