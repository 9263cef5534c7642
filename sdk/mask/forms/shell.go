package forms

import (
	"fmt"
	"regexp"
	"strings"
)

// shell writes text as shells do: within quotes, with backslashes, and what set -x prints. The quotes around it are not
// part of a form.
func shell(e *emitter, text string) {
	e.emitNested(e.emitEach(text,
		singleQuoted, gitQuoted, almquistQuoted, grouped, backslashed, doubleQuoted,
		func(s string) string { return ansiQuoted(s, false) },
		func(s string) string { return ansiQuoted(s, true) },
		func(s string) string { return inWords(s, bashWord) },
		func(s string) string { return inWords(s, busyboxWord) },
	))
	e.emitEach(text, patternQuoted, metaQuoted)
	for _, special := range regexpSpecial {
		e.emitEach(text, func(s string) string { return withBackslash(s, special) })
	}
}

// singleQuoted is what bash prints under set -x and for ${X@Q}.
func singleQuoted(s string) string { return strings.ReplaceAll(s, `'`, `'\''`) }

// gitQuoted is what git prints of commands with GIT_TRACE: csh would take an exclamation mark for a word of history.
func gitQuoted(s string) string { return strings.ReplaceAll(singleQuoted(s), `!`, `'\!'`) }

// almquistQuoted is what Python's shlex.quote returns.
func almquistQuoted(s string) string { return strings.ReplaceAll(s, `'`, `'"'"'`) }

// grouped is what shells of the Almquist family print: quotes that follow on one another share the quotes around them.
func grouped(s string) string { return quotes.ReplaceAllString(s, `'"$0"'`) }

var quotes = regexp.MustCompile(`'+`)

// doubleQuoted is what bash prints for declare -p and export -p.
func doubleQuoted(s string) string { return withBackslash(s, "\"\\$`") }

// backslashed is what bash's printf %q prints. It also puts a backslash before a tilde or a number sign that begins the
// word, which need not be masked.
func backslashed(s string) string {
	s = withBackslash(s, " \t\n'\"\\|&;()<>!{}*[]?^$`,")
	return strings.NewReplacer(":~", `:\~`, "=~", `=\~`).Replace(s)
}

// patternQuoted is what bash prints under set -x for the quoted right side of [[ == ]].
func patternQuoted(s string) string {
	return rewrite(s, func(c rune, raw string) string {
		if c == 0x01 || c == 0x7f { // bash's own marks
			return raw
		}
		return `\` + raw
	})
}

// regexpSpecial are the characters that get a backslash in a regular expression: those that bash shows under set -x for
// the quoted right side of [[ =~ ]], those of Go and JavaScript, of Python, and of PHP.
var regexpSpecial = []string{`\.+*?()|[{^$`, `\.+*?()|[]{}^$`, "\\.+*?()|[]{}^$ #&~-\t\n\r\v\f", `\.+*?()|[]{}^$=!<>:-#/`}

// metaQuoted is what Perl's quotemeta returns.
func metaQuoted(s string) string {
	return rewrite(s, func(c rune, raw string) string {
		if isAlphanumeric(c) || c == '_' {
			return raw
		}
		var b strings.Builder
		for i := range len(raw) {
			b.WriteString(`\` + raw[i:i+1])
		}
		return b.String()
	})
}

// ansiQuoted is the inside of $'…', as bash prints it where a word has control characters. In the locale C all that is
// not ASCII is octal.
func ansiQuoted(s string, ascii bool) string {
	return rewrite(s, func(c rune, raw string) string {
		switch {
		case c == '\'' || c == '\\':
			return `\` + raw
		case c >= '\a' && c <= '\r':
			return `\` + string("abtnvfr"[c-'\a'])
		case c == 0x1b:
			return `\E`
		case c == invalid || c < ' ' || c == 0x7f || c > 0x7f && ascii:
			return bytewise(raw, `\%03o`)
		}
		return raw
	})
}

// inWords is what set -x prints for text that the shell has split into words, each quoted by itself where it has to be.
// The quote that begins the first word or ends the last one is left out.
func inWords(s string, word func(string) string) string {
	fields := strings.FieldsFunc(s, func(c rune) bool { return c == ' ' || c == '\t' || c == '\n' })
	if len(fields) < 2 {
		return s
	}
	for i, f := range fields {
		fields[i] = word(f)
	}
	last := len(fields) - 1
	fields[0] = strings.TrimPrefix(strings.TrimPrefix(fields[0], "$"), "'")
	fields[last] = strings.TrimSuffix(fields[last], "'")
	return strings.Join(fields, " ")
}

// bashWord quotes a word if it has a character that means something to bash, and with $'…' if it has control characters.
func bashWord(s string) string {
	if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "$'" + ansiQuoted(s, false) + "'"
	}
	if strings.ContainsAny(s, "'\"\\|&;()<>!{}*[]?^$`") || s[0] == '~' || s[0] == '#' ||
		strings.Contains(s, ":~") || strings.Contains(s, "=~") {
		return "'" + singleQuoted(s) + "'"
	}
	return s
}

// busyboxWord quotes a word if it has a character that does not surely mean nothing.
func busyboxWord(s string) string {
	safe := func(c rune) bool { return isAlphanumeric(c) || strings.ContainsRune("_-+./@,:", c) }
	if strings.ContainsFunc(s, func(c rune) bool { return !safe(c) }) {
		return "'" + grouped(s) + "'"
	}
	return s
}

func isAlphanumeric(c rune) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// withBackslash puts a backslash before each of some ASCII characters.
func withBackslash(s, which string) string {
	return rewrite(s, func(c rune, raw string) string {
		if c != invalid && strings.ContainsRune(which, c) {
			return `\` + raw
		}
		return raw
	})
}

// bytewise writes each byte by a format.
func bytewise(raw, format string) string {
	var b strings.Builder
	for i := range len(raw) {
		fmt.Fprintf(&b, format, raw[i])
	}
	return b.String()
}
