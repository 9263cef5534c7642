package redact_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/podrunner/runner/sdk/mask/match"
	"github.com/podrunner/runner/sdk/mask/redact"
)

func forms(texts ...string) []match.Form {
	var list []match.Form
	for _, t := range texts {
		t, word := strings.CutPrefix(t, "word:")
		list = append(list, match.Form{Text: []byte(t), Word: word})
	}
	return list
}

// whole masks a line in one go.
func whole(r *redact.Redactor, line string) string {
	var b strings.Builder
	masks, length := r.Line([]byte(line))
	at := 0
	for _, s := range masks {
		b.WriteString(line[at:s.Start] + redact.Mask)
		at = s.End
	}
	return b.String() + line[at:length]
}

// inPieces masks a line that comes in pieces.
func inPieces(t *testing.T, r *redact.Redactor, pieces ...string) string {
	t.Helper()
	var b strings.Builder
	var c redact.Carry
	for i, p := range pieces {
		var out []byte
		out, c = r.Piece(c, []byte(p), i < len(pieces)-1)
		if !r.Valid(c) {
			t.Fatalf("carry %+v after piece %d of %q", c, i, pieces)
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
		{"only empty pieces", forms("abc"), []string{"", "", ""}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := redact.New(c.forms)
			if got := inPieces(t, r, c.pieces...); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := whole(r, strings.Join(c.pieces, "")); got != c.want {
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

func TestMaskingAllocatesNothing(t *testing.T) {
	r := redact.New(forms("tok3n-12", "word:x7"))
	line := []byte("login tok3n-12 with x7 as tok3n-1")
	var c redact.Carry
	r.Piece(redact.Carry{Held: 5}, line, true) // makes the buffers
	if n := testing.AllocsPerRun(100, func() {
		r.Line(line)
		_, c = r.Piece(c, line, true)
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

// properties checks what must hold for any forms, any line and any way to cut it.
func properties(t *testing.T, list []match.Form, line string, pieces []string) {
	t.Helper()
	r := redact.New(list)
	want := whole(r, line)
	if got := inPieces(t, r, pieces...); got != want {
		t.Fatalf("forms %v, pieces %q: got %q, in one piece it is %q", list, pieces, got, want)
	}
	kept := strings.Split(want, redact.Mask)
	rest := line
	for _, part := range kept {
		for _, f := range list {
			if !f.Word && strings.Contains(part, string(f.Text)) {
				t.Fatalf("forms %v, line %q: %q holds a form", list, line, want)
			}
		}
		i := strings.Index(rest, part)
		if i < 0 {
			t.Fatalf("forms %v, line %q: %q holds what is not in the line", list, line, want)
		}
		rest = rest[i+len(part):]
	}
}

func TestProperties(t *testing.T) {
	for seed := range uint64(4000) {
		r := rand.New(rand.NewPCG(seed, 5))
		alphabet := []string{"ab", "abc", "a b", "ab\r"}[r.IntN(4)]
		var list []match.Form
		for range 1 + r.IntN(4) {
			list = append(list, match.Form{Text: random(r, alphabet, 1+r.IntN(7)), Word: r.IntN(4) == 0})
		}
		line := string(random(r, alphabet, r.IntN(30)))
		properties(t, list, line, cut(r, line))
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
		properties(t, forms(texts...), line, cut(rand.New(rand.NewPCG(seed, 0)), line))
	})
}
