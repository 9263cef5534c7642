package policy_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podrunner/runner/sdk/mask/forms"
	"github.com/podrunner/runner/sdk/mask/match"
	"github.com/podrunner/runner/sdk/mask/policy"
)

// shapes are values to print: L is a random letter, 9 a random digit, the rest is as it is.
var shapes = []struct{ name, shape string }{
	{"four", "LLLL"},
	{"five", "LLLLL"},
	{"six", "LLLLLL"},
	{"seven", "LLLLLLL"},
	{"token", "LLL9LLLL9LLLLLL9LLLLLLLL9LLL"},
	{"a line of a dump", "LLLLLLLLLLLLLLLL"},
	{"a byte more", "LLLLLLLLLLLLLLLLL"},
	{"31", "LLLLLLLLLLLLLLLLLLLLLLLLLLLLLLL"},
	{"48", strings.Repeat("LLLL", 12)},
	{"49", strings.Repeat("LLLL", 12) + "L"},
	{"50", strings.Repeat("LLLL", 12) + "LL"},
	{"58", strings.Repeat("LLLL", 14) + "LL"},
	{"long", strings.Repeat("LLL9L", 41)},
	{"base64", "LLLL/LLLL+LLLL/LLLL+LLLL9LLL=="},
	{"quotes", `LLL'LLL"LLL'LL""LLL''L` + "L`L"},
	{"backslashes", `LLL\LLL\\LLL\nLLL`},
	{"punctuation", `LL$LL&LL|LL;LL<LL>LL(LL)LL{LL}LL[LL]LL*LL?LL!LL#LL~LL^LL%LL,LL:~LL=~LL@LL/L`},
	{"URL", `LLLL://LLLL:LL%LL@LLLL/LLL?LL=LLLL&LL=L+LLL#LLL`},
	{"words", `LLLL LLL's LLLL  LLL  "LLLL" L&L LLLLLL`},
	{"tilde first", `~LLLL#LLL`},
	{"tab", "LLLL\tLLLL \tLLL"},
	{"accents", "LLLüLLL€LL😀LLé"},
	{"controls", "LLL\x01LLL\x1bLLL\aLL\x7fLLL"},
	{"not UTF-8", "LLLL\xffLLLL\xc3LLLL"},
	{"quoted", `"LLLLLL9LLLL"`},
	{"lines", "LLLLLLLLLL\nLLLLLLLLLLLL\nLLLLLLLLL"},
	{"short lines", "LLLLLLLLLLLLLL\nLLL\nLLLL\nLL\nLLLLLLLLLLLLLL\n"},
	{"indented", "LLLLLLLL:\n  LLLLL: LLL\n\n  LLLLLLLLLLL: LLL's\nLLLLLLLL"},
	{"CRLF", "LLLLLLLLLL\r\nLLLLL\r\nLLL\r\nLLLLLLLLL"},
	{"key", "-----BEGIN KEY-----\n" + strings.Repeat(strings.Repeat("LLLLLLL9LLL/LL+L", 4)+"\n", 12) + "LLLL9=\n-----END KEY-----\n"},
	{"JSON", `{"user": "deployer", "password": "LLL'LLL\"LLLL", "nested": {"api_key": "LLLLLLLLLL\nLLL9LLLLLLL"}}`},
}

// made fills a shape. Letters are none that escapes are made of, so that what is left of them can be told from those.
func made(shape string, random *rand.Rand) string {
	b := []byte(shape)
	for i, c := range b {
		switch c {
		case 'L':
			b[i] = "GHIJKMNOPQRSTVWYZghijklmopqsyz"[random.IntN(30)]
		case '9':
			b[i] = "23456789"[random.IntN(8)]
		}
	}
	return string(b)
}

// tools print the variable X, or their standard input, which is X and, with line, a newline.
var tools = []struct {
	name string
	argv []string
	line bool
	// except are shapes that are not masked there. Short lines are where they are lines of their own.
	except []string
}{
	{name: "sh -x", argv: []string{"sh", "-c", `set -x; echo "$X"; Y="$X"; echo $X; [ "$X" = a ]`}},
	{name: "dash -x", argv: []string{"dash", "-c", `set -x; echo "$X"; Y="$X"; echo $X; [ "$X" = a ]`}},
	{name: "dash set", argv: []string{"dash", "-c", `export -p; set | grep -v PPID=`}},
	{name: "bash -x", argv: []string{"bash", "-c", `set -x; echo "$X"; Y="$X"; export Z="$X"; : a$X-b "p $X"`}},
	{name: "bash -x unquoted", argv: []string{"bash", "-f", "-c", `set -x; echo $X; case "$X" in "$X") ;; esac; for i in "$X"; do : "$i"; done`}},
	{name: "bash -x C", argv: []string{"bash", "-c", `LC_ALL=C; set -x; : "$X"`}},
	{name: "bash [[ == ]]", argv: []string{"bash", "-c", `set -x; [[ $X == "$X" ]]`}, except: []string{"short lines", "CRLF", "key"}},
	{name: "bash [[ =~ ]]", argv: []string{"bash", "-c", `set -x; [[ $X =~ "$X" ]]`}, except: []string{"short lines", "CRLF", "key"}},
	{name: "bash printf %q", argv: []string{"bash", "-c", `printf '%q\n' "$X"; printf '%q\n' "a:$X"; LC_ALL=C; printf '%q\n' "$X"`}},
	{name: "bash declare", argv: []string{"bash", "-c", `declare -p X; echo "${X@Q}"; A=("$X"); declare -p A; export -p; set | grep -a -A 30 ^X=`}},
	{name: "busybox sh -x", argv: []string{"busybox", "sh", "-c", `set -x; echo "$X"; Y="$X"; echo $X; [ "$X" = a ]`}},
	{name: "busybox set", argv: []string{"busybox", "sh", "-c", `export -p; set | grep -v PPID=`}},
	{name: "env", argv: []string{"env"}},
	{name: "tr", argv: []string{"sh", "-c", `tr '\n' ' '; printf %s "$X" | tr -d '\n'; printf %s "$X" | tr -d '\r\n'`}, line: true},
	{name: "od", argv: []string{"od"}},
	{name: "od, line", argv: []string{"od"}, line: true},
	{name: "od -c", argv: []string{"od", "-c"}},
	{name: "od -c, line", argv: []string{"od", "-c"}, line: true},
	{name: "od -x", argv: []string{"od", "-x"}, line: true},
	{name: "od -t x1", argv: []string{"od", "-t", "x1"}, line: true},
	{name: "od -An -t x1 -w1000", argv: []string{"od", "-An", "-t", "x1", "-w1000"}},
	{name: "xxd", argv: []string{"xxd"}},
	{name: "xxd, line", argv: []string{"xxd"}, line: true},
	{name: "xxd -p", argv: []string{"xxd", "-p"}},
	{name: "xxd -p, line", argv: []string{"xxd", "-p"}, line: true},
	{name: "xxd -p -u -c 0", argv: []string{"xxd", "-p", "-u", "-c", "0"}},
	{name: "hexdump", argv: []string{"hexdump"}, line: true},
	{name: "hexdump -C", argv: []string{"hexdump", "-C"}},
	{name: "hexdump -C, line", argv: []string{"hexdump", "-C"}, line: true},
	{name: "base64", argv: []string{"base64"}},
	{name: "base64, line", argv: []string{"base64"}, line: true},
	{name: "base64 -w 64", argv: []string{"base64", "-w", "64"}},
	{name: "base64 -w 64, line", argv: []string{"base64", "-w", "64"}, line: true},
	{name: "base64 -w 0", argv: []string{"sh", "-c", `base64 -w 0; for a in u: us: use:; do for z in '' a ab abc; do printf '%s%s%s' $a "$X" $z | base64 -w 0; echo; done; done`}, except: []string{"four", "five"}},
	{name: "openssl base64", argv: []string{"openssl", "base64"}},
	{name: "openssl base64, line", argv: []string{"openssl", "base64"}, line: true},
	{name: "openssl base64 -A", argv: []string{"openssl", "base64", "-A"}, line: true},
	{name: "python3 -m json.tool", argv: []string{"python3", "-c", pythonPrints + `import runpy, io
sys.argv = ["json.tool"]
sys.stdin = io.StringIO(json.dumps({"v": x}))
runpy.run_module("json.tool", run_name="__main__")`}},
	{name: "python3 json", argv: []string{"python3", "-c", pythonPrints + `
p(json.dumps(x)); p(json.dumps({"m": json.dumps({"p": x})})); p(json.dumps(x, ensure_ascii=False)); p(json.dumps({"m": json.dumps({"p": x}, ensure_ascii=False)}, ensure_ascii=False))`}},
	{name: "python3 repr", argv: []string{"python3", "-c", pythonPrints + `
p(repr(x)); p(ascii(x)); p(repr(os.environb[b"X"])); p(repr({"k": [x]})); p(json.dumps(repr(x))); p(repr(json.dumps(x)))`}},
	{name: "python3 shlex", argv: []string{"python3", "-c", pythonPrints + `import shlex
p(shlex.quote(x)); p(shlex.join(["a", x]))`}},
	{name: "python3 urllib", argv: []string{"python3", "-c", pythonPrints + `import urllib.parse as u
x = os.environb[b"X"]
p(u.quote(x)); p(u.quote(x, safe="")); p(u.quote_plus(x)); p(u.urlencode({"k": x})); p(u.quote(u.quote(x, safe=""), safe=""))`}},
	{
		name: "python3 re", argv: []string{"python3", "-c", pythonPrints + `import re
p(re.escape(x))`},
		except: []string{"short lines", "CRLF", "key"},
	},
	{name: "python3 html", argv: []string{"python3", "-c", pythonPrints + `import html, xml.sax.saxutils as s
p(html.escape(x)); p(html.escape(x, quote=False)); p(s.escape(x)); p(s.quoteattr(x)); p(html.escape(x).encode("ascii", "xmlcharrefreplace").decode()) if not any("\ud800" <= c <= "\udfff" for c in x) else None`}},
	{name: "python3 base64", argv: []string{"python3", "-c", pythonPrints + `import base64
b = os.environb[b"X"]
p(base64.b64encode(b"user:" + b).decode()); p(base64.urlsafe_b64encode(b"??>" + b + b"?>").decode()); p(base64.encodebytes(b).decode()); p(b.hex()); p(b.hex().upper()); p(b.hex(":")); p(base64.b16encode(b).decode())`}, except: []string{"four", "five"}},
	{name: "python3 csv", argv: []string{"python3", "-c", pythonPrints + `import csv, sys
csv.writer(sys.stdout).writerow(["a", x, "b,"])`}},
	{name: "jq", argv: []string{"jq", "-n", `env.X, (env.X|tojson), (env.X|@uri), (env.X|@sh), (env.X|@html), (env.X|@base64), ([env.X]|@csv), {a: {b: env.X}}`}},
	{name: "jq -a", argv: []string{"jq", "-n", "-a", `env.X`}},
	{name: "node", argv: []string{"node", "-e", `const x = process.env.X, p = console.log
p(JSON.stringify(x)); p(JSON.stringify({m: JSON.stringify(x)})); p(encodeURIComponent(x)); p(encodeURI(x)); p(new URLSearchParams({x}).toString()); p(Buffer.from(x).toString("hex")); p(Buffer.from("a" + x).toString("base64"))`}, except: []string{"four", "five"}},
	{name: "perl", argv: []string{"perl", "-MMIME::Base64", "-e", `print encode_base64($ENV{X}), quotemeta($ENV{X}), "\n"`}, except: []string{"short lines", "CRLF", "key"}},
}

// pythonPrints makes x and p. What is not UTF-8 is printed as it was.
const pythonPrints = `import json, os, sys
x = os.environ["X"]
def p(s): sys.stdout.buffer.write(s.encode("utf-8", "surrogateescape") + b"\n")
`

var all = flag.Bool("all", false, "print values of all shapes with each tool, and not a few that chance picks")

// TestTools: what is left of the output of a tool does not depend on the value's letters and digits.
func TestTools(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	sample := 5
	if *all {
		sample = len(shapes)
	}
	python := "python3" // or what it stands for, which starts sooner
	if out, err := exec.CommandContext(t.Context(), python, "-c", "import sys; print(sys.executable)").Output(); err == nil {
		python = strings.TrimSpace(string(out))
	}
	for _, tool := range tools {
		t.Run(tool.name, func(t *testing.T) {
			if _, err := exec.LookPath(tool.argv[0]); err != nil {
				t.Skipf("%s is not installed", tool.argv[0])
			}
			argv := slices.Clone(tool.argv)
			if argv[0] == "python3" {
				argv = slices.Concat([]string{python, "-IS"}, argv[1:])
			}
			for _, i := range random.Perm(len(shapes))[:sample] {
				shape := shapes[i]
				if slices.Contains(tool.except, shape.name) {
					continue
				}
				one, two := made(shape.shape, random), made(shape.shape, random)
				first, raw := rest(t, argv, one, tool.line)
				second, _ := rest(t, argv, two, tool.line)
				if first != second || first == raw && raw != "" {
					t.Errorf("%s, seed %d: value %q\nprinted %q\nleaves  %q\nand another one of that shape\n        %q", shape.name, seed, one, raw, first, second)
				}
			}
		})
	}
}

// rest runs a tool and returns what is left of its output, and the output.
func rest(t *testing.T, argv []string, value string, line bool) (masked, raw string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"X=" + value, "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LANG=C.UTF-8"}
	cmd.Dir = "/"
	cmd.Stdin = strings.NewReader(value)
	if line {
		cmd.Stdin = strings.NewReader(value + "\n")
	}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	s, err := policy.Select([]policy.Secret{{Key: "X", Value: []byte(value)}}, policy.Options{MinLength: policy.DefaultMinLength})
	if err != nil {
		t.Fatal(err)
	}
	return string(naive(s, out)), string(out)
}

// naive masks a log in the plainest way that there is.
func naive(s *policy.Selection, log []byte) []byte {
	lines := forms.Lines(log)
	covered := make([][]bool, len(lines))
	for i, line := range lines {
		covered[i] = make([]bool, len(line))
		for _, f := range s.Lines {
			cover(line, f, covered[i])
		}
	}
	for _, sequence := range s.Sequences {
		for i := range lines {
			for j := range sequence {
				n, size := 0, 0
				for i+n < len(lines) && j+n < len(sequence) && bytes.Equal(bytes.TrimSpace(lines[i+n]), sequence[j+n]) {
					size += len(sequence[j+n])
					n++
				}
				for k := i; n > 1 && size >= 8 && k < i+n; k++ {
					for at := range covered[k] {
						covered[k][at] = true
					}
				}
			}
		}
	}
	var out []byte
	for i, line := range lines {
		for at, c := range line {
			switch {
			case !covered[i][at]:
				out = append(out, c)
			case at == 0 || !covered[i][at-1]:
				out = append(out, '*')
			}
		}
		out = append(out, '\n')
	}
	return out
}

// cover marks the occurrences of a form.
func cover(line []byte, f match.Form, covered []bool) {
	text := f.Text
	fold := func(b []byte) []byte {
		if f.Fold {
			return bytes.ToLower(b)
		}
		return b
	}
	line, text = fold(line), fold(text)
	alphabet := func(c byte) bool {
		return strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_", c) >= 0
	}
	for from := 0; ; from++ {
		i := bytes.Index(line[from:], text)
		if i < 0 {
			return
		}
		from += i
		start, end := from, from+len(text)
		if f.Word && (start > 0 && match.IsWordByte(line[start-1]) || end < len(line) && match.IsWordByte(line[end])) {
			continue
		}
		if f.Before && start > 0 && alphabet(line[start-1]) {
			start--
		}
		if f.After && end < len(line) && alphabet(line[end]) {
			end++
		}
		for f.Pad && end < len(line) && line[end] == '=' {
			end++
		}
		for i := start; i < end; i++ {
			covered[i] = true
		}
	}
}
