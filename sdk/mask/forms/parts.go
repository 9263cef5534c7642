package forms

import (
	"bytes"
	"regexp"
	"strconv"
	"unicode/utf8"
)

// Lines returns the lines of a text, without the CR and LF at their ends.
func Lines(text []byte) [][]byte {
	lines := bytes.Split(text, []byte{'\n'})
	for i, line := range lines {
		lines[i] = bytes.TrimSuffix(line, []byte{'\r'})
	}
	return lines
}

// Joins returns the texts that consecutive lines become: with LF between them, with a space, as an unquoted variable in a
// shell, and with nothing; with CR LF, too, if they were so.
func Joins(lines [][]byte, crlf bool) [][]byte {
	join := func(between string) []byte { return bytes.TrimSpace(bytes.Join(lines, []byte(between))) }
	texts := [][]byte{join("\n"), join(" "), Collapsed(join(" ")), join("")}
	if crlf {
		texts = append(texts, join("\r\n"), join("\r "), join("\r"))
	}
	return distinctBytes(texts)
}

// Collapsed returns text with one space in place of each run of spaces, tabs and line ends, as a shell makes it of a
// variable that is not in quotes. It may be text itself.
func Collapsed(text []byte) []byte {
	fields := bytes.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == '\t' || c == '\n' })
	return bytes.Join(fields, []byte{' '})
}

// Echoed returns what sh's echo, and printf %b, print for a text with backslashes. It is of several lines when that is how
// its line ends were written. It may be text itself.
func Echoed(text []byte) []byte {
	return echoes.ReplaceAllFunc(text, func(escape []byte) []byte {
		if i := bytes.IndexByte([]byte("abtnvfr"), escape[1]); i >= 0 {
			return []byte{'\a' + byte(i)}
		}
		if escape[1] == '\\' {
			return escape[:1]
		}
		n, _ := strconv.ParseUint(string(escape[1:]), 8, 16) // the expression lets octal digits through only
		return []byte{byte(n)}
	})
}

var echoes = regexp.MustCompile(`\\([abtnvfr\\]|0[0-7]{1,3})`)

// Repaired returns text with U+FFFD in place of each byte that is not UTF-8, as programs read it that can't do with such.
func Repaired(text []byte) []byte {
	if utf8.Valid(text) {
		return text
	}
	return []byte(string([]rune(string(text))))
}

// Unquoted returns what is between the quotes around a text, without white space around it, if there is anything.
func Unquoted(text []byte) (inner []byte, ok bool) {
	n := len(text)
	if n < 3 || text[0] != text[n-1] || !bytes.ContainsRune([]byte("\"'`"), rune(text[0])) {
		return nil, false
	}
	inner = bytes.TrimSpace(text[1 : n-1])
	return inner, len(inner) > 0
}

// distinctBytes returns each of some texts once, in their order.
func distinctBytes(texts [][]byte) [][]byte {
	var list [][]byte
	seen := map[string]bool{}
	for _, t := range texts {
		if !seen[string(t)] {
			seen[string(t)] = true
			list = append(list, t)
		}
	}
	return list
}
