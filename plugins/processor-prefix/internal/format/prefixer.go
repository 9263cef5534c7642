package format

import (
	"time"
)

// Prefixer writes the prefixes of one job's lines. It is used by one goroutine.
type Prefixer struct {
	template Template
	layout   Layout
	timed    bool
	streamed bool

	step string
	// last are the latest prefixes by stream; only the first is used when prefixes do not tell streams apart.
	last [2]prefix
}

// prefix is a prefix that was made. Lines of one second mostly have the same.
type prefix struct {
	made bool
	when int64
	text []byte
}

// NewPrefixer returns a Prefixer. values are the texts of the placeholders that do not change in a job.
func NewPrefixer(t Template, l Layout, values map[Field]string) *Prefixer {
	clean := map[Field]string{}
	for f, text := range values {
		clean[f] = oneLine(text)
	}
	t = t.fill(clean)
	return &Prefixer{template: t, layout: l, timed: t.has(Time), streamed: t.has(Stream)}
}

// Timed reports whether prefixes have the time of their line; if not, none is needed.
func (p *Prefixer) Timed() bool { return p.timed }

// Enter says that the lines that follow are of a step.
func (p *Prefixer) Enter(step string) {
	if p.step != step {
		p.step, p.last = step, [2]prefix{}
	}
}

// Prefix returns the prefix of a line; stream is its stream's name, index 0 or 1. It is valid until the next call.
func (p *Prefixer) Prefix(when time.Time, index int, stream string) []byte {
	if !p.streamed {
		index = 0
	}
	last := &p.last[index]
	var same int64
	if p.timed {
		same = p.layout.same(when)
	}
	if last.made && last.when == same {
		return last.text
	}
	last.made, last.when = true, same
	last.text = p.write(last.text[:0], when, stream)
	return last.text
}

func (p *Prefixer) write(b []byte, when time.Time, stream string) []byte {
	for _, x := range p.template.parts {
		switch x.field {
		case Time:
			b = when.UTC().AppendFormat(b, p.layout.text)
		case Step:
			b = append(b, p.step...)
		case Stream:
			b = append(b, stream...)
		default:
			b = append(b, x.text...)
		}
	}
	return b
}

// oneLine replaces control characters, which a job's id may hold, but no prefix.
func oneLine(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c == 0x7f {
			b[i] = '_'
		}
	}
	return string(b)
}
