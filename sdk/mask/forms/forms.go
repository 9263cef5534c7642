// Package forms knows how a sensitive value can look in a log: what ordinary tools make of it when they quote, escape or
// encode it. It does not judge whether a text is fit to be looked for; package policy does.
package forms

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Kind is a way in which a text is written.
type Kind int

// The kinds, in the order in which they are worth their room.
const (
	// Plain: as it is.
	Plain Kind = iota
	// Base64: in base64 of any text that holds it.
	Base64
	// Shell: as shells quote it, and as they show it under set -x.
	Shell
	// JSON: in a JSON string, also one in another one.
	JSON
	// Quoted: in a string literal of Go, Python and their like, and in Java's properties, CSV, SQL and make.
	Quoted
	// Percent: in a URL or a form.
	Percent
	// XML: in XML and HTML.
	XML
	// Hex: in hexadecimal digits, as one word or byte by byte.
	Hex
	// Wrapped: in lines of one width, as base64, xxd, hexdump and od print a whole text.
	Wrapped

	kinds
)

// names are of the kinds, as in a configuration.
var names = [kinds]string{"plain", "base64", "shell", "json", "quoted", "percent", "xml", "hex", "wrapped"}

func (k Kind) String() string { return names[k] }

// Encodings returns all kinds but Plain, in their order.
func Encodings() []Kind {
	var list []Kind
	for k := Plain + 1; k < kinds; k++ {
		list = append(list, k)
	}
	return list
}

// KindOf returns the kind with a name.
func KindOf(name string) (Kind, bool) {
	i := slices.Index(names[:], name)
	return Kind(max(i, 0)), i >= 0
}

// Widen says what belongs to a text beside its own characters, since base64 cuts bytes in parts: one more character of
// the alphabet before or after it, and then every '=' that follows.
type Widen struct {
	Before, After, Pad bool
}

// Form is a text that stands for another one.
type Form struct {
	Kind Kind
	// Text is not empty.
	Text []byte
	// Fold says that the hexadecimal digits of Text stand for themselves in either case. All of Text's letters are such
	// digits then, and in one case.
	Fold  bool
	Widen Widen
}

// Of returns the forms of a kind that text can have, none twice, and none that is text itself, unless kind is Plain. The
// same text always has the same forms, in the same order, those first that are the most frequent. ok is false, and the
// list may not be complete, when they have more than room bytes in all, or text has. The cost grows with the length of
// text, and with nothing else.
//
// No form is left out because it holds another one: where the shorter one is found, the rest of the longer one would
// stay readable.
func Of(text []byte, kind Kind, room int) (list []Form, ok bool) {
	e := emitter{kind: kind, room: room, seen: map[string]bool{string(text): true}}
	if len(text) > room {
		return nil, false // hardly any form is shorter
	}
	if len(text) > 0 {
		writers[kind](&e, string(text))
	}
	return e.list, e.room >= 0
}

// writers fill an emitter.
var writers = [kinds]func(*emitter, string){
	Plain:   func(e *emitter, text string) { e.seen = map[string]bool{}; e.emit(text) },
	Shell:   shell,
	JSON:    inJSON,
	Quoted:  quoted,
	Percent: percent,
	Base64:  inBase64,
	XML:     inXML,
	Hex:     inHex,
	Wrapped: wrapped,
}

// emitter gathers forms.
type emitter struct {
	kind Kind
	// room is how many bytes there may still be.
	room int
	seen map[string]bool
	list []Form
}

// add adds a form, if it is new and there is room, and reports that.
func (e *emitter) add(f Form) bool {
	key := string(f.Text)
	if len(key) == 0 || e.room < 0 || e.seen[key] {
		return false
	}
	if e.room -= len(key); e.room < 0 {
		return false
	}
	e.seen[key] = true
	f.Kind = e.kind
	e.list = append(e.list, f)
	return true
}

// emit adds texts that are forms.
func (e *emitter) emit(texts ...string) {
	for _, text := range texts {
		e.add(Form{Text: []byte(text)})
	}
}

// emitEach adds what writers make of text, as long as there is room, and returns those texts that are new.
func (e *emitter) emitEach(text string, write ...func(string) string) (added []string) {
	for _, w := range write {
		if e.room < 0 {
			break
		}
		if t := w(text); e.add(Form{Text: []byte(t)}) {
			added = append(added, t)
		}
	}
	return added
}

// emitNested adds what texts look like in a string of another text: a log in JSON, an error that quotes them.
func (e *emitter) emitNested(texts []string) {
	for _, text := range texts {
		e.emitEach(text, goQuoted, hclogQuoted, jsonPlain.write, jsonGo.write, jsonASCII.write, pythonSingle)
	}
}

// rewrite puts what escape returns in place of each character. The character of a byte that is not UTF-8 is invalid.
func rewrite(text string, escape func(c rune, raw string) string) string {
	var b strings.Builder
	b.Grow(len(text) + len(text)/8)
	for len(text) > 0 {
		c, size := utf8.DecodeRuneInString(text)
		if c == utf8.RuneError && size == 1 {
			c = invalid
		}
		b.WriteString(escape(c, text[:size]))
		text = text[size:]
	}
	return b.String()
}

// invalid is no character.
const invalid rune = -1
