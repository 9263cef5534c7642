package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/podrunner/runner/plugins/processor-sanitize/internal/sequence"
	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/mask/match"
	"github.com/podrunner/runner/sdk/mask/redact"
)

// checkpointVersion is the first byte of a checkpoint. It changes with the packages forms and policy, too, for a
// checkpoint names forms and rows by their numbers.
const checkpointVersion = 2

// Checkpoint implements sdk.Checkpointer. A checkpoint holds none of the job's sensitive variables. It holds what the
// job has printed: values that it has added, lines that are held back, and the beginnings of lines of which more is
// to come. Core has these bytes, too, as it has sent them.
func (p *processor) Checkpoint() ([]byte, error) {
	if p.saved != nil || len(p.streams) == 0 && len(p.added) == 0 {
		return p.saved, nil
	}
	e := encoder{checkpointVersion}
	e.number(len(p.added))
	for _, value := range p.added {
		e.bytes(value)
	}
	for _, s := range p.streams {
		e.bytes([]byte(s.from.step))
		e.number(int(s.from.stream))
		e.number(int(s.mode))
		e.bytes(s.head)
		e.bytes(s.deferred)
		e.carry(s.carry)
		e.number(int(s.run.Node))
		e.number(s.run.Length)
		e.number(s.key)
		e.bytes([]byte(s.until))
		e.number(len(s.held))
		for _, l := range s.held {
			e.bytes(l.text)
			e = binary.BigEndian.AppendUint64(e, uint64(l.time))
		}
	}
	p.saved = e
	return p.saved, nil
}

// Restore implements sdk.Checkpointer.
func (p *processor) Restore(checkpoint []byte) error {
	if len(checkpoint) == 0 {
		return nil
	}
	if v := checkpoint[0]; v != checkpointVersion {
		return fmt.Errorf("the checkpoint has version %d, this plugin knows %d", v, checkpointVersion)
	}
	d := decoder{rest: checkpoint[1:]}
	for range d.number() {
		if value := d.bytes(); d.failed || p.add(context.Background(), value) != nil {
			return errDamaged
		}
	}
	for len(d.rest) > 0 {
		s := &stream{from: origin{step: string(d.bytes()), stream: sdk.Stream(d.number())}}
		s.mode, s.head, s.deferred = mode(d.number()), d.bytes(), d.bytes()
		s.carry = d.carry()
		s.run = sequence.State{Node: uint32(d.number()), Length: d.number()}
		s.key, s.until = d.number(), string(d.bytes())
		for range min(d.number(), maxHeld+1) {
			l := heldLine{text: d.bytes()}
			l.time = d.time()
			s.held = append(s.held, l)
		}
		if d.failed || s.mode >= modes || len(s.held) > maxHeld || !p.lines.Valid(s.carry) || !p.rows.Valid(s.run) {
			return errDamaged
		}
		p.streams = append(p.streams, s)
	}
	if d.failed {
		return errDamaged
	}
	p.saved = checkpoint
	return nil
}

var errDamaged = errors.New("the checkpoint is damaged, or was made for other secrets")

// encoder appends to a checkpoint.
type encoder []byte

func (e *encoder) number(n int) { *e = binary.AppendUvarint(*e, uint64(n)) }

func (e *encoder) bytes(b []byte) {
	e.number(len(b))
	*e = append(*e, b...)
}

// Bits of a Carry.
const (
	bitMasked = 1 << iota
	bitWord
	bitReturn
)

func (e *encoder) carry(c redact.Carry) {
	for _, n := range []int{
		int(c.Lead), c.Form, c.Held, c.Covered, int(c.Tail), c.Shown,
		bit(c.Masked, bitMasked) | bit(c.Word, bitWord) | bit(c.Return, bitReturn),
	} {
		e.number(n)
	}
	for _, s := range []string{c.Case, c.Controls, c.Open} {
		e.bytes([]byte(s))
	}
}

func bit(on bool, b int) int {
	if on {
		return b
	}
	return 0
}

// decoder reads what an encoder has written. After a mistake it returns zero values.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) number() int {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || v > 1<<31-1 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return int(v)
}

// bytes returns bytes that are not the checkpoint's.
func (d *decoder) bytes() []byte {
	n := d.number()
	if n > len(d.rest) {
		d.fail()
		return nil
	}
	b := append([]byte(nil), d.rest[:n]...)
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) time() int64 {
	if len(d.rest) < 8 {
		d.fail()
		return 0
	}
	t := int64(binary.BigEndian.Uint64(d.rest))
	d.rest = d.rest[8:]
	return t
}

func (d *decoder) carry() redact.Carry {
	c := redact.Carry{
		Lead: byte(d.number()), Form: d.number(), Held: d.number(), Covered: d.number(), Tail: match.Tail(d.number()),
		Shown: d.number(),
	}
	flags := d.number()
	c.Masked, c.Word, c.Return = flags&bitMasked != 0, flags&bitWord != 0, flags&bitReturn != 0
	c.Case, c.Controls, c.Open = string(d.bytes()), string(d.bytes()), string(d.bytes())
	return c
}

func (d *decoder) fail() { d.failed, d.rest = true, nil }
