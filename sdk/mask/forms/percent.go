package forms

import (
	"net/url"
	"strings"
)

// percentStyle is how an encoder writes a text in a URL.
type percentStyle struct {
	// keep are the characters that are written as they are, beside letters, digits and "-._~".
	keep string
	// plus says that a space is a plus sign.
	plus bool
	// tilde says that a tilde is encoded.
	tilde bool
}

var percentStyles = []percentStyle{
	{},                                   // RFC 3986's unreserved characters
	{plus: true},                         // Go's QueryEscape, Python's quote_plus
	{keep: "!'()*"},                      // encodeURIComponent
	{keep: "*", plus: true, tilde: true}, // HTML forms, URLSearchParams, Java
	{keep: "/"},                          // Python's quote
	{keep: "$&+=:@"},                     // Go's PathEscape
	{keep: "$&+,;="},                     // a user name or password in Go's URLs
	{keep: "/$&+,:;=@"},                  // a path in Go's URLs
	{keep: "/$&+,:;=@!'()*"},             // the same, as it was given
	{keep: ";/?:@&=+$,#!'()*"},           // encodeURI
	{keep: "!$%&'()*+,/:;=@[\\]|"},       // a path in a browser
	{keep: "/!$&()*+,:;=@?'[]\\|^{}`%"},  // a query in a browser
	{keep: "/!$&()*+,:;=@?[]\\|^{}`%"},   // the same, of http and https
	{keep: "!$%&'()*+,"},                 // a user name or password there
	{keep: "/!#$%&'()*+,:;=?@[\\]^{|}"},  // a fragment there
}

// percent writes text as part of a URL or of a form, also twice, as part of a URL in a URL.
func percent(e *emitter, text string) {
	for _, style := range percentStyles {
		e.emitEach(text, style.write, func(s string) string { return lowerPercents(style.write(s)) })
	}
	e.emitEach(text, func(s string) string { return strings.ReplaceAll(percentStyle{}.write(s), "%", "%25") })
}

func (p percentStyle) write(text string) string {
	return rewrite(text, func(c rune, raw string) string {
		switch {
		case c == ' ' && p.plus:
			return "+"
		case c == '~' && p.tilde:
			return "%7E"
		case isAlphanumeric(c) || c != invalid && strings.ContainsRune("-._~"+p.keep, c):
			return raw
		}
		return bytewise(raw, "%%%02X")
	})
}

// lowerPercents writes the digits after a percent sign in lower case.
func lowerPercents(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		b.WriteByte(text[i])
		if text[i] == '%' && i+2 < len(text) {
			b.WriteString(strings.ToLower(text[i+1 : i+3]))
			i += 2
		}
	}
	return b.String()
}

// Passwords returns the password of a text that is a URL, as it stands there, as it is meant, and as package net/url
// writes it; nothing for any other text. It does not ask whether the URL is a good one: what is told to be wrong with a
// URL is told with parts of it.
func Passwords(text string) []string {
	_, rest, ok := strings.Cut(text, "://")
	if !ok {
		return nil
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 && strings.Contains(rest[:end], "@") {
		rest = rest[:end]
	}
	at := strings.LastIndexByte(rest, '@')
	if at < 0 {
		return nil
	}
	_, written, ok := strings.Cut(rest[:at], ":")
	if !ok || written == "" {
		return nil
	}
	all := []string{written}
	if meant, err := url.PathUnescape(written); err == nil && meant != written {
		all = append(all, meant)
	}
	// As package net/url writes it, which escapes what need not be.
	if _, again, ok := strings.Cut(url.UserPassword("", all[len(all)-1]).String(), ":"); ok && again != written {
		all = append(all, again)
	}
	return all
}
