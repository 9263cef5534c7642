// Package detect finds what looks like a secret, whether a job has declared it or not.
package detect

import (
	"bytes"
	"regexp"
	"slices"

	"github.com/podrunner/runner/sdk/mask/match"
)

// Detector finds one kind of secret in a text.
type Detector struct {
	// need is part of all texts in which it finds anything.
	need []byte
	find func(spans []match.Span, text []byte) []match.Span
}

var (
	schemeEnd = []byte("://")
	// digest begins what an image is pinned to, docker://NAME:TAG@sha256:DIGEST. No host does.
	digest   = []byte("sha256:")
	pemBegin = []byte("-----BEGIN ")
	pemEnd   = []byte("-----END ")
)

// URL finds the passwords of URLs.
var URL = Detector{need: schemeEnd, find: passwords}

// Keys finds private keys in PEM. The lines behind the first one of a key are for [IsKeyBody].
var Keys = Detector{need: pemBegin, find: keys}

// Tokens find what services give out, by its shape.
var Tokens = []Detector{
	shape("ghp_", `\bghp_[A-Za-z0-9]{36,}`),
	shape("gho_", `\bgho_[A-Za-z0-9]{36,}`),
	shape("ghu_", `\bghu_[A-Za-z0-9]{36,}`),
	shape("ghs_", `\bghs_[A-Za-z0-9]{36,}`),
	shape("ghr_", `\bghr_[A-Za-z0-9]{36,}`),
	shape("github_pat_", `\bgithub_pat_[A-Za-z0-9_]{36,}`),
	shape("glpat-", `\bglpat-[A-Za-z0-9_-]{20,}`),
	shape("npm_", `\bnpm_[A-Za-z0-9]{36}`),
	shape("xox", `\bxox[abeoprs]-[A-Za-z0-9-]{10,}`),
	shape("AKIA", `\bAKIA[A-Z0-9]{16}\b`),
	shape("ASIA", `\bASIA[A-Z0-9]{16}\b`),
	shape("eyJ", `\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}`),
}

func shape(need, expression string) Detector {
	d := Pattern(regexp.MustCompile(expression))
	d.need = []byte(need)
	return d
}

// Pattern finds what an expression matches: what its groups do, if it has any that take part, or all of it.
func Pattern(expression *regexp.Regexp) Detector {
	prefix, _ := expression.LiteralPrefix()
	return Detector{need: []byte(prefix), find: func(spans []match.Span, text []byte) []match.Span {
		for _, at := range expression.FindAllSubmatchIndex(text, -1) {
			n := len(spans)
			for i := 2; i < len(at); i += 2 {
				spans = appendSpan(spans, at[i], at[i+1])
			}
			if len(spans) == n {
				spans = appendSpan(spans, at[0], at[1])
			}
		}
		return spans
	}}
}

func appendSpan(spans []match.Span, start, end int) []match.Span {
	if start < 0 || start == end {
		return spans
	}
	return append(spans, match.Span{Start: start, End: end})
}

// passwords finds SCHEME://USER:PASSWORD@.
func passwords(spans []match.Span, text []byte) []match.Span {
	for at := 0; ; {
		i := bytes.Index(text[at:], schemeEnd)
		if i < 0 {
			return spans
		}
		start := at + i + len(schemeEnd)
		// A password may hold what should have been encoded, but not what ends it for most readers.
		end := start
		for end < len(text) && !isAfterHost[text[end]] {
			end++
		}
		// The colon at the end may be that of the next URL's scheme, in a list of several.
		at = max(start, end-1)
		host := bytes.LastIndexByte(text[start:end], '@')
		colon := bytes.IndexByte(text[start:end], ':')
		if colon >= 0 && host > colon+1 && !bytes.HasPrefix(text[start+host+1:], digest) {
			spans = append(spans, match.Span{Start: start + colon + 1, End: start + host})
		}
	}
}

// isAfterHost says which bytes end the part of a URL that names the host and who asks.
var isAfterHost = func() (is [256]bool) {
	for c := range 0x21 {
		is[c] = true
	}
	for _, c := range []byte("/?#\"'<>`\\|") {
		is[c] = true
	}
	return is
}()

var (
	keyBegin = regexp.MustCompile(`-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----`)
	keyEnd   = regexp.MustCompile(`-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----`)
)

// keys finds private keys, each from its beginning to its end, or to that of the text.
func keys(spans []match.Span, text []byte) []match.Span {
	for at := 0; ; {
		begin := keyBegin.FindIndex(text[at:])
		if begin == nil {
			return spans
		}
		start, end := at+begin[0], len(text)
		if i := keyEnd.FindIndex(text[at+begin[1]:]); i != nil {
			end = at + begin[1] + i[1]
		}
		spans = append(spans, match.Span{Start: start, End: end})
		at = end
	}
}

// OpensKey reports whether a private key begins in a line and does not end in it.
func OpensKey(line []byte) bool {
	for bytes.Contains(line, pemBegin) {
		begin := keyBegin.FindIndex(line)
		if begin == nil {
			return false
		}
		end := keyEnd.FindIndex(line[begin[1]:])
		if end == nil {
			return true
		}
		line = line[begin[1]+end[1]:]
	}
	return false
}

// headers are the names in the headers of private keys, of PEM and of OpenPGP. Any other word with a colon behind it
// begins a message: a search for keys prints a line that begins one, too.
var headers = []string{"Proc-Type", "DEK-Info", "Version", "Comment", "Hash", "Charset", "MessageID"}

// IsKeyBody reports whether a line, without white space around it, can be one of a private key after its first: base64, a
// header, nothing, or its end, after which there are no more. It may be in quotes, and in a list.
func IsKeyBody(line []byte) (body, last bool) {
	line = bytes.Trim(line, `"',`)
	if bytes.HasPrefix(line, pemEnd) {
		return keyEnd.Match(line), true
	}
	if name, _, ok := bytes.Cut(line, []byte{':'}); ok && slices.Contains(headers, string(name)) {
		return true, false
	}
	for _, c := range line {
		if c != '=' && !match.IsBase64Byte(c) {
			return false, true
		}
	}
	return true, false
}

// Set is detectors that look at the same texts. It is for one goroutine.
type Set struct {
	all, active []Detector
	// memory is for active.
	memory []Detector
}

// NewSet makes a Set.
func NewSet(detectors []Detector) *Set { return &Set{all: detectors, active: detectors} }

// Look is called with texts, one after the other with anything or nothing between them, before Find is with one of
// these: those detectors rest that have nothing to find there.
func (s *Set) Look(texts []byte) {
	s.memory = s.memory[:0]
	for _, d := range s.all {
		if len(d.need) == 0 || bytes.Contains(texts, d.need) {
			s.memory = append(s.memory, d)
		}
	}
	s.active = s.memory
}

// LookAll is Look for texts that are not known.
func (s *Set) LookAll() { s.active = s.all }

// Find appends to spans what the detectors find in a text.
func (s *Set) Find(spans []match.Span, text []byte) []match.Span {
	for _, d := range s.active {
		if len(d.need) == 0 || bytes.Contains(text, d.need) {
			spans = d.find(spans, text)
		}
	}
	return spans
}
