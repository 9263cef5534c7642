package redact

import (
	"net/url"
	"strings"
)

// passwords returns the password of a text that is a URL, as it stands there and as it is meant; nothing for any other
// text. It does not ask whether the URL is a good one: what is told to be wrong with a URL is told with parts of it.
func passwords(text string) []string {
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
