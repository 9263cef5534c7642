package main

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/podrunner/runner/plugins/processor-sanitize/internal/detect"
	"github.com/podrunner/runner/plugins/processor-sanitize/internal/directive"
	"github.com/podrunner/runner/plugins/processor-sanitize/internal/sequence"
	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/mask/policy"
	"github.com/podrunner/runner/sdk/mask/redact"
)

const (
	// maxHeadBytes is how much of a line that comes in pieces is waited for, to see what it is. A longer line is no
	// directive that is told by its end, and stands in no row.
	maxHeadBytes = 1 << 10
	// maxMaskLineBytes is the length of the longest line that adds a mask: each byte of the value may be written as three.
	maxMaskLineBytes = 3*policy.MaxValueBytes + maxHeadBytes
	// maxHeld bounds the lines that are held back; only empty ones can make them so many.
	maxHeld = 64
	// maxHeldTime is for how long, by the times of the records of others, a line is held back, in nanoseconds.
	maxHeldTime = int64(1e9)
	// maxKeyLines bounds a private key that nobody has declared.
	maxKeyLines = 1000
)

// origin is where a line comes from. Lines of different origins may come in pieces at the same time.
type origin struct {
	step   string
	stream sdk.Stream
}

// mode is what is being done with a line of which a piece has come and another one will.
type mode byte

const (
	// fresh: there is none.
	fresh mode = iota
	// heading: its pieces are out of the log and in stream.head.
	heading
	// passing: its pieces pass, masked.
	passing
	modes
)

// stream is what is known of the lines of an origin that matters for the next one.
type stream struct {
	from origin
	mode mode
	// head is the line so far, when mode is heading.
	head []byte
	// deferred is text of this line, masked already, to put before its next piece, and carry what is to be known there,
	// when mode is passing.
	deferred []byte
	carry    redact.Carry
	// run is the row that the last lines stand in. Those of them in held are out of the log until it is known whether they
	// are to be masked.
	run  sequence.State
	held []heldLine
	// key is how many lines a private key may still have.
	key int
	// until is the token that directives are stopped until, or in an outcome file the delimiter of a block.
	until string
}

// heldLine is a line that is held back, and when it was written.
type heldLine struct {
	text []byte
	time int64
}

// idle reports whether there is nothing to know.
func (s *stream) idle() bool {
	return s.mode == fresh && s.run == (sequence.State{}) && len(s.held) == 0 && s.key == 0 && s.until == ""
}

// find returns the stream of an origin, or nil when nothing is known of it.
func (p *processor) find(from origin) *stream {
	if i := slices.IndexFunc(p.streams, func(s *stream) bool { return s.from == from }); i >= 0 {
		return p.streams[i]
	}
	return nil
}

// record masks a line, or a piece of one, where more is to be known than its bytes.
func (p *processor) record(ctx context.Context, batch *sdk.Batch, i int) error {
	p.saved = nil
	from := origin{batch.Step(), batch.Stream(i)}
	s := p.find(from)
	if s == nil {
		s = &stream{from: from}
		p.streams = append(p.streams, s)
	}
	out := &output{batch: batch, i: i, stream: s}
	p.releaseOthers(out)
	if err := p.take(ctx, s, out); err != nil {
		return err
	}
	out.done()
	p.streams = slices.DeleteFunc(p.streams, (*stream).idle)
	return nil
}

// releaseOthers gives back the lines of other origins that have been held for long enough, or whose step is over.
func (p *processor) releaseOthers(out *output) {
	if !out.stream.isLog() {
		return // no line can be put there
	}
	for _, s := range p.streams {
		if s == out.stream || len(s.held) == 0 {
			continue
		}
		if s.from.step != out.stream.from.step || out.time()-s.held[0].time >= maxHeldTime {
			p.release(s, len(s.held), out)
		}
	}
}

// release gives back the first n lines that are held, with no more than the masks of any line.
func (p *processor) release(s *stream, n int, out *output) {
	for _, l := range s.held[:n] {
		out.before(s.from.stream, p.masked(s, l.text))
	}
	s.held = slices.Delete(s.held, 0, n)
}

// masked returns a whole line with its masks. It may be the line itself, and is valid until the next call.
func (p *processor) masked(s *stream, line []byte) []byte {
	cuts := p.lines.Line(line, s.exempt(line))
	if len(cuts) == 0 {
		return line
	}
	p.text = redact.Apply(p.text[:0], line, cuts)
	return p.text
}

// maskedWhole returns a line with a mask in place of all of it but the white space around it. It is valid until the next
// call, like what masked returns.
func (p *processor) maskedWhole(line []byte) []byte {
	p.text = redact.Apply(p.text[:0], line, p.lines.Whole(line))
	return p.text
}

// exempt returns how many bytes at the beginning of a line are left as they are.
func (s *stream) exempt(line []byte) int {
	switch {
	case !s.isLog():
		n, _ := directive.File(line, s.until)
		return n
	case s.from.stream == sdk.Stdout && s.until == "":
		return directive.Exempt(line)
	}
	return 0
}

// follow notes what a whole line says of those after it.
func (s *stream) follow(line []byte) {
	switch {
	case !s.isLog():
		_, s.until = directive.File(line, s.until)
	case s.until != "":
		if directive.Resumes(line, s.until) {
			s.until = ""
		}
	case s.from.stream == sdk.Stdout:
		s.until, _ = directive.Stops(line)
	}
}

// isLog reports whether the lines are of a job's log, and not of its outcome file, in which no line can be put and none is
// shown to anybody.
func (s *stream) isLog() bool { return s.from.stream != sdk.Outcome }

// take decides on a record.
func (p *processor) take(ctx context.Context, s *stream, out *output) error {
	text, more := out.batch.Bytes(out.i), out.batch.Partial(out.i)
	if s.mode == passing {
		p.pass(s, text, 0, more, out)
		return nil
	}
	if s.mode == heading {
		s.head = append(s.head, text...)
		text = s.head
	}
	switch addsMask := s.isLog() && s.until == "" && directive.AddsMask(text); {
	case addsMask && len(text) > maxMaskLineBytes:
		return errors.New("a line of the job's log with ::add-mask:: is too long for any value that can be masked; hand the value " +
			"to the job in parts, or as something shorter that leads to it")
	case more && s.isLog() && (addsMask || len(text) <= maxHeadBytes):
		if s.mode == fresh {
			s.mode, s.head = heading, append(s.head[:0], text...)
		}
		out.drop()
		return nil
	case more:
		s.run = sequence.State{}
		s.key = 0
		p.release(s, len(s.held), out)
		p.pass(s, text, s.exempt(text), more, out)
		s.head = s.head[:0]
		return nil
	case addsMask:
		out.drop()
		err := p.add(ctx, directive.Mask(text))
		s.mode, s.head = fresh, s.head[:0]
		return err
	}
	p.whole(s, text, out)
	s.follow(text)
	s.mode, s.head = fresh, s.head[:0]
	return nil
}

// pass masks a piece of a line too long to wait for all of it.
func (p *processor) pass(s *stream, text []byte, exempt int, more bool, out *output) {
	var masked []byte
	masked, s.carry = p.lines.Piece(s.carry, text, exempt, more)
	if len(s.deferred) > 0 {
		masked = append(s.deferred, masked...)
		s.deferred = nil
	}
	begins := s.mode != passing
	if s.mode = passing; !more {
		s.mode = fresh
	}
	out.piece(masked, begins, more)
}

// whole masks a whole line.
func (p *processor) whole(s *stream, line []byte, out *output) {
	plain := p.lines.Plain(line) // until the next line is masked
	trimmed := bytes.TrimSpace(plain)
	if s.key > 0 {
		body, last := detect.IsKeyBody(trimmed)
		if s.key--; last {
			s.key = 0
		}
		if body {
			p.release(s, len(s.held), out)
			s.run = sequence.State{}
			out.line(p.maskedWhole(line))
			return
		}
	}
	if p.detectsKeys && detect.OpensKey(plain) {
		s.key = maxKeyLines
	}
	switch p.step(s, trimmed, len(line), out) {
	case ordinary:
		if out.untouched() {
			out.cut(p.lines.Line(line, s.exempt(line)))
		} else {
			out.line(p.masked(s, line))
		}
	case inRow:
		out.line(p.maskedWhole(line))
	case undecided:
		s.held = append(s.held, heldLine{bytes.Clone(line), out.time()})
		out.drop()
	}
}

// standing is how a line stands in a row.
type standing byte

const (
	// ordinary: it does not.
	ordinary standing = iota
	// inRow: it does, in one long enough to be masked.
	inRow
	// undecided: it does, in one that may become so.
	undecided
)

// step follows the row that a line may stand in, and gives back or masks the lines before it on which that decides.
func (p *processor) step(s *stream, trimmed []byte, length int, out *output) standing {
	if s.run == (sequence.State{}) && !p.rows.Has(trimmed) || !s.isLog() || length > maxHeadBytes {
		s.run = sequence.State{}
		p.release(s, len(s.held), out)
		return ordinary
	}
	s.run = p.rows.Step(s.run, trimmed)
	// Lines that are no part of the row any more go first.
	p.release(s, len(s.held)-max(0, min(len(s.held), s.run.Length-1)), out)
	size := p.rows.Bytes(s.run)
	switch {
	case size == 0:
		s.run = sequence.State{} // a row does not begin with an empty line
		p.release(s, len(s.held), out)
		return ordinary
	case size >= sequence.MinBytes:
		for _, l := range s.held {
			out.before(s.from.stream, p.maskedWhole(l.text))
		}
		s.held = s.held[:0]
		if size > len(trimmed) {
			return inRow
		}
		return ordinary // a line of that length is masked by itself, unless it is a common word
	case len(s.held) == maxHeld, len(trimmed) == 0 && len(s.held) == 0:
		p.release(s, len(s.held), out)
		return ordinary
	}
	return undecided
}
