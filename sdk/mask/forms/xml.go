package forms

import (
	"fmt"
	"strings"
)

// xmlStyle are the entities of an encoder.
type xmlStyle struct {
	named *strings.Replacer
	// other is a format for what is not ASCII; "": it is written as it is.
	other string
}

var xmlStyles = func() (list []xmlStyle) {
	text := []string{"&", "&amp;", "<", "&lt;", ">", "&gt;"}
	for _, more := range [][]string{
		nil,                                        // text in Python's saxutils
		{`"`, "&quot;"},                            // attributes
		{`"`, "&quot;", "'", "&apos;"},             // XML
		{`"`, "&quot;", "'", "&#39;"},              // PHP, Ruby, lodash
		{`"`, "&quot;", "'", "&#039;"},             // PHP
		{`"`, "&quot;", "'", "&#x27;"},             // Python
		{`"`, "&#34;", "'", "&#39;"},               // Go, Jinja
		{`"`, "&#34;", "'", "&#39;", "+", "&#43;"}, // Go's templates
		{`"`, "&quot;", "\n", "&#10;", "\r", "&#13;", "\t", "&#9;"},                // attributes in Python's saxutils
		{`"`, "&#34;", "'", "&#39;", "\n", "&#xA;", "\r", "&#xD;", "\t", "&#x9;"},  // Go's encoding/xml
		{`"`, "&quot;", "'", "&#x27;", "/", "&#x2F;"},                              // OWASP
		{`"`, "&quot;", "'", "&#39;", "/", "&#x2F;", "`", "&#x60;", "=", "&#x3D;"}, // mustache
	} {
		named := strings.NewReplacer(append(text[:len(text):len(text)], more...)...)
		for _, other := range []string{"", "&#%d;", "&#x%x;", "&#x%X;"} {
			list = append(list, xmlStyle{named, other})
		}
	}
	return list
}()

// inXML writes text as XML and HTML do, and with a number for each character that is no letter and no digit.
func inXML(e *emitter, text string) {
	for _, style := range xmlStyles {
		for _, t := range e.emitEach(text, style.write) {
			e.emitEach(t, jsonPlain.write, jsonGo.write)
		}
	}
	for _, format := range []string{"&#%d;", "&#x%x;", "&#x%X;"} {
		e.emitEach(text, func(s string) string { return numbered(s, format) })
	}
}

// numbered writes a number for each character that is no letter and no digit.
func numbered(text, format string) string {
	return rewrite(text, func(c rune, raw string) string {
		if c == invalid || isAlphanumeric(c) {
			return raw
		}
		return fmt.Sprintf(format, c)
	})
}

func (x xmlStyle) write(text string) string {
	text = x.named.Replace(text)
	if x.other == "" {
		return text
	}
	return rewrite(text, func(c rune, raw string) string {
		if c > 0x7f {
			return fmt.Sprintf(x.other, c)
		}
		return raw
	})
}
