package migrate

import (
	"regexp"
	"strings"

	"github.com/podrunner/runner/core/internal/diag"
)

// width is how long a line of a comment may be.
const width = 118

// document is a text of HCL that is written line by line; the format is put right afterwards, which keeps the lines.
type document struct {
	lines []line
}

// line is a line of a document.
type line struct {
	text string
	// plain is the line without the environment; see expression.
	plain string
	// at is what the line comes from, if it comes from a value.
	at diag.Range
}

func (d *document) add(text string) { d.lines = append(d.lines, line{text: text, plain: text}) }

// blank adds an empty line, unless the line before is empty or begins a block.
func (d *document) blank() {
	if n := len(d.lines); n > 0 && d.lines[n-1].text != "" && !strings.HasSuffix(d.lines[n-1].text, "{") {
		d.add("")
	}
}

// comment adds a comment, broken into lines. Those after the first one are indented by hang.
func (d *document) comment(text, hang string) {
	line := "#"
	for _, word := range strings.Fields(text) {
		if len([]rune(line))+1+len([]rune(word)) > width-len(hang) && line != "#" {
			d.add(line)
			line = "#" + hang
		}
		line += " " + word
	}
	d.add(line)
}

// open begins a block; it ends with close.
func (d *document) open(header, comment string) {
	d.blank()
	if comment != "" {
		d.comment(comment, "")
	}
	d.add(header + " {")
}

func (d *document) close() {
	if last := d.lines[len(d.lines)-1]; strings.HasSuffix(last.text, "{") {
		d.lines[len(d.lines)-1].text, d.lines[len(d.lines)-1].plain = last.text+"}", last.plain+"}"
		return
	}
	d.add("}")
}

// argument adds an argument of a block, with a comment above unless that is empty.
func (d *document) argument(name string, e expression, at diag.Range, comment string) {
	if comment != "" {
		d.blank()
		d.comment(comment, "")
	}
	d.lines = append(d.lines, line{name + " = " + e.text, name + " = " + e.plain, at})
}

// object adds an argument that is an object, each leaf on a line of its own.
func (d *document) object(name string, o *object, comment string) {
	if comment != "" {
		d.blank()
		d.comment(comment, "")
	}
	d.member(name, o)
}

func (d *document) member(name string, o *object) {
	if o.members == nil {
		d.lines = append(d.lines, line{name + " = " + o.leaf, name + " = " + o.leaf, o.at})
		return
	}
	d.lines = append(d.lines, line{name + " = {", name + " = {", o.at})
	for _, m := range o.members {
		d.member(keyOf(m.key), m.value)
	}
	d.add("}")
}

// object is a value of several parts, or a leaf.
type object struct {
	// members are not nil for a value of parts.
	members []member
	// leaf is HCL.
	leaf string
	at   diag.Range
}

type member struct {
	key   string
	value *object
}

// set puts a member into an object, in place of one of that name.
func (o *object) set(key string, value *object) {
	for i, m := range o.members {
		if m.key == key {
			o.members[i].value = value
			return
		}
	}
	o.members = append(o.members, member{key, value})
}

// get returns the member of a name, nil when there is none.
func (o *object) get(key string) *object {
	for _, m := range o.members {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

var bareKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// keyOf writes a key of an object.
func keyOf(key string) string {
	if bareKey.MatchString(key) && key != "null" && key != "true" && key != "false" && key != "for" {
		return key
	}
	return quote(key)
}

func (d *document) bytes() []byte { return d.join(func(l line) string { return l.text }) }

// plain returns the document without the environment.
func (d *document) plain() []byte { return d.join(func(l line) string { return l.plain }) }

func (d *document) join(of func(line) string) []byte {
	var b strings.Builder
	for _, l := range d.lines {
		b.WriteString(of(l))
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// origin returns what a line, counted from 1, comes from.
func (d *document) origin(number int) diag.Range {
	if number < 1 || number > len(d.lines) {
		return diag.Range{}
	}
	return d.lines[number-1].at
}
