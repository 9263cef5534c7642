package forms

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// jsonStyle is how an encoder writes the strings of JSON.
type jsonStyle struct {
	// escape are characters that are written as \u and four digits, which need not be.
	escape string
	// ascii says that this goes for all characters that are not ASCII, too.
	ascii bool
	// slash says that a slash has a backslash before it.
	slash bool
	// surrogates says that a byte that is not UTF-8 is written as half a surrogate pair.
	surrogates bool
	// long says that the short escapes \b and \f are not used.
	long bool
}

// htmlEscape are the characters that Go escapes for the sake of HTML.
const htmlEscape = "<>&\u2028\u2029"

var (
	// jsonPlain is what JavaScript, jq and most others write.
	jsonPlain = jsonStyle{}
	// jsonGo is what Go's encoding/json writes, and Rails.
	jsonGo = jsonStyle{escape: htmlEscape}
	// jsonSlash is what PHP writes without escapes of Unicode, and org.json.
	jsonSlash = jsonStyle{slash: true}
	// jsonASCII is what Python writes, and jq -a.
	jsonASCII = jsonStyle{ascii: true}
)

// jsonStyles are those of encoders in wide use.
var jsonStyles = []jsonStyle{
	jsonPlain,
	jsonGo,
	jsonASCII,
	{ascii: true, surrogates: true}, // Python, of what is not UTF-8
	{ascii: true, slash: true},      // PHP
	jsonSlash,
	{escape: htmlEscape + "'="},             // Gson
	{escape: htmlEscape + "'", ascii: true}, // Jinja's tojson
	{escape: "<>&'\"", ascii: true, slash: true}, // PHP with JSON_HEX_TAG and its like
	{escape: "<>&'\"+`", ascii: true},            // .NET's System.Text.Json
	{long: true},
	{escape: htmlEscape, long: true},
}

// inJSON writes text as the inside of a JSON string, and of a JSON string in another one.
func inJSON(e *emitter, text string) {
	var texts []string
	for _, style := range jsonStyles {
		texts = append(texts, e.emitEach(text, style.write, style.writeUpper)...)
	}
	e.emitNested(texts)
	e.emitEach(jsonPlain.write(text), jsonSlash.write)
	e.emitEach(jsonSlash.write(text), jsonSlash.write)
}

// write returns the inside of a string.
func (j jsonStyle) write(text string) string {
	return rewrite(text, func(c rune, raw string) string {
		switch {
		case c == invalid && j.surrogates:
			return bytewise(raw, `\udc%02x`)
		case c == invalid:
			if j.escape == "" && !j.ascii {
				return "\ufffd"
			}
			return `\ufffd`
		case strings.ContainsRune(j.escape, c) || j.ascii && c >= 0x7f:
			return unicodeEscape(c)
		case c == '"' || c == '\\':
			return `\` + raw
		case c == '/' && j.slash:
			return `\/`
		case c == '\n':
			return `\n`
		case c == '\r':
			return `\r`
		case c == '\t':
			return `\t`
		case c == '\b' && !j.long:
			return `\b`
		case c == '\f' && !j.long:
			return `\f`
		case c < ' ':
			return unicodeEscape(c)
		}
		return raw
	})
}

// writeUpper is write with the digits after \u in upper case.
func (j jsonStyle) writeUpper(text string) string { return upperEscapes(j.write(text)) }

// unicodeEscape returns \u and four digits, twice for what is not in the basic plane.
func unicodeEscape(c rune) string {
	if high, low := utf16.EncodeRune(c); high != '\ufffd' {
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	}
	return fmt.Sprintf(`\u%04x`, c)
}

// upperEscapes writes the digits after \u in upper case.
func upperEscapes(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		switch {
		case text[i] != '\\':
			b.WriteByte(text[i])
			i++
		case text[i+1] == 'u':
			b.WriteString(`\u` + strings.ToUpper(text[i+2:i+6]))
			i += 6
		default:
			b.WriteString(text[i : i+2])
			i += 2
		}
	}
	return b.String()
}
