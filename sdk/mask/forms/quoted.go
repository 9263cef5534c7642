package forms

import (
	"fmt"
	"strconv"
	"strings"
)

// quoted writes text as the inside of a string literal, as the value of a property, and with the characters doubled that formats double.
func quoted(e *emitter, text string) {
	e.emitNested(e.emitEach(text,
		goQuoted, hclogQuoted, goASCII,
		func(s string) string { return pythonQuoted(s, false, pythonText) },
		pythonSingle,
		func(s string) string { return pythonQuoted(s, false, pythonASCII) },
		func(s string) string { return pythonQuoted(s, true, pythonASCII) },
		func(s string) string { return pythonQuoted(s, false, pythonBytes) },
		func(s string) string { return pythonQuoted(s, true, pythonBytes) },
		func(s string) string { return withBackslash(s, `"`) },
		func(s string) string { return withBackslash(s, `'`) },
		func(s string) string { return withBackslash(s, `\`) },
		func(s string) string { return withBackslash(s, `"'\`) },
		yamlQuoted, yamlASCII,
		func(s string) string { return property(s, false) },
		func(s string) string { return property(s, true) },
	))
	// YAML and SQL, CSV, make, and what formats with percent signs.
	for _, c := range []string{"'", `"`, "$", "%"} {
		e.emitNested(e.emitEach(text, func(s string) string { return strings.ReplaceAll(s, c, c+c) }))
	}
}

// yamlQuoted is the inside of double quotes of YAML as Go and kubectl write it, yamlASCII as Python does. They put a text
// into such when it has characters that are not to be printed; what is not in the basic plane counts as that.
func yamlQuoted(s string) string { return yaml(s, 0xffff) }

func yamlASCII(s string) string { return yaml(s, '~') }

// yamlEscapes are the short ones.
var yamlEscapes = map[rune]string{
	0: `\0`, '\a': `\a`, '\b': `\b`, '\t': `\t`, '\n': `\n`, '\v': `\v`, '\f': `\f`, '\r': `\r`, 0x1b: `\e`, '"': `\"`, '\\': `\\`,
	0x85: `\N`, 0xa0: `\_`, 0x2028: `\L`, 0x2029: `\P`,
}

// yaml escapes what is not to be printed, and all after a character.
func yaml(s string, last rune) string {
	return rewrite(s, func(c rune, raw string) string {
		switch escape, ok := yamlEscapes[c]; {
		case ok && (c != 0xa0 || c > last):
			return escape
		case c == invalid:
			return raw
		case c >= ' ' && c <= last && c != 0x7f && (c <= '~' || c > 0x9f && c != '\ufeff'):
			return raw
		case c <= 0xff:
			return fmt.Sprintf(`\x%02X`, c)
		case c <= 0xffff:
			return fmt.Sprintf(`\u%04X`, c)
		}
		return fmt.Sprintf(`\U%08X`, c)
	})
}

// property is what Java writes as the value of a property, to a stream in ASCII.
func property(s string, ascii bool) string {
	return rewrite(s, func(c rune, raw string) string {
		switch {
		case c == invalid:
			return raw
		case strings.ContainsRune(`=:#!\`, c):
			return `\` + raw
		case c == '\t':
			return `\t`
		case c == '\n':
			return `\n`
		case c == '\r':
			return `\r`
		case c == '\f':
			return `\f`
		case ascii && (c < ' ' || c > '~'):
			return upperEscapes(unicodeEscape(c))
		}
		return raw
	})
}

// inside returns what is between quotes.
func inside(s string) string { return s[1 : len(s)-1] }

func goQuoted(s string) string { return inside(strconv.Quote(s)) }

func goASCII(s string) string { return inside(strconv.QuoteToASCII(s)) }

// hclogQuoted is what the library hclog makes of text in a line of log: as Go, but backslashes stay single.
func hclogQuoted(s string) string { return strings.ReplaceAll(goQuoted(s), `\\`, `\`) }

// pythonSingle is the inside of single quotes in Python and JavaScript.
func pythonSingle(s string) string { return pythonQuoted(s, true, pythonText) }

// The ways of Python to show what is not ASCII: repr of a string, ascii of one, repr of bytes.
const (
	pythonText = iota
	pythonASCII
	pythonBytes
)

// pythonQuoted is the inside of a literal of Python and of JavaScript. The single quote is escaped or not, as the quotes
// around are. Node writes its \x with upper-case digits, and so seldom that this is left out.
func pythonQuoted(s string, single bool, way int) string {
	return rewrite(s, func(c rune, raw string) string {
		switch {
		case c == '\\' || c == '\'' && single:
			return `\` + raw
		case c == '\n':
			return `\n`
		case c == '\r':
			return `\r`
		case c == '\t':
			return `\t`
		case c == invalid && way != pythonBytes:
			return bytewise(raw, `\udc%02x`)
		case c == invalid || c < ' ' || c == 0x7f || c > 0x7f && way == pythonBytes:
			return bytewise(raw, `\x%02x`)
		case c <= '~':
			return raw
		case way == pythonText && strconv.IsPrint(c):
			return raw
		case c <= 0xff:
			return fmt.Sprintf(`\x%02x`, c)
		case c <= 0xffff:
			return fmt.Sprintf(`\u%04x`, c)
		}
		return fmt.Sprintf(`\U%08x`, c)
	})
}
