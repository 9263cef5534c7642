package forms

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// maxDepth bounds how deep texts in one another are looked at: JSON in a string of JSON.
const maxDepth = 4

// Leaves returns the secrets that stand in a text that has a structure: strings of JSON under keys that look sensitive,
// values of such keys in lines like KEY=value and key: value, also of several with ";" between them, passwords of URLs,
// and what a header Authorization has behind its scheme. A leaf may have several lines. The same text always has the same
// leaves, in the same order.
func Leaves(text []byte) [][]byte {
	var l leaves
	l.text(string(text), 0)
	return distinctBytes(l)
}

// leaves gathers them.
type leaves [][]byte

func (l *leaves) add(list ...string) {
	for _, leaf := range list {
		*l = append(*l, bytes.TrimSpace([]byte(leaf)))
	}
}

// text adds the leaves of a text of any structure.
func (l *leaves) text(text string, depth int) {
	text = strings.TrimSpace(text)
	if depth == maxDepth || text == "" {
		return
	}
	var value any
	if strings.ContainsRune(`{["`, rune(text[0])) && json.Unmarshal([]byte(text), &value) == nil {
		l.json(value, depth == 0 && text[0] == '"', false, depth)
		return
	}
	if m := header.FindStringSubmatch(text); m != nil {
		l.add(m[1])
	}
	for line := range strings.Lines(text) {
		// A connection string has several of them in a line.
		for _, pair := range slices.Compact(append([]string{line}, strings.Split(line, ";")...)) {
			if m := assignment.FindStringSubmatch(pair); m != nil {
				l.assigned(m[1], m[2], depth)
			}
		}
	}
	l.passwords(text)
}

// header is the value of a header Authorization of HTTP.
var header = regexp.MustCompile(`^(?i:bearer|basic|token) +(\S+)$`)

// passwords adds those of a URL, or of each of a list of URLs.
func (l *leaves) passwords(text string) {
	if !strings.Contains(text, "\n") {
		l.add(Passwords(text)...) // it may hold what else separates URLs
	}
	for _, url := range strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(", \t\r\n", c) }) {
		l.add(Passwords(url)...)
	}
}

// assignment is a line of a file of environment variables, of YAML, of an INI, a properties or an npmrc file.
var assignment = regexp.MustCompile(
	`^\s*(?:- +)?(?:export +)?(?://\S+:)?["']?([A-Za-z0-9_.-]+)["']?\s*[:=]\s*(\S.*?)\s*$`)

// comment is what may stand behind a value in a line.
var comment = regexp.MustCompile(`\s+(?:#|//).*$`)

// assigned adds what stands behind a key in a line: with and without what looks like a comment, as either may be meant.
func (l *leaves) assigned(key, line string, depth int) {
	sensitive, _ := judge(key, false)
	for _, value := range slices.Compact([]string{line, comment.ReplaceAllString(line, "")}) {
		if inner, ok := Unquoted([]byte(strings.TrimRight(value, ",;"))); ok {
			value = string(inner)
		}
		if sensitive {
			l.add(value)
		}
		l.text(value, depth+1)
	}
}

// json adds the strings of a value of JSON. sensitive says that the key that it stands under looks so, inherited that it
// stands in a collection of such.
func (l *leaves) json(value any, sensitive, inherited bool, depth int) {
	switch value := value.(type) {
	case string:
		if sensitive {
			l.add(value)
		}
		l.text(value, depth+1)
	case []any:
		for _, v := range value {
			l.json(v, sensitive, inherited, depth)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			sensitive, collection := judge(key, inherited)
			l.json(value[key], sensitive, collection, depth)
		}
	}
}

var (
	// word finds the words of a key: accessKey, access_key, ACCESS-KEY.
	word = regexp.MustCompile(`[A-Z]+[a-z0-9]*|[a-z0-9]+`)

	sensitiveWords = []string{
		"passwd", "passphrase", "pass", "pwd", "credential", "auth", "authorization", "bearer", "cookie", "session", "jwt",
		"signature", "sig", "sas", "pin", "otp", "salt", "pat", "webhook", "dsn", "connection", "private",
	}
	// sensitiveEnds end words, such as apikey.
	sensitiveEnds = []string{"password", "secret", "token", "key"}
	// collections are the words for several secrets. In an object under one, keys are the names of secrets.
	collections = []string{"passwords", "secrets", "tokens", "keys", "credentials"}
	// harmlessWords end the keys of what stands beside secrets and all over logs: token_uri, key_id, auth_type.
	harmlessWords = []string{
		"uri", "url", "id", "type", "name", "user", "username", "email", "host", "hostname", "port", "region", "scope",
		"scopes", "algorithm", "alg", "version", "issuer", "audience", "expiry", "expires", "expiration", "path", "file",
	}
)

// judge reports whether the value of a key is likely to be a secret, and whether it is a collection of secrets. inherited
// says that the key is in such a collection.
func judge(key string, inherited bool) (sensitive, collection bool) {
	words := word.FindAllString(key, -1)
	sensitive, collection = inherited, inherited
	for i, w := range words {
		w = strings.ToLower(w)
		if i == len(words)-1 && slices.Contains(harmlessWords, w) {
			return false, false
		}
		ends := func(end string) bool { return strings.HasSuffix(w, end) }
		collection = collection || slices.Contains(collections, w)
		sensitive = sensitive || collection || slices.Contains(sensitiveWords, w) || slices.ContainsFunc(sensitiveEnds, ends)
	}
	return sensitive, collection
}
