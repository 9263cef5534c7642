package forms_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/sdk/mask/forms"
)

const room = 1 << 20

// of returns forms as a test states them: sides that a match takes in are dots and =, digits of either case have a ~.
func of(t *testing.T, text string, kind forms.Kind) []string {
	t.Helper()
	list, ok := forms.Of([]byte(text), kind, room)
	if !ok {
		t.Fatalf("there is no room for %s of %q", kind, text)
	}
	var shown []string
	for _, f := range list {
		s := string(f.Text)
		if f.Widen.Before {
			s = "." + s
		}
		if f.Widen.After {
			s += "."
		}
		if f.Widen.Pad {
			s += "="
		}
		if f.Fold {
			s = "~" + s
		}
		if f.Kind != kind {
			t.Errorf("kind %s of %s", f.Kind, s)
		}
		shown = append(shown, s)
	}
	return shown
}

// TestOf states all forms of a value.
func TestOf(t *testing.T) {
	cases := []struct {
		name, text string
		kind       forms.Kind
		want       []string
	}{
		{"plain", "tok3n", forms.Plain, []string{"tok3n"}},
		{"nothing", "", forms.JSON, nil},
		{"a token has one form in JSON", "tok3n-1_A", forms.JSON, nil},
		{"and in a literal", "tok3n-1_A", forms.Quoted, nil},
		{"and in a URL", "tok3n-1_A.~", forms.Percent, []string{"tok3n-1_A.%7E", "tok3n-1_A.%7e"}},
		{"a token in a shell", "tok3n", forms.Shell, []string{`\t\o\k\3\n`}},
		{"quotes in a shell", "a''b", forms.Shell, []string{
			`a'\'''\''b`, `a'"'"''"'"'b`, `a'"''"'b`, `a\'\'b`, // bash, shlex, Almquist, printf %q
			`a'\\'''\\''b`, `a\'\\\'\'\'\\\'\'b`, // in a string of another text
			`a'\"'\"''\"'\"'b`, `a\'"\'"\'\'"\'"\'b`, `a'\"''\"'b`, `a\'"\'\'"\'b`, `a\\'\\'b`, `a\\\'\\\'b`,
			`\a\'\'\b`,
		}},
		{"a slash in JSON", "ab/cd", forms.JSON, []string{`ab\/cd`, `ab\\/cd`, `ab\\\/cd`}},
		{"HTML in JSON", "a<b", forms.JSON, []string{`a\u003cb`, `a\u003Cb`, `a\\u003cb`, `a\\u003Cb`}},
		{"a URL", "a b/é+1", forms.Percent, []string{
			"a%20b%2F%C3%A9%2B1", "a%20b%2f%c3%a9%2b1", "a+b%2F%C3%A9%2B1", "a+b%2f%c3%a9%2b1",
			"a%20b/%C3%A9%2B1", "a%20b/%c3%a9%2b1", "a%20b%2F%C3%A9+1", "a%20b%2f%c3%a9+1", "a%20b/%C3%A9+1", "a%20b/%c3%a9+1",
			"a%2520b%252F%25C3%25A9%252B1",
		}},
		{"base64", "Br1ckHouse-9", forms.Base64, []string{"QnIxY2tIb3VzZS05=", ".JyMWNrSG91c2UtO.=", ".CcjFja0hvdXNlLT.="}},
		{"both alphabets", "k?>k?>k?>k", forms.Base64, []string{
			"az8+az8+az8+a.=", "az8-az8-az8-a.=", ".s/Pms/Pms/Pm.=", ".s_Pms_Pms_Pm.=", ".rPz5rPz5rPz5r=",
		}},
		{"base64 of five bytes", "abcde", forms.Base64, []string{"YWJjZGU=", "YWJjZGUK"}},
		{"base64 of three bytes", "abc", forms.Base64, nil},
		{"XML", "a'b", forms.XML, []string{"a&apos;b", "a&#39;b", "a&#039;b", "a&#x27;b"}},
		{"hex", "ab\xff", forms.Hex, []string{"~6162ff", "~61 62 ff", "~61:62:ff"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := of(t, c.text, c.kind)
			for i, s := range got { // what XML is in JSON is stated below
				if c.kind == forms.XML && strings.Contains(s, `\u0026`) {
					got[i] = ""
				}
			}
			got = slices.DeleteFunc(got, func(s string) bool { return s == "" })
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestHas states some of the forms of a value.
func TestHas(t *testing.T) {
	cases := []struct {
		name, text string
		kind       forms.Kind
		want       []string
	}{
		{"printf %q", "s p&c|e d1", forms.Shell, []string{`s\ p\&c\|e\ d1`}},
		{"git's trace", "it's a!b", forms.Shell, []string{`it'\''s a'\!'b`}},
		{"words under set -x", "it's a$b cd", forms.Shell, []string{`it'\''s' 'a$b' cd`, `it'"'"'s' 'a$b' cd`}},
		{"a shell in Python's JSON", "it's ü", forms.Shell, []string{`it'\\''s \u00fc`, `it'\"'\"'s \u00fc`}},
		{"control characters", "a\tb\x1bc'ü", forms.Shell, []string{`a\tb\Ec\'ü`, `a\tb\Ec\'\303\274`}},
		{"double quotes", "a$b`c\"d\\e", forms.Shell, []string{"a\\$b\\`c\\\"d\\\\e"}},
		{"right side of ==", "a b", forms.Shell, []string{`\a\ \b`}},
		{"JSON", "pa\"ss\\wo<rd", forms.JSON, []string{`pa\"ss\\wo<rd`, `pa\"ss\\wo\u003crd`, `pa\\\"ss\\\\wo<rd`}},
		{"characters that are not ASCII", "ü😀", forms.JSON, []string{`\u00fc\ud83d\ude00`, `\u00FC\uD83D\uDE00`, `\\u00fc\\ud83d\\ude00`}},
		{"line ends in JSON", "a\r\nb", forms.JSON, []string{`a\r\nb`, `a\\r\\nb`}},
		{".NET", `a"b+c`, forms.JSON, []string{`a\u0022b\u002Bc`}},
		{"Go", "a\x01\"ü", forms.Quoted, []string{`a\x01\"ü`, `a\x01\"\u00fc`}},
		{"Python", "a'\xc3\xbc\n", forms.Quoted, []string{`a\'ü\n`, `a'\xfc\n`, `a'\xc3\xbc\n`}},
		{"YAML", "a\x01\x1b\"\\\u00a0ü€😀\x7f", forms.Quoted, []string{"a\\x01\\e\\\"\\\\\u00a0ü€\\U0001F600\\x7F", `a\x01\e\"\\\_\xFC\u20AC\U0001F600\x7F`}},
		{"Java's properties", "p:s#w=r!é\\ x\t\x7f😀", forms.Quoted, []string{"p\\:s\\#w\\=r\\!é\\\\ x\\t\x7f😀", `p\:s\#w\=r\!\u00E9\\ x\t\u007F\uD83D\uDE00`}},
		{"doubled", `a'b"c$d%e`, forms.Quoted, []string{`a''b"c$d%e`, `a'b""c$d%e`, `a'b"c$$d%e`, `a'b"c$d%%e`}},
		{"a browser's URLs", "it's/a+b c#d==", forms.Percent, []string{"it%27s/a+b%20c%23d==", "it's%2Fa+b%20c%23d%3D%3D", "it's/a+b%20c#d=="}},
		{"numbers", "a<ü", forms.XML, []string{"a&lt;&#252;", "a&lt;&#xfc;", "a&lt;&#xFC;", "a&#60;&#252;", "a&#x3C;&#xFC;", `a\u0026lt;ü`}},
		{"wrapped base64", strings.Repeat("a", 60), forms.Wrapped, []string{
			strings.Repeat("YWFh", 19), strings.Repeat("YWFh", 16), strings.Repeat("YWFh", 4) + "=",
		}},
		{"xxd -p", strings.Repeat("a", 36), forms.Wrapped, []string{"~" + strings.Repeat("61", 30), "~" + strings.Repeat("61", 6)}},
		{"xxd", "0123456789abcdef~x", forms.Wrapped, []string{
			"3031 3233 3435 3637 3839 6162 6364 6566  0123456789abcdef",
			"7e78                                     ~x",
			"7e78 0a                                  ~x.",
		}},
		{"hexdump -C", "0123456789abcdef~x", forms.Wrapped, []string{
			"30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
			"7e 78 0a                                          |~x.|",
		}},
		{"od", "0123456789abcdef~", forms.Wrapped, []string{
			"030460 031462 032464 033466 034470 061141 062143 063145", "0000020 000176", "0000020   ~", `0000020   ~  \n`,
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := of(t, c.text, c.kind)
			for _, want := range c.want {
				if !slices.Contains(got, want) {
					t.Errorf("there is no %q in\n%q", want, got)
				}
			}
		})
	}
}

func TestKinds(t *testing.T) {
	for _, kind := range forms.Encodings() {
		if got, ok := forms.KindOf(kind.String()); got != kind || !ok || kind == forms.Plain {
			t.Errorf("%s: %s, %t", kind, got, ok)
		}
	}
	if _, ok := forms.KindOf("morse"); ok {
		t.Error("there is a kind morse")
	}
}

// TestRoom: what is returned never has more bytes than there is room for, and it is said when something is missing.
func TestRoom(t *testing.T) {
	text := []byte(`a "secret" <of> many\forms/`)
	for _, kind := range forms.Encodings() {
		all, _ := forms.Of(text, kind, room)
		for limit := range max(size(all), len(text)) {
			if list, ok := forms.Of(text, kind, limit); ok || size(list) > limit {
				t.Fatalf("%s with %d bytes: %d bytes, %t", kind, limit, size(list), ok)
			}
		}
		if _, ok := forms.Of(text, kind, max(size(all), len(text))); !ok {
			t.Errorf("%s: no room in %d bytes", kind, size(all))
		}
	}
}

func size(list []forms.Form) (n int) {
	for _, f := range list {
		n += len(f.Text)
	}
	return n
}

func TestParts(t *testing.T) {
	text := func(s string) []string { return []string{s} }
	list := func(all [][]byte) (texts []string) {
		for _, b := range all {
			texts = append(texts, string(b))
		}
		return texts
	}
	cases := []struct {
		name      string
		got, want []string
	}{
		{"lines", list(forms.Lines([]byte("a\r\n b\nc\r"))), []string{"a", " b", "c"}},
		{"joined", list(forms.Joins([][]byte{[]byte("a"), []byte("  b"), []byte(""), []byte("c")}, false)), []string{"a\n  b\n\nc", "a   b  c", "a b c", "a  bc"}},
		{"joined with CR", list(forms.Joins([][]byte{[]byte("a"), []byte("b")}, true)), []string{"a\nb", "a b", "ab", "a\r\nb", "a\r b", "a\rb"}},
		{"collapsed", text(string(forms.Collapsed([]byte("two  spaces\tand-tab")))), text("two spaces and-tab")},
		{"echoed", text(string(forms.Echoed([]byte(`a\nb\\c\0101\x\t`)))), text("a\nb\\cA\\x\t")},
		{"repaired", text(string(forms.Repaired([]byte("a\xff\xfeb")))), text("a\ufffd\ufffdb")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, c.got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestUnquoted(t *testing.T) {
	for text, want := range map[string]string{
		`"a b"`: "a b", `'a'`: "a", "`a`": "a", `"a'`: "", `""`: "", `"`: "", `a`: "", `" "`: "",
	} {
		if got, ok := forms.Unquoted([]byte(text)); ok != (want != "") || ok && string(got) != want {
			t.Errorf("%s: %q, %t", text, got, ok)
		}
	}
}

func TestLeaves(t *testing.T) {
	cases := []struct {
		name, text string
		want       []string
	}{
		{"a token", "tok3n", nil},
		{"keys", `{"user": "deployer", "password": "p-1", "n": {"apiKey": "k-2", "ACCESS_TOKEN": "t-3"}}`, []string{"t-3", "k-2", "p-1"}},
		{"a collection", `{"tokens": {"registry": {"blob": "b-1", "email": "e@x"}}, "auth": {"mode": "m"}}`, []string{"b-1"}},
		{"what stands beside secrets", `{"token_uri": "https://x/y", "private_key_id": "12", "private_key": "PEM"}`, []string{"PEM"}},
		{"an array", `[{"secrets": ["s-1", "s-2"]}]`, []string{"s-1", "s-2"}},
		{"JSON in JSON", `{"config": "{\"password\": \"p-1\"}"}`, []string{"p-1"}},
		{"a string", `"a\"b"`, []string{`a"b`}},
		{"numbers", `{"pin": 12345678}`, nil},
		{"environment", "USER=me\nexport DB_PASSWORD='p 1'\nTOKEN_URL=x\nURL=https://u:p-2@h/\n", []string{"p 1", "p-2"}},
		{"YAML", "users:\n- name: me\n  user:\n    token: t-1\n    client-key-data: \"d-2\"\n", []string{"t-1", "d-2"}},
		{"one line", "DB_PASSWORD = 'p 1'", []string{"p 1"}},
		{"comments", "token: t-1 # old\npassword: \"p # 1\"\nkey=\"k-1\" // it's \"k\"\n", []string{"t-1 # old", "t-1", "p # 1", `"p`, `k-1" // it's "k`, "k-1"}},
		{"what is nearly JSON", "{\n  // mine\n  \"password\": \"p-1\",\n  token: 't-1';\n}", []string{"p-1", "t-1"}},
		{"npmrc", "registry=https://npm.example.com\n//npm.example.com/a/:_authToken=t-1\n", []string{"t-1"}},
		{"a connection string", "Server=tcp:db,1433;User ID=me;Password=p-1;Encrypt=true", []string{"p-1"}},
		{"a header", "Authorization: Bearer b-1", []string{"Bearer b-1", "b-1"}},
		{"a header in JSON", `{"headers": {"Authorization": "Basic b-1"}}`, []string{"Basic b-1", "b-1"}},
		{"URLs", "https://me:p-1@a.example.com\nhttp://b.example.com,http://u:p-2@c.example.com:80\n", []string{"p-2", "p-1"}},
		{"a URL", "postgres://me:p%40ss@host/db", []string{"p%40ss", "p@ss"}},
		{"not JSON", `{"password": `, nil},
		{"deep", strings.Repeat(`{"password":`, 3) + `"p-1"` + strings.Repeat("}", 3), []string{"p-1"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, leaf := range forms.Leaves([]byte(c.text)) {
				got = append(got, string(leaf))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestTails: the last line of what is wrapped is in a sequence when it is short.
func TestTails(t *testing.T) {
	var got []string
	for _, lines := range forms.Tails([]byte(strings.Repeat("a", 49))) {
		got = append(got, string(bytes.Join(lines, []byte(" "))))
	}
	base64 := strings.Repeat("YWFh", 16)
	digits := hex.EncodeToString([]byte(strings.Repeat("a", 30)))
	want := []string{
		base64 + " YQ==", base64[:60] + " YWFhYQ==",
		base64 + " YQo=", base64[:60] + " YWFhYQo=",
		base64 + " YQoK", base64[:60] + " YWFhYQoK",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	got = nil
	for _, lines := range forms.Tails([]byte(strings.Repeat("a", 31))) {
		got = append(got, string(bytes.Join(lines, []byte(" "))))
	}
	if d := cmp.Diff([]string{digits + " 61", digits + " 610a", digits + " 610a0a"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// FuzzForms: whatever a value is, its forms are some, bounded, none empty, none twice, and always the same.
func FuzzForms(f *testing.F) {
	for _, s := range []string{
		"", "a", "tok3n-12", "a'b\"c\\d$e`f", "ü€😀\xff", "a\nb\r\nc", " two  spaces\t", `{"password": "x"}`, "k=v\npassword=z",
		"https://u:p%zz@h", `\0101\n\`, strings.Repeat("a", 100), "\x00\x01\x7f", `"\ud800"`, "'''", "~#:~=~",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 512 {
			return
		}
		before := bytes.Clone(text)
		for kind := forms.Plain; kind <= forms.Wrapped; kind++ {
			list, ok := forms.Of(text, kind, room*64)
			if n := size(list); !ok || n > 4096+len(text)*512 {
				t.Errorf("%s has %d bytes in %d forms", kind, n, len(list))
			}
			again, _ := forms.Of(text, kind, room*64)
			if !reflect.DeepEqual(list, again) {
				t.Errorf("%s is another one the second time", kind)
			}
			seen := map[string]bool{}
			for _, form := range list {
				key := fmt.Sprint(form.Widen, form.Fold, string(form.Text))
				if len(form.Text) == 0 || seen[key] || kind != forms.Plain && bytes.Equal(form.Text, text) {
					t.Errorf("%s has %q, which is empty, text itself, or there twice", kind, form.Text)
				}
				seen[key] = true
			}
		}
		if !reflect.DeepEqual(forms.Leaves(text), forms.Leaves(text)) {
			t.Error("the leaves are others the second time")
		}
		forms.Tails(text)
		forms.Joins(forms.Lines(text), true)
		forms.Collapsed(text)
		forms.Echoed(text)
		forms.Repaired(text)
		forms.Unquoted(text)
		if !bytes.Equal(before, text) {
			t.Error("text was changed")
		}
	})
}
