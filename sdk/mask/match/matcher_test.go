package match_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
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
			if end > len(text) || !same(f, text[start:end]) || f.Word && !stands(text, start, end, edges) {
				continue
			}
			for i := wideStart(f, text, start); i < wideEnd(f, text, end); i++ {
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

// same reports whether text, which is not longer than a form, is its beginning.
func same(f match.Form, text []byte) bool {
	for i, c := range text {
		if x := f.Text[i]; x != c && (!f.Fold || !strings.EqualFold(string(x), string(c)) || !strings.ContainsRune("abcdefABCDEF", rune(c))) {
			return false
		}
	}
	return true
}

func wideStart(f match.Form, text []byte, start int) int {
	if f.Before && start > 0 && match.IsBase64Byte(text[start-1]) {
		return start - 1
	}
	return start
}

func wideEnd(f match.Form, text []byte, end int) int {
	if f.After && end < len(text) && match.IsBase64Byte(text[end]) {
		end++
	}
	for f.Pad && end < len(text) && text[end] == '=' {
		end++
	}
	return end
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

// oraclePending returns the length of the longest end of text that a form begins with; with folded set, when all of them fold.
func oraclePending(forms []match.Form, text []byte, folded bool) int {
	for n := len(text); n > 0; n-- {
		for _, f := range forms {
			f.Fold = f.Fold || folded
			if n <= len(f.Text) && same(f, text[len(text)-n:]) {
				return n
			}
		}
	}
	return 0
}

// check compares a Matcher with the oracle.
func check(t *testing.T, forms []match.Form, text []byte, edges match.Edges) {
	t.Helper()
	spans, rest := match.New(forms).Find(nil, text, edges)
	if d := cmp.Diff(oracle(forms, text, edges), spans); d != "" {
		t.Errorf("forms %s, text %q, edges %+v (-oracle +matcher):\n%s", show(forms), text, edges, d)
	}
	least, most := 0, 0
	if edges.More {
		folds := slices.ContainsFunc(forms, func(f match.Form) bool { return f.Fold })
		least, most = oraclePending(forms, text, false), oraclePending(forms, text, folds)
	} else if rest != (match.Rest{}) {
		t.Errorf("forms %s, text %q, which does not go on: %+v", show(forms), text, rest)
	}
	if rest.Held < least || rest.Held > most {
		t.Errorf("forms %s, text %q: %d bytes are held, want %d to %d", show(forms), text, rest.Held, least, most)
	}
}

func show(forms []match.Form) string {
	var b strings.Builder
	for _, f := range forms {
		fmt.Fprintf(&b, "%q", f.Text)
		f.Text = nil
		fmt.Fprintf(&b, " %+v ", f)
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
		{"hexadecimal digits in either case", []match.Form{{Text: []byte("4af0g"), Fold: true}}, "4AF0g 4aF0g 4AF0G", []match.Span{{0, 5}, {6, 11}}},
		{"case beside a form that folds", append(free("aXb"), match.Form{Text: []byte("ab"), Fold: true}), "AXb aXb AB", []match.Span{{4, 7}, {8, 10}}},
		{"one that folds and one that does not", append(free("ab"), match.Form{Text: []byte("AB1"), Fold: true}), "ab1 Ab", []match.Span{{0, 3}}},
		{"a character before and after", []match.Form{{Text: []byte("QQQ"), Before: true, After: true, Pad: true}}, "xQQQy== QQQ .QQQ=. z", []match.Span{{0, 7}, {8, 11}, {13, 17}}},
		{"of a longer and a shorter one, the widest", append(free("abcd"), match.Form{Text: []byte("cd"), After: true}), "abcdef", []match.Span{{0, 5}}},
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
		alphabet := []string{"ab", "abc", "ab -", "aAbB", "ab=", "aA=-"}[r.IntN(6)]
		var forms []match.Form
		for range 1 + r.IntN(4) {
			forms = append(forms, randomForm(r, alphabet, 6))
		}
		text := randomText(r, alphabet, r.IntN(24))
		check(t, forms, text, match.Edges{WordBefore: r.IntN(2) == 0, More: r.IntN(2) == 0})
		if t.Failed() {
			return
		}
	}
}

// randomForm makes a form of at most n bytes, half of them plain.
func randomForm(r *rand.Rand, alphabet string, n int) match.Form {
	f := match.Form{Text: randomText(r, alphabet, 1+r.IntN(n))}
	if r.IntN(2) == 0 {
		f.Word, f.Fold = r.IntN(4) == 0, r.IntN(2) == 0
		f.Before, f.After, f.Pad = r.IntN(3) == 0, r.IntN(3) == 0, r.IntN(2) == 0
	}
	return f
}

func randomText(r *rand.Rand, alphabet string, n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = alphabet[r.IntN(len(alphabet))]
	}
	return text
}

func FuzzFind(f *testing.F) {
	f.Add("ab\nabc\n\x01c", "xabcabx c", true, false)
	f.Add("\x01a\nb", "a b-a", false, true)
	f.Add("\x02ab\naB", "AB Ab ab", false, true)
	f.Add("\x1cQQ", "xQQy==", false, true)
	f.Add("\xff\x00", "\xff\x00\x00", false, false)
	f.Fuzz(func(t *testing.T, list, text string, before, more bool) {
		var forms []match.Form
		for line := range strings.SplitSeq(list, "\n") {
			if f := formOf(line); len(f.Text) > 0 {
				forms = append(forms, f)
			}
		}
		check(t, forms, []byte(text), match.Edges{WordBefore: before, More: more})
	})
}

// formOf makes a form of a text, with what it is told in the bits of the first byte, when that is below 0x20.
func formOf(text string) match.Form {
	if text == "" || text[0] >= 0x20 {
		return match.Form{Text: []byte(text)}
	}
	is := func(bit int) bool { return text[0]>>bit&1 != 0 }
	return match.Form{Text: []byte(text[1:]), Word: is(0), Fold: is(1), Before: is(2), After: is(3), Pad: is(4)}
}

func TestTail(t *testing.T) {
	whole := "QQQ"
	for _, c := range []struct {
		name             string
		form             match.Form
		after            string
		want             int
		thenMore, thenIs string
	}{
		{"none", match.Form{}, "x==", 0, "", ""},
		{"one", match.Form{After: true}, "xy", 1, "", ""},
		{"one and no pad", match.Form{After: true}, "x==", 1, "", ""},
		{"pad", match.Form{Pad: true}, "==x=", 2, "", ""},
		{"one and pad", match.Form{After: true, Pad: true}, "x==y", 3, "", ""},
		{"no one and pad", match.Form{After: true, Pad: true}, "==y", 2, "", ""},
		{"over a border", match.Form{After: true, Pad: true}, "x", 1, "=y", "="},
		{"over an empty one", match.Form{After: true}, "", 0, "yz", "y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.form.Text = []byte(whole)
			_, rest := match.New([]match.Form{c.form}).Find(nil, []byte(whole), match.Edges{More: true})
			n, tail := rest.Tail.Take([]byte(c.after))
			if n != c.want {
				t.Errorf("%q: %d bytes are taken in, want %d", c.after, n, c.want)
			}
			if n, _ := tail.Take([]byte(c.thenMore)); c.thenMore[:n] != c.thenIs {
				t.Errorf("%q: %d bytes are taken in after that, want %q", c.thenMore, n, c.thenIs)
			}
		})
	}
}
