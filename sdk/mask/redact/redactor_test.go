package redact_test

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/podrunner/runner/sdk/mask/match"
	"github.com/podrunner/runner/sdk/mask/redact"
)

func forms(texts ...string) []match.Form {
	var list []match.Form
	for _, t := range texts {
		t, word := strings.CutPrefix(t, "word:")
		t, fold := strings.CutPrefix(t, "fold:")
		t, wide := strings.CutPrefix(t, "wide:")
		list = append(list, match.Form{Text: []byte(t), Word: word, Fold: fold, Before: wide, After: wide, Pad: wide})
	}
	return list
}

// whole masks a line in one go.
func whole(r *redact.Redactor, line string, exempt int) string {
	return string(redact.Apply(nil, []byte(line), r.Line([]byte(line), exempt)))
}

// inPieces masks a line that comes in pieces.
func inPieces(t *testing.T, r *redact.Redactor, exempt int, pieces ...string) string {
	t.Helper()
	var b strings.Builder
	var c redact.Carry
	for i, p := range pieces {
		var out []byte
		out, c = r.Piece(c, []byte(p), exempt, i < len(pieces)-1)
		exempt = 0
		if !r.Valid(c) {
			t.Fatalf("carry %+v after piece %d of %q, out %q", c, i, pieces, b.String())
		}
		b.Write(out)
	}
	if c != (redact.Carry{}) {
		t.Fatalf("carry %+v after the end of %q", c, pieces)
	}
	return b.String()
}

func TestPieces(t *testing.T) {
	cases := []struct {
		name   string
		forms  []match.Form
		pieces []string
		want   string
	}{
		{"none", forms("abc"), []string{"xy", "z"}, "xyz"},
		{"over a border", forms("abc"), []string{"xa", "bcy"}, "x**********y"},
		{"over two borders", forms("abc"), []string{"xa", "b", "cy"}, "x**********y"},
		{"held and let go", forms("abcd"), []string{"xabc", "x"}, "xabcx"},
		{"held at the end", forms("abcd"), []string{"xab", "c", ""}, "xabc"},
		{"a start inside what was held", forms("abcabd"), []string{"x abcab", "cabd y"}, "x abc********** y"},
		{"touching", forms("abc"), []string{"abc", "abc", "abc!"}, "**********!"},
		{"touching with nothing held", forms("xab", "cd"), []string{"xab", "cd"}, "**********"},
		{"a mask that goes on", forms("xab", "abcde"), []string{"xabc", "de!"}, "**********!"},
		{"a mask over a part of what is held", forms("xab", "abcde"), []string{"xabc", "!"}, "**********c!"},
		{"the same, held twice", forms("xab", "abcde"), []string{"xabc", "", "d", "e!"}, "**********!"},
		{"a word over a border", forms("word:ab"), []string{"x a", "b y"}, "x ********** y"},
		{"a word that goes on", forms("word:ab"), []string{"x ab", "c ab", ""}, "x abc **********"},
		{"a word that has begun before", forms("word:ab"), []string{"x", "ab", " y"}, "xab y"},
		{"a CR at the end", forms("abc"), []string{"x\r"}, "x"},
		{"two CR at the end", forms("abc"), []string{"x\r\r"}, "x\r"},
		{"a CR before the last piece", forms("abc"), []string{"x\r", ""}, "x"},
		{"a CR that does not end the line", forms("abc"), []string{"x\r", "\r", "y"}, "x\r\ry"},
		{"a CR after a mask", forms("abc"), []string{"abc\r", "", ""}, "**********"},
		{"a CR between masks", forms("abc"), []string{"abc\r", "abc"}, "**********\r**********"},
		{"a CR in a form", forms("a\rb"), []string{"xa\r", ""}, "xa"},
		{"a CR that ends a form", forms("a\r"), []string{"xa\r", ""}, "x**********"},
		{"either case over borders", forms("fold:0aBc1"), []string{"x0A", "b", "C1 0aB", "c 0aBC", ""}, "x********** 0aBc 0aBC"},
		{"a character of base64 before and after", forms("wide:QQQ"), []string{"xy", "Q", "QQ", "z", "==."}, "x**********."},
		{"such characters and nothing between", forms("wide:QQQ"), []string{"xy", "z"}, "xyz"},
		{"only padding behind", forms("wide:QQQ"), []string{".QQQ", "", "==", "=", "x"}, ".**********x"},
		{"a colour inside", forms("abcd"), []string{"x\x1b[31mab\x1b[mcd\x1b[Ky"}, "x\x1b[31m**********\x1b[m\x1b[Ky"},
		{"a colour inside, over borders", forms("abcd"), []string{"xab\x1b", "[31", "mc", "d\x1b[my"}, "x**********\x1b[31m\x1b[my"},
		{"a colour in what is let go", forms("abcd"), []string{"xab\x1b[31mc", "\x1b[m", "x"}, "xab\x1b[31mc\x1b[mx"},
		{"a colour that is none", forms("abcd"), []string{"ab\x1b[3\x01", "cd\x1b", ""}, "ab\x1b[3\x01cd\x1b"},
		{"colours between touching masks", forms("abc"), []string{"abc\x1b[m", "abc"}, "**********\x1b[m"},
		{"a CR behind a colour", forms("abc"), []string{"abc\x1b[m\r", ""}, "**********\x1b[m"},
		{"a colour in a form", forms("a\x1b[mbc"), []string{"xab", "\x1b[Kc"}, "x**********\x1b[K"},
		{"only empty pieces", forms("abc"), []string{"", "", ""}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := redact.New(c.forms)
			if got := inPieces(t, r, 0, c.pieces...); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := whole(r, strings.Join(c.pieces, ""), 0); got != c.want {
				t.Errorf("the whole line is %q, want %q", got, c.want)
			}
		})
	}
}

func TestText(t *testing.T) {
	r := redact.New(forms("a\nb", "cd"))
	if got := string(r.Text([]byte("xa\nby cd"))); got != "x**********y **********" {
		t.Errorf("got %q", got)
	}
	if got := string(r.Text([]byte("xa\ny"))); got != "xa\ny" {
		t.Errorf("got %q", got)
	}
}

func TestWhole(t *testing.T) {
	r := redact.New(nil)
	for line, want := range map[string]string{
		"": "", " \t": " \t", "\r": "", "\x1b[m\r": "\x1b[m", "a b": redact.Mask, " a\t\r": " " + redact.Mask + "\t", "a\r\r": redact.Mask + "\r",
		" \x1b[32m a\x1b[mb \x1b[K\r": " \x1b[32m " + redact.Mask + "\x1b[m \x1b[K", "a\x1b": redact.Mask,
	} {
		if got := string(redact.Apply(nil, []byte(line), r.Whole([]byte(line)))); got != want {
			t.Errorf("%q became %q, want %q", line, got, want)
		}
	}
}

func TestMaskingAllocatesNothing(t *testing.T) {
	r := redact.New(forms("tok3n-12", "word:x7"))
	line := []byte("login tok3n-12 with x7 as tok3n-1")
	var c redact.Carry
	r.Piece(redact.Carry{Held: 5}, line, 0, true) // makes the buffers
	if n := testing.AllocsPerRun(100, func() {
		r.Line(line, 0)
		r.Whole(line)
		_, c = r.Piece(c, line, 0, true)
	}); n > 0 {
		t.Errorf("%v allocations for a line and a piece", n)
	}
}

// cut cuts a line into pieces, some of them empty.
func cut(r *rand.Rand, line string) []string {
	var pieces []string
	for len(line) > 0 && r.IntN(6) > 0 {
		n := r.IntN(min(len(line), 5) + 1)
		pieces, line = append(pieces, line[:n]), line[n:]
	}
	return append(pieces, line)
}

// colour is a control sequence.
var colour = regexp.MustCompile("\x1b\\[[ -?]{0,61}[@-~]")

// properties checks what must hold for any forms, any line and any way to cut it.
func properties(t *testing.T, list []match.Form, line string, exempt int, pieces []string) {
	t.Helper()
	r := redact.New(nil)
	for i := range list {
		r.Add(list[i : i+1])
	}
	want := whole(r, line, exempt)
	if got := whole(redact.New(list), line, exempt); got != want {
		t.Fatalf("forms %+v, line %q: got %q, and %q when they are added one by one", list, line, got, want)
	}
	if got := inPieces(t, r, exempt, pieces...); got != want {
		t.Fatalf("forms %+v, exempt %d, pieces %q: got %q, in one piece it is %q", list, exempt, pieces, got, want)
	}
	rest := []byte(line)
	for part := range strings.SplitSeq(want, redact.Mask) {
		plain := colour.ReplaceAllString(part, "")
		for _, f := range list {
			if !f.Word && exempt == 0 && strings.Contains(plain, string(f.Text)) {
				t.Fatalf("forms %+v, line %q: %q holds a form", list, line, want)
			}
		}
		for _, c := range []byte(part) {
			i := bytes.IndexByte(rest, c)
			if i < 0 {
				t.Fatalf("forms %+v, line %q: %q holds what is not in the line", list, line, want)
			}
			rest = rest[i+1:]
		}
	}
}

func TestProperties(t *testing.T) {
	alphabets := []string{"ab", "abc", "a b", "ab\r", "aA=b", "ab\x1b[m", "aAbB\r", "ab=-\x1b[m"}
	for seed := range uint64(20000) {
		r := rand.New(rand.NewPCG(seed, 5))
		alphabet := alphabets[r.IntN(len(alphabets))]
		var list []match.Form
		for range 1 + r.IntN(4) {
			f := match.Form{Text: random(r, strings.Trim(alphabet, "\x1b[m"), 1+r.IntN(7)), Word: r.IntN(4) == 0}
			if r.IntN(2) == 0 {
				f.Fold, f.Before, f.After, f.Pad = r.IntN(2) == 0, r.IntN(3) == 0, r.IntN(3) == 0, r.IntN(2) == 0
			}
			list = append(list, f)
		}
		line := string(random(r, alphabet, r.IntN(30)))
		if strings.Contains(alphabet, "[m") {
			line = strings.ReplaceAll(line, "\x1b", "\x1b[m")
		}
		pieces, exempt := cut(r, line), 0
		if n := len(pieces[0]); r.IntN(3) == 0 && n > 0 {
			before, _, _ := strings.Cut(pieces[0], "\x1b")
			exempt = r.IntN(min(len(before)+1, n))
		}
		properties(t, list, line, exempt, pieces)
	}
}

func random(r *rand.Rand, alphabet string, n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = alphabet[r.IntN(len(alphabet))]
	}
	return text
}

func FuzzPieces(f *testing.F) {
	f.Add("abc\nbcd\nword:ab", "xabcdabcab", uint64(1))
	f.Add("a\nb", "ab", uint64(2))
	f.Add("a\r\n\rb", "a\ra\r", uint64(4))
	f.Add("fold:0ab1\nwide:QQQ", "x0AB1 xQQQy==", uint64(5))
	f.Add("abcd", "\x1b[31mab\x1b[mcd\x1b[K", uint64(6))
	f.Add("\xff\x00\xff", "\xff\x00\xff\x00\xff", uint64(3))
	f.Fuzz(func(t *testing.T, list, line string, seed uint64) {
		var texts []string
		for text := range strings.SplitSeq(list, "\n") {
			text, word := strings.CutPrefix(text, "word:")
			switch {
			case text == "" || strings.Contains(text, "*"):
			case word && len(text) <= match.MaxWordBytes:
				texts = append(texts, "word:"+text)
			default:
				texts = append(texts, text)
			}
		}
		line = strings.ReplaceAll(line, "*", "")
		properties(t, forms(texts...), line, 0, cut(rand.New(rand.NewPCG(seed, 0)), line))
	})
}
